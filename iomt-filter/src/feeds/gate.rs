//! The gate of a whole list: what came may be cut off, an error page, poisoned, or cut what devices need.
//!
//! A reading of a feed, what the feed listed before and what devices talked to come in. What the guard leaves of
//! the list goes out, with every reason to hold it back. Whoever asks lets the list before stay where there is one;
//! nothing is decided here about what an operator released.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::formats::{Reject, RejectReason, Remark};
use super::guard::{Guard, Sifted};
use super::list::{Changes, List};

mod held;

pub use held::{Held, Warning};

/// How long ago a device may have talked to a far end for it to count.
pub const IMPACT_DAYS: i64 = 30;
/// Faulty lines, and guarded entries, that a list may have however short it is.
const FEW: usize = 5;
/// Cuts that are told one by one; the others are counted.
const MOST_CUTS: usize = 100;

/// What a list may be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Fewer entries and domains hold it; a list of none is a matter of `allow_empty`.
    pub min_entries: usize,
    /// Whether the list may be empty, if it is well formed.
    pub allow_empty: bool,
    /// More entries and domains hold it.
    pub max_entries: usize,
    /// By how many percent of the last good list it may grow.
    pub max_growth: u32,
    /// By how many percent of the last good list it may shrink.
    pub max_shrink: u32,
    /// By how many entries it may grow and shrink whatever share that is.
    pub slack: usize,
    /// How many percent of its lines may be faulty.
    pub max_rejected: u32,
    /// How many percent of its entries the guard may remove.
    pub max_removed: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            min_entries: 1,
            allow_empty: false,
            max_entries: 2_000_000,
            max_growth: 100,
            max_shrink: 50,
            slack: 200,
            max_rejected: 10,
            max_removed: 25,
        }
    }
}

/// A far end that a device talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FarEnd {
    /// The name of the device.
    pub device: String,
    /// The address of the far end.
    pub address: IpAddr,
    /// When they last talked.
    pub seen: Timestamp,
    /// From which score on the device's profile blocks, 0 to 100.
    pub block_score: u8,
}

/// A far end that the list would cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The name of the device.
    pub device: String,
    /// The far end.
    pub peer: IpAddr,
    /// The gravest entry that covers it.
    pub entry: IpNet,
    /// Its score.
    pub score: u8,
    /// Its line.
    pub line: u32,
    /// When they last talked.
    pub seen: Timestamp,
}

/// A list that wants to be loaded.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'c> {
    /// The list after the reading, before the guard.
    pub list: &'c List,
    /// What the reading changed.
    pub changes: Changes,
    /// How many entries and domains were read, duplicates counted.
    pub read: usize,
    /// What of the reading is of no use.
    pub rejects: &'c [Reject],
    /// What the list says of itself.
    pub remarks: &'c [Remark],
    /// The list that is live, before the guard; nothing where there is none.
    pub last_good: Option<&'c List>,
    /// The score of entries that have none of their own.
    pub score: u8,
    /// Entries below this score are not used.
    pub min_score: u8,
    /// What devices talked to.
    pub far_ends: &'c [FarEnd],
    /// When this is.
    pub now: Timestamp,
}

/// What the gate says.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// What the guard leaves of the list.
    pub sifted: Sifted,
    /// Why the list must not be loaded; it may be where there is nothing.
    pub held: Vec<Held>,
    /// What deserves a look and holds nothing.
    pub warnings: Vec<Warning>,
}

/// Judges a list.
#[must_use]
pub fn judge(limits: &Limits, guard: &Guard, candidate: &Candidate<'_>) -> Judged {
    let sifted = guard.sift(candidate.list);
    let mut held = Vec::new();
    match unusable(candidate) {
        Some(reason) => held.push(reason),
        None => {
            held.extend(size(limits, candidate));
            held.extend(rejected(limits, candidate));
        }
    }
    held.extend(removed(limits, candidate, &sifted));
    let mut warnings = Vec::new();
    for remark in candidate.remarks {
        match remark {
            Remark::Deprecated(line) => warnings.push(Warning::Deprecated { line: line.clone() }),
            &Remark::Count { said, found } => held.push(Held::Count { said, found }),
            &Remark::Unread { field, line, count } => {
                warnings.push(Warning::Unread { field: field.to_owned(), line, count });
            }
        }
    }
    held.extend(impact(guard, candidate, &sifted.list));
    Judged { sifted, held, warnings }
}

/// Whether this is no list at all, or one of which nothing can be read.
fn unusable(candidate: &Candidate<'_>) -> Option<Held> {
    let is_other = |reject: &&Reject| matches!(reject.reason, RejectReason::Html | RejectReason::Binary);
    let other = candidate.rejects.iter().find(is_other);
    let fault = || candidate.rejects.iter().find(|reject| reject.reason.is_fault());
    let nothing = (candidate.read == 0).then(fault).flatten();
    let first = other.or(nothing)?;
    let rejected = candidate.rejects.len();
    Some(Held::Unusable { rejected, line: first.line, reason: first.reason.to_string() })
}

/// Whether it has too few or too many entries, by themselves and beside the last good list.
fn size(limits: &Limits, candidate: &Candidate<'_>) -> Vec<Held> {
    let entries = candidate.list.present();
    let mut held = Vec::new();
    if entries == 0 {
        if !limits.allow_empty {
            held.push(Held::Empty { ended: candidate.changes.ended });
        }
        return held;
    }
    if entries < limits.min_entries {
        held.push(Held::TooFew { entries, least: limits.min_entries });
    }
    if entries > limits.max_entries {
        held.push(Held::TooMany { entries, most: limits.max_entries });
    }
    let Some(before) = candidate.last_good.map(List::present).filter(|&before| before > 0) else {
        return held;
    };
    let limit = limits.max_growth;
    if is_more(entries.saturating_sub(before), limits.slack, before, limit) {
        held.push(Held::Grown { before, entries, limit });
    }
    let limit = limits.max_shrink;
    if is_more(before.saturating_sub(entries), limits.slack, before, limit) {
        held.push(Held::Shrunk { before, entries, limit });
    }
    held
}

/// Whether a part is more than `slack`, and more than `percent` of a whole.
fn is_more(part: usize, slack: usize, whole: usize, percent: u32) -> bool {
    part > slack && part as u128 * 100 > whole as u128 * u128::from(percent)
}

/// Whether too many lines are faulty.
fn rejected(limits: &Limits, candidate: &Candidate<'_>) -> Option<Held> {
    let mut faults = candidate.rejects.iter().filter(|reject| reject.reason.is_fault());
    let first = faults.next()?;
    let rejected = faults.count() + 1;
    let lines = candidate.read + rejected;
    let limit = limits.max_rejected;
    is_more(rejected, FEW, lines, limit).then(|| Held::Rejected {
        rejected,
        lines,
        limit,
        line: first.line,
        reason: first.reason.to_string(),
    })
}

/// Whether the guard removes too much, or leaves nothing.
fn removed(limits: &Limits, candidate: &Candidate<'_>, sifted: &Sifted) -> Option<Held> {
    let first = sifted.removed.iter().find(|removed| removed.part == removed.entry)?;
    let (removed, entries) = (sifted.removed_entries(), candidate.list.networks().len());
    let limit = limits.max_removed;
    let leaves_nothing = sifted.list.is_empty();
    (leaves_nothing || is_more(removed, FEW, entries, limit)).then(|| Held::Removed {
        removed,
        entries,
        limit,
        entry: first.entry,
        reason: first.reason.to_string(),
    })
}

/// Which far ends the list would cut off that are not cut off by the last good one already.
fn impact(guard: &Guard, candidate: &Candidate<'_>, list: &List) -> Option<Held> {
    let now = candidate.now;
    let since = now.saturating_sub(SignedDuration::from_hours(IMPACT_DAYS * 24));
    let since = since.unwrap_or(Timestamp::MIN);
    let gravest = |list: &List, far_end: &FarEnd| {
        let live = list.covering(far_end.address).filter(|kept| !list.has_ended(*kept, now));
        let scored = live.map(|kept| (kept.score.unwrap_or(candidate.score), kept.what, kept.line));
        let grave = scored.filter(|&(score, ..)| score >= far_end.block_score.max(candidate.min_score));
        grave.max_by_key(|&(score, network, _)| (score, network.prefix_len()))
    };
    let mut cuts: Vec<Cut> = Vec::new();
    for far_end in candidate.far_ends {
        if far_end.seen < since || guard.spares(far_end.address) {
            continue;
        }
        let Some((score, entry, line)) = gravest(list, far_end) else { continue };
        if candidate.last_good.is_some_and(|last_good| gravest(last_good, far_end).is_some()) {
            continue;
        }
        let (device, peer, seen) = (far_end.device.clone(), far_end.address, far_end.seen);
        cuts.push(Cut { device, peer, entry, score, line, seen });
    }
    let total = cuts.len();
    cuts.sort_by_key(|cut| Reverse(cut.seen));
    cuts.truncate(MOST_CUTS);
    (total > 0).then_some(Held::Impact { cuts, total })
}

#[cfg(test)]
mod tests;
