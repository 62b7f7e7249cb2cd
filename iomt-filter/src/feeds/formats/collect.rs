//! Puts together what a list comes to.
//!
//! Values and what is said of them come in one by one, a [`Parsed`] goes out. Every value ends as an entry, a
//! domain, a withdrawal or a reject, and the whole is bounded: a list without end is refused, not read.

use std::collections::HashSet;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use super::target::{self, Target};
use super::{Format, Note, Parsed, Reading, Reject, RejectReason, Remark, moment};
use crate::feeds::entry::{About, Domain, Entry};

/// Characters of a line that an account of it keeps.
const SHOWN: usize = 120;
/// Entries and domains that a list may have, and lines of it that nobody understands. More would be no list
/// for a filter, and fill the memory of the host.
const MOST_ENTRIES: usize = 10_000_000;
const MOST_FAULTS: usize = 1_000_000;

/// Where something stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'t> {
    /// The line, or the number of the record, from 1.
    pub(super) line: u32,
    /// The line itself, or what stands for the record.
    pub(super) text: &'t str,
}

/// What is said of a value.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The port, where the value itself has none.
    pub(super) port: Option<u16>,
    /// 0 to 100.
    pub(super) score: Option<u8>,
    /// The rest.
    pub(super) about: About,
}

/// A list in the making.
pub(super) struct Collector {
    parsed: Parsed,
    now: Timestamp,
    known: HashSet<Arc<About>>,
    faults: usize,
}

impl Collector {
    /// For a list that was read as `format`.
    pub(super) fn new(format: Format, reading: &Reading) -> Self {
        Self {
            parsed: Parsed { format, ..Parsed::default() },
            now: reading.now,
            known: HashSet::new(),
            faults: 0,
        }
    }

    /// When the list was fetched.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Reads a value and adds it.
    pub(super) fn value(&mut self, place: Place<'_>, value: &str, facts: Facts) {
        match target::read(value) {
            Ok(target) => self.target(place, target, facts),
            Err(reason) => self.reject(place, reason),
        }
    }

    /// Adds a value that was read.
    pub(super) fn target(&mut self, place: Place<'_>, target: Target, facts: Facts) {
        if facts.about.expires.is_some_and(|expires| expires <= self.now) {
            return self.reject(place, RejectReason::Expired);
        }
        let about = self.shared(facts.about);
        self.add(place, target, facts.port, facts.score, about);
    }

    /// Adds a value of which the rest is shared already.
    pub(super) fn add(
        &mut self,
        place: Place<'_>,
        target: Target,
        facts_port: Option<u16>,
        score: Option<u8>,
        about: Option<Arc<About>>,
    ) {
        if self.is_full() {
            return;
        }
        let Place { line, text } = place;
        match target {
            Target::Network { network, had_host_bits, port } => {
                let port = port.or(facts_port);
                self.parsed.entries.push(Entry { network, port, score, line, about });
                if had_host_bits {
                    self.parsed.notes.push(Note { line, text: shown(text), read_as: network });
                }
            }
            Target::Range(networks) => {
                let entry = |network| Entry { network, port: facts_port, score, line, about: about.clone() };
                self.parsed.entries.extend(networks.into_iter().map(entry));
            }
            Target::Domain { name, port } => {
                let port = port.or(facts_port);
                self.parsed.domains.push(Domain { name, port, score, line, about });
            }
        }
    }

    /// The same, in one piece of memory for all that have it.
    pub(super) fn shared(&mut self, about: About) -> Option<Arc<About>> {
        if about == About::default() {
            return None;
        }
        if let Some(known) = self.known.get(&about) {
            return Some(Arc::clone(known));
        }
        let about = Arc::new(about);
        self.known.insert(Arc::clone(&about));
        Some(about)
    }

    /// Takes networks back.
    pub(super) fn withdraw(&mut self, networks: impl IntoIterator<Item = IpNet>) {
        if !self.is_full() {
            self.parsed.withdrawn.extend(networks);
        }
    }

    /// Accounts for a line or record that is of no use.
    pub(super) fn reject(&mut self, place: Place<'_>, reason: RejectReason) {
        if self.is_full() {
            return;
        }
        self.faults += usize::from(reason.is_fault());
        self.parsed.rejects.push(Reject { line: place.line, text: shown(place.text), reason });
    }

    /// A time; what cannot be read as one is remarked.
    pub(super) fn time(&mut self, field: &'static str, line: u32, text: Option<&str>) -> Option<Timestamp> {
        let text = given(text)?;
        let time = moment::timestamp(text);
        if time.is_none() {
            self.unread(field, line);
        }
        time
    }

    /// A port; what is none is remarked.
    pub(super) fn port(&mut self, line: u32, text: Option<&str>) -> Option<u16> {
        let port = given(text)?.parse().ok().filter(|&port| port != 0);
        if port.is_none() {
            self.unread("port", line);
        }
        port
    }

    /// A score from 0 to 100, rounded; what is none is remarked.
    pub(super) fn score(&mut self, line: u32, text: Option<&str>) -> Option<u8> {
        let number = given(text)?.trim_end_matches('%').parse::<f64>().ok();
        let score = number.filter(|score| (0.0..=100.0).contains(score)).map(|score| score.round() as u8);
        if score.is_none() {
            self.unread("score", line);
        }
        score
    }

    /// Remarks a field that could not be read.
    fn unread(&mut self, name: &'static str, at: u32) {
        for remark in &mut self.parsed.remarks {
            if let Remark::Unread { field, count, .. } = remark
                && *field == name
            {
                *count += 1;
                return;
            }
        }
        self.parsed.remarks.push(Remark::Unread { field: name, line: at, count: 1 });
    }

    /// Remarks something of the list as a whole.
    pub(super) fn remark(&mut self, remark: Remark) {
        self.parsed.remarks.push(remark);
    }

    /// Remarks it where a list says that it has another number of records than it has.
    pub(super) fn said(&mut self, said: Option<u64>, found: u64) {
        if let Some(said) = said.filter(|&said| said != found) {
            self.remark(Remark::Count { said, found });
        }
    }

    /// Whether the list is longer than any may be; nothing more is kept of it then, and in the end nothing is used.
    pub(super) fn is_full(&self) -> bool {
        let Parsed { entries, domains, withdrawn, .. } = &self.parsed;
        entries.len() + domains.len() + withdrawn.len() > MOST_ENTRIES || self.faults > MOST_FAULTS
    }

    /// What the list came to.
    pub(super) fn finish(mut self) -> Parsed {
        if self.is_full() {
            let last = |line: Option<u32>| line.unwrap_or(1);
            let line = last(self.parsed.rejects.last().map(|reject| reject.line))
                .max(last(self.parsed.entries.last().map(|entry| entry.line)));
            return self.refuse(line, "", RejectReason::TooMany);
        }
        if !self.parsed.withdrawn.is_empty() {
            // What is taken back in one place and listed in another is listed.
            let listed: HashSet<IpNet> = self.parsed.entries.iter().map(|entry| entry.network).collect();
            self.parsed.withdrawn.retain(|network| !listed.contains(network));
            self.parsed.withdrawn.sort_unstable();
            self.parsed.withdrawn.dedup();
        }
        self.parsed
    }

    /// Nothing of the list is used, and why.
    pub(super) fn refuse(self, line: u32, text: &str, reason: RejectReason) -> Parsed {
        let rejects = vec![Reject { line, text: shown(text), reason }];
        let remarks = self.parsed.remarks;
        Parsed { format: self.parsed.format, rejects, remarks, ..Parsed::default() }
    }
}

/// A list of which nothing is used; `line` is shown.
pub(super) fn refused(format: Format, bytes: &[u8], line: u32, reason: RejectReason) -> Parsed {
    let index = usize::try_from(line.saturating_sub(1)).unwrap_or_default();
    let text = bytes.split(|&byte| byte == b'\n').nth(index).unwrap_or_default();
    let text = text.get(..text.len().min(SHOWN * 4)).unwrap_or_default();
    Collector::new(format, &Reading::default()).refuse(line, &String::from_utf8_lossy(text), reason)
}

/// What a field says; nothing where it says that it has nothing to say.
pub(super) fn given(text: Option<&str>) -> Option<&str> {
    let text = text?.trim();
    let is_nothing = matches!(text, "" | "-" | "null" | "NULL" | "None" | "none" | "N/A" | "n/a");
    (!is_nothing).then_some(text)
}

/// The same, to be kept.
pub(super) fn kept(text: Option<&str>) -> Option<Box<str>> {
    given(text).map(Into::into)
}

/// A line as it is shown: printable, and cut where it is long.
fn shown(text: &str) -> String {
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.trim_end().chars().take(SHOWN).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::Category;

    #[test]
    fn what_is_said_alike_is_kept_once() {
        let mut collector = Collector::new(Format::Plain, &Reading::default());
        for line in 1..=3 {
            let about = About { category: Some(Category::C2), ..About::default() };
            let facts = Facts { about, ..Facts::default() };
            collector.value(Place { line, text: "" }, &format!("192.0.2.{line}"), facts);
        }
        let parsed = collector.finish();
        let [first, _, last] = parsed.entries.as_slice() else { panic!("{parsed:?}") };
        let (Some(first), Some(last)) = (&first.about, &last.about) else { panic!("{parsed:?}") };
        assert!(Arc::ptr_eq(first, last));
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry>() <= 48, "{}", size_of::<Entry>());
    }

    #[test]
    fn what_is_listed_is_not_withdrawn_by_the_same_list() {
        let mut collector = Collector::new(Format::Crowdsec, &Reading::default());
        collector.value(Place { line: 1, text: "" }, "192.0.2.1", Facts::default());
        collector
            .withdraw(["192.0.2.1/32", "192.0.2.2/32", "192.0.2.2/32"].map(|text| text.parse().unwrap()));
        assert_eq!(collector.finish().withdrawn, ["192.0.2.2/32".parse::<IpNet>().unwrap()]);
    }

    #[test]
    fn fields_that_cannot_be_read_are_counted() {
        let mut collector = Collector::new(Format::Csv, &Reading::default());
        assert_eq!(collector.score(1, Some("84.6")), Some(85));
        assert_eq!(collector.score(2, Some("101")), None);
        assert_eq!(collector.score(3, Some("high")), None);
        assert_eq!(collector.score(4, Some("None")), None);
        assert_eq!(collector.finish().remarks, [Remark::Unread { field: "score", line: 2, count: 2 }]);
    }
}
