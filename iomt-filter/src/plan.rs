//! What a candidate would change, and what it would cut that devices do.
//!
//! What is in force and what is to be come in as [`Intent`]s, with what devices have talked to ([`Talk`]s); a [`Plan`]
//! goes out. Both judge the same packets, by the functions that the kernel program is made of. Nothing here reads a
//! file, a map or a clock, and nothing is written: whoever asks for a plan has changed nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::contacts::Direction;
use crate::diagnostic::Diagnostic;
use crate::intent::Intent;

mod changes;
mod collect;
mod lists;
mod packet;
mod talk;
mod tables;
mod text;
mod verdicts;

pub use changes::{Changes, FieldChange, ItemChange, Items, Lines, RuleLine};
pub use lists::FeedChange;
pub use tables::{Room, TableChange, fits};
pub use talk::{KnownFrom, Talk, Talks};

use collect::Collected;
use verdicts::{Comparison, Turn};

/// Talks that are cut, and talks that are opened, that a plan lists one by one at most; of others there is a number.
pub const MOST_LISTED: usize = 10_000;

/// What a plan is made of, beside talks.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'g> {
    /// What is in force; nothing where that is not known, so that all that devices did counts as allowed.
    pub before: Option<&'g Intent>,
    /// The candidate.
    pub after: &'g Intent,
    /// Which addresses DHCP has given, by the number of the device.
    pub leases: &'g [(u32, std::net::IpAddr)],
    /// What the tables have room for.
    pub room: Room,
    /// Nanoseconds since the host was booted: grants end by it.
    pub now: u64,
}

/// What would change, and whom it would cut.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Whether the candidate can be loaded at all; where not, `errors` say why, and all else is empty.
    pub valid: bool,
    /// What is wrong with it, as `check` says it.
    pub errors: Vec<Diagnostic>,
    /// What it is compared with: `agent`, what an agent has loaded; `files`, those that the configuration names;
    /// `history`, nothing but what devices did.
    pub compared_with: String,
    /// The generation that is in force, where an agent has said so.
    pub generation: Option<u32>,
    /// What it says otherwise.
    pub changes: Changes,
    /// What devices do and could do no more, the gravest first.
    pub cuts: Vec<Turned>,
    /// How many more of them there are.
    pub more_cuts: usize,
    /// What was dropped, or reported as `would-drop`, and would pass.
    pub opens: Vec<Turned>,
    /// How many more of them there are.
    pub more_opens: usize,
    /// How many talks would pass as before and be reported as `would-drop`.
    pub newly_reported: usize,
    /// Talks of this moment and later were looked at.
    pub since: Timestamp,
    /// How many were looked at.
    pub contacts: usize,
    /// How many of them could not be judged: nothing is known of the device any more, or of its address.
    pub not_judged: usize,
    /// What deserves a look.
    pub warnings: Vec<Diagnostic>,
}

/// Says what becomes of talks by what is in force alone.
#[derive(Debug)]
pub struct Judge<'g>(Comparison<'g>);

impl<'g> Judge<'g> {
    /// By this intent; `leases` and `now` are as of [`Ground`].
    #[must_use]
    pub fn new(intent: &'g Intent, leases: &'g [(u32, std::net::IpAddr)], now: u64) -> Self {
        let ground = Ground { before: None, after: intent, leases, room: Room::default(), now };
        Self(Comparison::new(ground))
    }

    /// What becomes of a talk; nothing where nobody can say.
    #[must_use]
    pub fn say(&self, talk: &Talk) -> Option<Turned> {
        self.0.said(talk)
    }

    /// The device that has an address.
    #[must_use]
    pub fn holder(&self, address: std::net::IpAddr) -> Option<&'g str> {
        self.0.holder(address)
    }
}

/// A talk of which the candidate says something else than what is in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Turned {
    /// The device.
    pub device: String,
    /// Its profile, in the candidate where it has one there.
    pub profile: Option<String>,
    /// The far end.
    pub peer: String,
    /// The endpoint by which the policy names the far end, or the device that it is.
    pub endpoint: Option<String>,
    /// The service, as rules write it.
    pub service: String,
    /// `from-device` or `to-device`: who opens.
    pub direction: String,
    /// When first.
    pub first_seen: Timestamp,
    /// When last.
    pub last_seen: Timestamp,
    /// Packets both ways.
    pub packets: u64,
    /// Bytes both ways.
    pub bytes: u64,
    /// How it is known.
    pub known_from: KnownFrom,
    /// What the candidate makes of the packet that opens it: `pass`, `drop`, `would-drop` or `reset`.
    pub verdict: String,
    /// Why, as in events.
    pub reason: String,
    /// The same, in words.
    pub why: String,
    /// The rule that would allow it.
    pub rule: Option<String>,
    /// The feed that lists the far end.
    pub feed: Option<String>,
    /// Its entry.
    pub entry: Option<String>,
    /// The score of the entry.
    pub score: Option<u8>,
    /// The country of the far end, where it is refused for that.
    pub country: Option<String>,
    /// What is in force makes of it; nothing where that is not known.
    pub was: Option<Was>,
}

/// What is in force makes of a talk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Was {
    /// The verdict.
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// The rule that allows it.
    pub rule: Option<String>,
}

impl Plan {
    /// Of a candidate that cannot be loaded.
    #[must_use]
    pub fn invalid(found: Vec<Diagnostic>) -> Self {
        let (errors, warnings) = found.into_iter().partition(Diagnostic::is_error);
        Self { errors, warnings, ..Self::default() }
    }

    /// Whether somebody should think again: the candidate cannot be loaded, does not fit, or cuts something.
    #[must_use]
    pub fn is_finding(&self) -> bool {
        !self.valid || !self.cuts.is_empty() || !fits(&self.changes.tables)
    }
}

/// What the tables take before and after.
#[must_use]
pub fn tables(ground: &Ground<'_>) -> Vec<TableChange> {
    tables::of(ground)
}

/// A plan in the making.
#[derive(Clone, Debug)]
pub struct Planning<'g> {
    comparison: Comparison<'g>,
    cuts: Collected,
    opens: Collected,
    plan: Plan,
}

impl<'g> Planning<'g> {
    /// Says what changes, before any talk is looked at.
    #[must_use]
    pub fn begin(ground: Ground<'g>, since: Timestamp) -> Self {
        let changes = Changes::of(&ground);
        let mut warnings = ground.after.warnings.clone();
        warnings.extend(tables::warnings(&changes.tables));
        warnings.extend(verdicts::warnings(&ground));
        let plan = Plan { valid: true, changes, since, warnings, ..Plan::default() };
        let (cuts, opens) = Default::default();
        Self { comparison: Comparison::new(ground), cuts, opens, plan }
    }

    /// Looks at a talk.
    pub fn hear(&mut self, talk: &Talk) {
        let Some(talk) = self.comparison.of_its_opener(talk) else { return };
        self.plan.contacts += 1;
        match self.comparison.turn(&talk) {
            Turn::Same => {}
            Turn::NotJudged => self.plan.not_judged += 1,
            Turn::Reported => self.plan.newly_reported += 1,
            Turn::Cut(turned) => self.cuts.add(*turned),
            Turn::Opened(turned) => self.opens.add(*turned),
        }
    }

    /// The plan.
    #[must_use]
    pub fn end(self) -> Plan {
        let Self { cuts, opens, mut plan, .. } = self;
        (plan.cuts, plan.more_cuts) = cuts.listed();
        (plan.opens, plan.more_opens) = opens.listed();
        plan
    }

    /// Something else that deserves a look.
    pub fn warn(&mut self, warning: Diagnostic) {
        self.plan.warnings.push(warning);
    }
}
