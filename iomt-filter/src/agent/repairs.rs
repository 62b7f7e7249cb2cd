//! What somebody else has put into the kernel's tables, links and roles: found, told (log, audit log, status), and put
//! out again. And what was not judged for a time. Whoever may use BPF can do such things, and memory can fail.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Errors;
use super::core::{Core, chain, nobody};
use crate::api::messages::{DriftStatus, Incident, IncidentKind};
use crate::datapath::{Attachment, Drift, Hold, Roles};
use crate::numbers::Numbers;

/// What is found anew in less than this is counted and not told again.
const QUIET: SignedDuration = SignedDuration::from_secs(10);

/// What this agent had to mend: how often, and what it was last, by its kind and by what it was about.
#[derive(Clone, Debug, Default)]
pub(super) struct Repairs(BTreeMap<(IncidentKind, String), Incident>);

impl Repairs {
    /// Whether it is news, and is to be written down: who does the same every second fills no disk.
    fn add(&mut self, kind: IncidentKind, about: &str, note: &str) -> bool {
        let (key, at) = ((kind, about.to_owned()), Timestamp::now());
        let known = self.0.get(&key);
        let is_news = known.is_none_or(|known| at.duration_since(known.at) > QUIET);
        let times = known.map_or(0, |known| known.times).saturating_add(1);
        let (about, note) = (about.to_owned(), note.to_owned());
        self.0.insert(key, Incident { kind, about, note, at, times });
        is_news
    }

    /// All of it.
    pub(super) fn list(&self) -> Vec<Incident> {
        self.0.values().cloned().collect()
    }
}

impl Core {
    /// Sees whether somebody else has written into the tables, and writes them anew then.
    pub(super) fn look_for_drift(&mut self) {
        match self.datapath.drift() {
            Ok(found) if found.is_empty() => {}
            Ok(found) => self.repair_tables(&found),
            Err(error) => tracing::error!(error = chain(&error), "the tables cannot be compared"),
        }
        self.compare_exceptions();
    }

    /// Sees whether the kernel has something else by hand than is to hold, and writes that anew then.
    pub(super) fn compare_exceptions(&mut self) {
        match self.exceptions_drift() {
            Ok(0) => {}
            Ok(differ) => {
                let note =
                    format!("{differ} devices had something else by hand than quarantines and bypasses say");
                self.repaired_table("EXCEPTIONS", &note);
                self.rewrite_exceptions();
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "what holds by hand cannot be compared");
            }
        }
    }

    /// Tells of tables that are about to be written anew and hold something else than they should.
    pub(super) fn found_strange(&mut self, found: &[Drift]) {
        if !found.is_empty() {
            let tables = drifted(found);
            self.repaired_table("tables", &format!("they held something else than was written: {tables}"));
        }
    }

    /// Writes tables anew that hold something else than they should. While a change is pending, what it would go back
    /// to as well.
    pub(super) fn repair_tables(&mut self, found: &[Drift]) {
        self.found_strange(found);
        self.datapath.doubt(found, &self.token);
        let (intent, numbers) = (self.intent.again(), Numbers::clone(&self.numbers));
        let before = self.waiting.as_ref().map(|waiting| waiting.before.intent.again());
        if let Err(refusal) = self.renew(intent, before, numbers, self.blocks.clone()) {
            let errors = Errors::from(refusal).join("; ");
            let note = format!("they cannot be written anew, which the next change does: {errors}");
            self.tell(IncidentKind::Tampered, "tables", &note);
        }
    }

    /// Puts out of the links what is not this agent's, and gives those a pin that have lost theirs.
    pub(super) fn look_after_links(&mut self) {
        for attachment in self.attachments.clone() {
            let interface = attachment.interface.as_str();
            match self.datapath.hold(&attachment) {
                Hold::Judges | Hold::Lost => {}
                Hold::Taken(program) => {
                    let found = format!("its link ran program {program}, which is not this filter's");
                    match self.datapath.take_back(&attachment, &self.token) {
                        Ok(()) => {
                            let note = format!("{found}: what came in meanwhile was not judged");
                            self.repaired(interface, &note);
                        }
                        Err(error) => {
                            let note = format!("{found}, and cannot be replaced: {error}");
                            self.tell(IncidentKind::Tampered, interface, &note);
                        }
                    }
                }
                Hold::Unpinned => match self.datapath.pin_again(&attachment, &self.token) {
                    Ok(()) => {
                        self.repaired(interface, "its link had lost its pin, and has it again; it judged on");
                    }
                    Err(error) => {
                        let note = format!(
                            "its link has no pin, and is there only while this agent lives: {}",
                            chain(&error)
                        );
                        self.tell(IncidentKind::Tampered, interface, &note);
                    }
                },
            }
        }
    }

    /// Sees whether interfaces have the roles that they are to have.
    pub(super) fn look_after_roles(&mut self) {
        let judged = self.attachments.iter().filter(|attachment| attachment.standing.is_judged());
        let of = |attachment: &Attachment| (attachment.index, attachment.roles.clone());
        let wanted: BTreeMap<u32, Roles> = judged.map(of).collect();
        let differ = self.datapath.roles_drift(&wanted);
        if differ == 0 {
            return;
        }
        self.found_strange_roles(differ);
        if let Err(error) = self.datapath.restore_roles(&wanted, &self.token) {
            tracing::error!(error = chain(&error), "the roles of interfaces cannot be written anew");
        }
    }

    /// Tells of roles that were written anew.
    pub(super) fn found_strange_roles(&mut self, differ: usize) {
        self.repaired_table(
            "PORTS",
            &format!("{differ} roles of interfaces or VLANs were not what is configured"),
        );
    }

    /// Tells that an interface was there without being judged.
    pub(super) fn was_unjudged(&mut self, interface: &str) {
        let note = "it had no program for a moment, or for longer: what came in meanwhile was not judged";
        self.tell(IncidentKind::Unjudged, interface, note);
    }

    /// Tells that something was mended.
    pub(super) fn repaired(&mut self, about: &str, note: &str) {
        self.tell(IncidentKind::Repaired, about, note);
    }

    /// The same of a table.
    fn repaired_table(&mut self, about: &str, note: &str) {
        self.drift = DriftStatus { repairs: self.drift.repairs + 1, last: Some(Timestamp::now()) };
        self.repaired(about, note);
    }

    fn tell(&mut self, kind: IncidentKind, about: &str, note: &str) {
        if !self.repairs.add(kind, about, note) {
            return;
        }
        tracing::error!(about, "{}: {note}", kind.name());
        self.told(&nobody("the agent"), kind.entry(), about.to_owned(), Some(note.to_owned()));
    }
}

/// Tables, and how many rows of each differ.
pub(super) fn drifted(found: &[Drift]) -> String {
    let table = |drift: &Drift| format!("{} ({} rows)", drift.table, drift.rows);
    found.iter().map(table).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_again_is_one_line_with_a_count() {
        let mut repairs = Repairs::default();
        assert!(repairs.add(IncidentKind::Repaired, "eth1", "first"));
        assert!(!repairs.add(IncidentKind::Repaired, "eth1", "then"), "it is no news");
        assert!(repairs.add(IncidentKind::Unjudged, "eth1", "gone"));
        let list = repairs.list();
        let all: Vec<_> = list.iter().map(|it| (it.kind, it.note.as_str(), it.times)).collect();
        assert_eq!(all, [(IncidentKind::Repaired, "then", 2), (IncidentKind::Unjudged, "gone", 1)]);
    }
}
