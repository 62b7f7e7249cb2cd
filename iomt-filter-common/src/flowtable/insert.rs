//! Places for flows that are new.

use super::{
    ADDRESSES, BUSY, JUDGED_BITS, Key, Place, Set, Sets, WAYS, detail, fill, is_claimed, judge, next_version,
    word_of, word_of_addresses, word_of_tag,
};
use crate::flow::{self, Flow, FlowKey, Progress};

/// How long an answered flow was silent before it gives its place to another one, in nanoseconds.
const IDLE: u64 = 300_000_000_000;
/// With so many flows a set takes another one without a look at the other set: its flows are then found at once.
const FEW: u32 = 1;

/// Remembers a flow, where it was unless it is known to be `absent`, or in the best place that there is; whether
/// there was one. Two that do so at once may remember it twice; it is then found in one of both places. A flow with
/// traffic gives its place to nobody.
#[inline(always)]
pub fn insert<S: Sets>(key: &FlowKey, flow: &Flow, absent: bool, sets: &S) -> bool {
    let wanted = Key::of(key, sets.secret());
    let before = if absent { Place::default() } else { sets.find(key) };
    if before.tag != 0 {
        return take(key, &wanted, flow, sets, before.set, before.way);
    }
    let [first, second] = wanted.sets(sets.count(wanted.is_v4));
    let free = free_in(first, wanted.is_v4, sets);
    if free < WAYS && take(key, &wanted, flow, sets, first, free) {
        return true;
    }
    let one = best_in(first, wanted.is_v4, flow.last_seen, sets);
    let other = best_in(second, wanted.is_v4, flow.last_seen, sets);
    let (best, number) = if other > one { (other, second) } else { (one, first) };
    best >= WAYS as u64 && take(key, &wanted, flow, sets, number, best as u32)
}

/// A free way of a set that has [`FEW`] flows at most; [`WAYS`] for none.
#[inline(always)]
fn free_in<S: Sets>(number: u32, is_v4: bool, sets: &S) -> u32 {
    let Some(set) = sets.set(is_v4, number) else { return WAYS };
    let (mut free, mut count, mut way) = (WAYS, 0, 0);
    while way < WAYS {
        if set.load(word_of_tag(way)) == 0 {
            (free, count) = (way, count + 1);
        }
        way += 1;
    }
    if count >= WAYS - FEW { free } else { WAYS }
}

/// The way of a set that is best given to a flow, below what that is worth; of two alike that of the emptier set, and
/// of the first one where both have few.
#[inline(always)]
fn best_in<S: Sets>(number: u32, is_v4: bool, now: u64, sets: &S) -> u64 {
    let Some(set) = sets.set(is_v4, number) else { return 0 };
    let (mut best, mut taken, mut way) = (0, 0, 0);
    while way < WAYS {
        let tag = set.load(word_of_tag(way));
        // Without a comparison, of which the verifier would follow both outcomes from here on.
        taken += (tag | tag.wrapping_neg()) >> 63;
        let candidate = sets.worth(is_v4, number, way, now) * WAYS as u64 + way as u64;
        best = if candidate > best { candidate } else { best };
        way += 1;
    }
    best.saturating_sub(taken.saturating_sub(FEW as u64) * WAYS as u64)
}

/// What [`Sets::worth`] does: how good it is to give a place to another flow at `now`; 0 for one that stays.
#[inline(always)]
pub fn worth<S: Sets>(is_v4: bool, number: u32, way: u32, now: u64, sets: &S) -> u64 {
    const FREE: u64 = 1 << 60;
    const DEAD: u64 = 1 << 59;
    const UNANSWERED: u64 = 1 << 58;
    /// More than the places of a set, so that what is worth anything stays so.
    const LEAST: u64 = 8;
    let Some(set) = sets.set(is_v4, number) else { return 0 };
    let way = way & (WAYS - 1);
    let tag = set.load(word_of_tag(way));
    if tag == 0 {
        return FREE;
    }
    if is_claimed(tag) {
        return 0;
    }
    let idle = now.saturating_sub(set.load(word_of(way, detail::SEEN)));
    let progress = (set.load(word_of(way, detail::OWNERS)) >> 56) as u8;
    let kind = if idle > flow::timeout((tag >> JUDGED_BITS) as u8, progress) {
        DEAD
    } else if progress != Progress::Established as u8 {
        UNANSWERED
    } else if idle > IDLE {
        LEAST
    } else {
        return 0;
    };
    kind + (idle >> 20)
}

/// Takes a place, and fills it.
#[inline(always)]
fn take<S: Sets>(key: &FlowKey, wanted: &Key, flow: &Flow, sets: &S, number: u32, way: u32) -> bool {
    let way = way & (WAYS - 1);
    let Some(set) = sets.set(wanted.is_v4, number) else { return false };
    let before = set.load(word_of_tag(way));
    if is_claimed(before) || !set.exchange(word_of_tag(way), before, BUSY) {
        return false;
    }
    set.store(word_of_addresses(way), wanted.addresses);
    if !wanted.is_v4 {
        let first = ADDRESSES + way * 4;
        let ([a, b], [c, d]) = (key.source.words(), key.destination.words());
        set.store(first, a);
        set.store(first + 1, b);
        set.store(first + 2, c);
        set.store(first + 3, d);
    }
    fill(set, way, flow);
    judge(set, way, flow);
    set.store(word_of_tag(way), wanted.tag(next_version(before), flow.generation));
    true
}
