//! The gate of a whole list: what came may be cut off, an error page, poisoned, or cut what devices need.
//!
//! A reading of a feed, what the feed listed before and what devices talked to come in. What the guard leaves of
//! the list goes out, with every reason to hold it back. Whoever asks lets the list before stay where there is one;
//! nothing is decided here about what an operator released.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::formats::{Reject, RejectReason, Remark};
use super::guard::{Guard, MOST_SPARED, Sifted, Spared};
use super::list::{Changes, Kept, List};

mod held;

pub use held::{Held, Warning};

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
    /// More entries and domains hold it, those among them that the feed no longer has and that stay for now.
    pub max_entries: usize,
    /// More IPv4 addresses than this hold it, unless the last good list covers about as many.
    pub max_addresses: u64,
    /// By how many percent it may grow: of the last good list, and of what was listed up to a day ago.
    pub max_growth: u32,
    /// By how many percent of the last good list it may shrink.
    pub max_shrink: u32,
    /// How many percent of the last good list's entries may be exchanged for others at once; 100: all.
    pub max_churn: u32,
    /// By how many entries it may grow, shrink and be exchanged whatever share that is.
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
            max_addresses: 1 << 25,
            max_growth: 100,
            max_shrink: 50,
            // Lists of what was seen last turn over by half in a few days; one that is another list altogether, at
            // the same address, turns over whole.
            max_churn: 75,
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
    /// What devices talked to: whatever is in it counts.
    pub far_ends: &'c [FarEnd],
    /// How far back that goes, for the words.
    pub impact: Duration,
    /// Whether this is a `never_block` list: no list blocks what it names.
    pub spares: bool,
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
            held.extend(exchanged(limits, candidate));
            held.extend(rejected(limits, candidate));
        }
    }
    held.extend(removed(limits, candidate, &sifted));
    held.extend(wide(limits, candidate, &sifted.list));
    held.extend(sparing(candidate, &sifted.list));
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
    let first = sifted.removed.first().filter(|_| candidate.spares);
    let count = sifted.removed_entries();
    warnings.extend(first.map(|first| Warning::NotSpared { entry: first.entry, count }));
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
    let list = candidate.list;
    let entries = list.present();
    let mut held = Vec::new();
    if list.len() > limits.max_entries {
        let (entries, gone) = (list.len(), list.len() - entries);
        held.push(Held::TooMany { entries, gone, most: limits.max_entries });
    }
    if entries == 0 {
        if !limits.allow_empty {
            held.push(Held::Empty { ended: candidate.changes.ended });
        }
        return held;
    }
    if entries < limits.min_entries {
        held.push(Held::TooFew { entries, least: limits.min_entries });
    }
    let last_good = candidate.last_good.map(List::present).filter(|&before| before > 0);
    let baseline = list.baseline().filter(|_| candidate.last_good.is_some());
    let limit = limits.max_growth;
    let compared = last_good.map(|before| (before, None)).into_iter();
    let mut compared = compared.chain(baseline.map(|(since, before)| (before, Some(since))));
    let has_grown = |before: usize| is_more(entries.saturating_sub(before), limits.slack, before, limit);
    if let Some((before, since)) = compared.find(|&(before, _)| has_grown(before)) {
        held.push(Held::Grown { before, entries, limit, since });
    }
    let before = last_good.unwrap_or_default();
    let limit = limits.max_shrink;
    if is_more(before.saturating_sub(entries), limits.slack, before, limit) {
        held.push(Held::Shrunk { before, entries, limit });
    }
    held
}

/// Whether too much of the last good list has made way for other entries. What only came or only went is not counted:
/// growth and shrinkage have limits of their own.
fn exchanged(limits: &Limits, candidate: &Candidate<'_>) -> Option<Held> {
    let last_good = candidate.last_good?;
    let (before, entries) = (last_good.present(), candidate.list.present());
    let still = candidate.list.in_common(last_good);
    let exchanged = before.saturating_sub(still).min(entries.saturating_sub(still));
    let limit = limits.max_churn;
    is_more(exchanged, limits.slack, before, limit).then_some(Held::Exchanged { before, exchanged, limit })
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

/// Whether what the guard leaves covers too much of the internet.
fn wide(limits: &Limits, candidate: &Candidate<'_>, list: &List) -> Option<Held> {
    let before = candidate.last_good.map_or(0, addresses);
    let (addresses, most) = (addresses(list), limits.max_addresses);
    let is_held = !candidate.spares && addresses > most && addresses > before.saturating_add(before / 10);
    is_held.then_some(Held::Wide { addresses, most })
}

/// How many IPv4 addresses a list covers, each once.
fn addresses(list: &List) -> u64 {
    let (mut end, mut covered) = (0, 0);
    for kept in list.networks() {
        // They stand first, and in order.
        let IpNet::V4(network) = kept.what else { break };
        let (first, last) =
            (u64::from(u32::from(network.network())), u64::from(u32::from(network.broadcast())));
        if last >= end {
            covered += last + 1 - first.max(end);
            end = last + 1;
        }
    }
    covered
}

/// Whether the guard removes too much of the reading, or leaves nothing of it.
fn removed(limits: &Limits, candidate: &Candidate<'_>, sifted: &Sifted) -> Option<Held> {
    let is_present = |network| candidate.list.get(network).is_some_and(Kept::is_present);
    let whole = sifted.removed.iter().filter(|removed| removed.part == removed.entry);
    let mut whole = whole.filter(|removed| is_present(removed.entry));
    let first = whole.next()?;
    let removed = whole.count() + 1;
    let entries = candidate.list.networks().iter().filter(|kept| kept.is_present()).count();
    let limit = limits.max_removed;
    let leaves_nothing = sifted.list.present() == 0;
    (leaves_nothing || is_more(removed, FEW, entries, limit)).then(|| Held::Removed {
        removed,
        entries,
        limit,
        entry: first.entry,
        reason: first.reason.to_string(),
    })
}

/// Whether a `never_block` list would spare too much of the internet, with what stays of its earlier readings.
fn sparing(candidate: &Candidate<'_>, list: &List) -> Option<Held> {
    if !candidate.spares {
        return None;
    }
    let spared = Spared::of(list.networks().iter().map(|kept| kept.what));
    let Spared { addresses, sites } = spared;
    let most = MOST_SPARED;
    spared.is_too_much().then_some(Held::Sparing {
        addresses,
        most_addresses: most.addresses,
        sites,
        most_sites: most.sites,
    })
}

/// Which far ends the list would cut off that are not cut off by the last good one already.
fn impact(guard: &Guard, candidate: &Candidate<'_>, list: &List) -> Option<Held> {
    let now = candidate.now;
    let gravest = |list: &List, far_end: &FarEnd| {
        let live = list.covering(far_end.address).filter(|kept| !list.has_ended(*kept, now));
        let scored = live.map(|kept| (kept.score.unwrap_or(candidate.score), kept.what, kept.line));
        let grave = scored.filter(|&(score, ..)| score >= far_end.block_score.max(candidate.min_score));
        grave.max_by_key(|&(score, network, _)| (score, network.prefix_len()))
    };
    let mut cuts: Vec<Cut> = Vec::new();
    for far_end in candidate.far_ends {
        if guard.spares(far_end.address) {
            continue;
        }
        let Some((score, entry, line)) = gravest(list, far_end) else { continue };
        if candidate.last_good.is_some_and(|last_good| gravest(last_good, far_end).is_some()) {
            continue;
        }
        let (device, peer, seen) = (far_end.device.clone(), far_end.address, far_end.seen);
        cuts.push(Cut { device, peer, entry, score, line, seen });
    }
    // A device talks to one far end by many services.
    cuts.sort_by(|one, other| {
        (&one.device, one.peer, Reverse(one.seen)).cmp(&(&other.device, other.peer, Reverse(other.seen)))
    });
    cuts.dedup_by(|one, latest| (&one.device, one.peer) == (&latest.device, latest.peer));
    let total = cuts.len();
    cuts.sort_by_key(|cut| Reverse(cut.seen));
    cuts.truncate(MOST_CUTS);
    (total > 0).then_some(Held::Impact { cuts, total, seconds: candidate.impact.as_secs() })
}

#[cfg(test)]
mod tests;
