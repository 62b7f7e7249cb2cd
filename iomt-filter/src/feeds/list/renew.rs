//! From one reading of a feed to the next: what is new, what stays although the feed no longer has it, and what
//! is let go.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Kept, List, PRESENT, Shelf, What, seconds, stamp};
use crate::feeds::entry::{About, Domain, Entry};
use crate::policy::peer::canonical;

/// How many different things a feed may say of one network or name; what it says beyond that still makes the
/// entry graver and more lasting, but does not stand beside it.
const MOST_SAID: usize = 64;

/// What a reading of the feed found.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The entries, in the order of the feed.
    pub entries: Vec<Entry>,
    /// The domains, in the order of the feed.
    pub domains: Vec<Domain>,
    /// What the feed takes back: it goes at once. What it takes back and lists anew in one reading stays.
    pub withdrawn: Vec<IpNet>,
    /// Whether this is only what has changed since the last reading: all else still holds then.
    pub is_change: bool,
    /// When the feed was read.
    pub now: Timestamp,
    /// How long an entry stays that the feed no longer has.
    pub expire: Duration,
    /// The score of what has none of its own, to tell which of two is the higher one.
    pub score: u8,
}

/// What became of entries and domains in a reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// New ones.
    pub added: usize,
    /// Those that were there before.
    pub again: usize,
    /// Those that the feed no longer has and that stay for now.
    pub gone: usize,
    /// Those that have ended: since the last reading, or before they came.
    pub ended: usize,
    /// Those that the feed took back.
    pub withdrawn: usize,
    /// Lines that name what an earlier line names.
    pub duplicates: usize,
}

impl List {
    /// What the feed lists after a reading, where this is what it listed before.
    #[must_use]
    pub fn renewed(&self, reading: Reading) -> (Self, Changes) {
        let Reading { entries, domains, mut withdrawn, is_change, now, expire, score } = reading;
        withdrawn.iter_mut().for_each(|network| *network = canonical(network.trunc()));
        withdrawn.sort_unstable();
        let before = self.expiring_after(expire);
        let mut renewal = Renewal { before: &before, is_change, now, score, changes: Changes::default() };
        let is_withdrawn = |network: &IpNet| withdrawn.binary_search(network).is_ok();
        let networks = entries.into_iter().map(Kept::from).collect();
        let networks = renewal.shelf(&self.content.networks, networks, is_withdrawn);
        let domains = domains.into_iter().map(Kept::from).collect();
        let domains = renewal.shelf(&self.content.domains, domains, |_| false);
        let changes = renewal.changes;
        let renewed = Self::of(networks, domains, stamp(now), seconds(expire));
        let baseline = self.next_baseline(renewed.present(), now);
        (Self { baseline, ..renewed }, changes)
    }
}

impl From<Entry> for Kept<IpNet> {
    fn from(entry: Entry) -> Self {
        let Entry { network, port, score, line, about } = entry;
        Self { what: canonical(network.trunc()), port, score, line, about, seen: PRESENT, first: 0 }
    }
}

impl From<Domain> for Kept<Box<str>> {
    fn from(domain: Domain) -> Self {
        let Domain { name, port, score, line, about } = domain;
        Self { what: name, port, score, line, about, seen: PRESENT, first: 0 }
    }
}

impl<K> Kept<K> {
    /// Whether both say the same, wherever they stand.
    fn says_what(&self, other: &Self) -> bool {
        (self.port, self.score, &self.about) == (other.port, other.score, &other.about)
    }
}

struct Renewal<'l> {
    before: &'l List,
    is_change: bool,
    now: Timestamp,
    score: u8,
    changes: Changes,
}

impl Renewal<'_> {
    fn shelf<K: What>(
        &mut self,
        before: &Shelf<K>,
        mut found: Vec<Kept<K>>,
        is_withdrawn: impl Fn(&K) -> bool,
    ) -> Shelf<K> {
        let listed = found.len();
        found.retain(|kept| kept.expires().is_none_or(|end| end > self.now));
        self.changes.ended += listed - found.len();
        // Stable, so that lines stay in order; what is in order already is seen to be.
        found.sort_by(|one, other| one.what.order(&other.what));
        let mut shelf = Shelf { kept: Vec::with_capacity(found.len()), said: Vec::new() };
        let mut found = found.into_iter().peekable();
        let mut old = before.kept.iter().peekable();
        loop {
            let next = match (found.peek(), old.peek()) {
                (Some(new), Some(old)) => new.what.order(&old.what),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let known = if next == Ordering::Less { None } else { old.next() };
            if next == Ordering::Greater {
                if let Some(known) = known {
                    self.carry(known, before, is_withdrawn(&known.what), &mut shelf);
                }
                continue;
            }
            let Some(mut first) = found.next() else { break };
            let since = known.map_or(stamp(self.now), |known| known.first);
            first.first = since;
            if known.is_some() {
                self.changes.again += 1;
            } else {
                self.changes.added += 1;
            }
            let has_more = found.peek().is_some_and(|next| next.what == first.what);
            let adds = known.filter(|known| self.is_change && !is_withdrawn(&known.what));
            if !has_more && adds.is_none() {
                shelf.kept.push(first);
                continue;
            }
            let mut same = vec![first];
            while let Some(next) = found.next_if(|next| same.first().is_some_and(|it| it.what == next.what)) {
                same.push(Kept { first: since, ..next });
                self.changes.duplicates += 1;
            }
            if let Some(known) = adds {
                let still = before.said(known).iter().filter(|said| !self.before.has_ended(said, self.now));
                same.extend(still.map(|said| Kept { seen: PRESENT, ..said.clone() }));
            }
            self.put(same, &mut shelf);
        }
        shelf.kept.shrink_to_fit();
        shelf
    }

    /// What the reading does not have.
    fn carry<K: What>(
        &mut self,
        known: &Kept<K>,
        before: &Shelf<K>,
        is_withdrawn: bool,
        shelf: &mut Shelf<K>,
    ) {
        let said = before.said(known);
        let now = stamp(self.now);
        let seen = match known.is_present() {
            true if self.is_change => PRESENT,
            true => self.before.read.min(now),
            false => known.seen.min(now),
        };
        let with_seen = |kept: &Kept<K>| Kept { seen, ..kept.clone() };
        let known = with_seen(known);
        if is_withdrawn {
            self.changes.withdrawn += 1;
        } else if self.before.has_ended(&known, self.now) {
            self.changes.ended += 1;
        } else {
            self.changes.gone += usize::from(!known.is_present());
            if said.len() > 1 {
                shelf.said.extend(said.iter().map(with_seen));
            }
            shelf.kept.push(known);
        }
    }

    /// Several lines of one network or name, the first one first: one entry that is as grave and as lasting as the
    /// gravest and the most lasting of them, and each of them beside it where they differ.
    fn put<K: Clone>(&self, same: Vec<Kept<K>>, shelf: &mut Shelf<K>) {
        let mut same = same.into_iter();
        let Some(first) = same.next() else { return };
        let mut one = first.clone();
        let mut distinct = vec![first];
        for other in same {
            if distinct.iter().any(|said| said.says_what(&other)) {
                continue;
            }
            one.port = one.port.filter(|_| one.port == other.port);
            if other.score.unwrap_or(self.score) > one.score.unwrap_or(self.score) {
                one.score = other.score;
            }
            one.about = of_both(one.about.as_deref(), other.about.as_deref());
            if distinct.len() < MOST_SAID {
                distinct.push(other);
            }
        }
        shelf.kept.push(one);
        if distinct.len() > 1 {
            shelf.said.append(&mut distinct);
        }
    }
}

/// What two lines say together: from the first time seen to the last, until the later end, and else what the
/// earlier line says. A line that names no end lasts as long as the feed has it.
fn of_both(one: Option<&About>, other: Option<&About>) -> Option<Arc<About>> {
    let unsaid = About::default();
    let (one, other) = (one.unwrap_or(&unsaid), other.unwrap_or(&unsaid));
    let about = About {
        category: one.category.or(other.category),
        first_seen: one.first_seen.into_iter().chain(other.first_seen).min(),
        last_seen: one.last_seen.max(other.last_seen),
        expires: one.expires.zip(other.expires).map(|(one, other)| one.max(other)),
        reference: one.reference.clone().or_else(|| other.reference.clone()),
        label: one.label.clone().or_else(|| other.label.clone()),
    };
    about.shared()
}
