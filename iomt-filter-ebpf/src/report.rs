//! Counts every frame exactly, and records those worth a record. Never changes a verdict.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::bindings::{BPF_NOEXIST, BPF_RB_NO_WAKEUP};
use aya_ebpf::programs::XdpContext;
use iomt_filter_common::counters::{self, EventLimit, Fate, REASONS};
use iomt_filter_common::event::Event;
use iomt_filter_common::trial::Difference;
use iomt_filter_common::watch::{self, Watched};
use iomt_filter_common::{Case, Decision, Verdict};

use crate::maps::{self, COUNTERS, DIFFERENCES, EVENTS, FATES, LIMITS, UNWATCHED, WATCHED};
use crate::tables::Maps;

/// Counts a frame under its device, verdict and reason.
#[inline(always)]
pub(crate) fn count(index: u32) {
    increment(COUNTERS.get_ptr_mut(index));
}

/// Counts a frame that is dropped without a record, because its device had enough of them; `false` where it is to have
/// one, and nothing was counted.
#[inline(always)]
pub(crate) fn is_suppressed(device: u32, reason: u8) -> bool {
    let Some(limit) = LIMITS.get_ptr_mut(device * REASONS + u32::from(reason)) else { return false };
    // SAFETY: the value is this CPU's own, and a program is not interrupted by itself on one CPU.
    let limit: &mut EventLimit = unsafe { &mut *limit };
    if !limit.suppress(maps::moment().now, maps::events_per_second()) {
        return false;
    }
    increment(FATES.get_ptr_mut(counters::fate_index(Verdict::Drop, Fate::Suppressed)));
    count(counters::index(device, Verdict::Drop, reason));
    true
}

/// Whether a frame did not simply pass; in a replay, every one.
#[inline(always)]
pub(crate) fn is_worth_a_record(decision: &Decision) -> bool {
    maps::is_replay() || decision.verdict() as u8 != Verdict::Pass as u8
}

/// Writes a record, within the device's limit.
#[inline(always)]
pub(crate) fn emit(context: &XdpContext, case: &Case) {
    let decision = &case.decision;
    let verdict = decision.verdict();
    let count = if maps::is_replay() {
        1
    } else {
        match take_token(decision, case.now) {
            Some(count) => count,
            None => return increment(FATES.get_ptr_mut(counters::fate_index(verdict, Fate::Suppressed))),
        }
    };
    let fate = match EVENTS.reserve::<Event>(0) {
        Some(mut record) => {
            record.write(Event {
                time: if maps::is_replay() { case.now } else { maps::clock() },
                count,
                interface: context.ingress_ifindex() as u32,
                port: case.port() as u32,
                packet: case.packet,
                decision: *decision,
            });
            record.submit(u64::from(BPF_RB_NO_WAKEUP));
            Fate::Emitted
        }
        None => Fate::Lost,
    };
    increment(FATES.get_ptr_mut(counters::fate_index(verdict, fate)));
}

/// Counts a frame that two generations have judged, and their difference, where there is one.
#[inline(always)]
pub(crate) fn count_trial(judged: &Decision, tried: &Decision) {
    count_difference(&Difference::default());
    if let Some(difference) = Difference::between(judged, tried) {
        count_difference(&difference);
    }
}

#[inline(always)]
fn count_difference(difference: &Difference) {
    match DIFFERENCES.get_ptr_mut(difference) {
        Some(counter) => increment(Some(counter)),
        None if DIFFERENCES.insert(difference, &1, 0).is_ok() => {}
        None => increment(DIFFERENCES.get_ptr_mut(Difference::UNCOUNTED)),
    }
}

/// Adds the packet of a case to its conversation, which no rule allows.
#[inline(always)]
pub(crate) fn watch(case: &Case) {
    let (key, first) = watch::conversation(case, &Maps::of(case));
    let known = WATCHED.get_ptr_mut(key).or_else(|| WATCHED.get_ptr_mut(key.reversed()));
    if let Some(known) = known {
        add_to(known, &first);
    } else if WATCHED.insert(key, first, u64::from(BPF_NOEXIST)).is_err() {
        match WATCHED.get_ptr_mut(key) {
            // Another CPU was first.
            Some(known) => add_to(known, &first),
            None => increment(UNWATCHED.get_ptr_mut(0)),
        }
    }
}

#[inline(always)]
fn add_to(known: *mut Watched, packet: &Watched) {
    // SAFETY: a value of the table, which stays memory of it while a program runs; other CPUs add by the same atomic
    // operations, and which of them writes the time last does not matter.
    unsafe {
        add(&raw mut (*known).packets, packet.packets);
        add(&raw mut (*known).bytes, packet.bytes);
        (&raw mut (*known).last_seen).write_volatile(packet.last_seen);
    }
}

/// # Safety
/// `word` is aligned, and written by atomic operations alone.
#[inline(always)]
unsafe fn add(word: *mut u64, more: u64) {
    // SAFETY: as the caller promises.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(word, more) };
}

#[inline(always)]
fn take_token(decision: &Decision, now: u64) -> Option<u64> {
    let index = decision.device * REASONS + u32::from(decision.reason_number());
    let Some(limit) = LIMITS.get_ptr_mut(index) else { return Some(1) };
    // SAFETY: the value is this CPU's own, and a program is not interrupted by itself on one CPU.
    let limit: &mut EventLimit = unsafe { &mut *limit };
    limit.take(now, maps::events_per_second())
}

#[inline(always)]
fn increment(counter: Option<*mut u64>) {
    if let Some(counter) = counter {
        // SAFETY: the value is this CPU's own, and a program is not interrupted by itself on one CPU.
        unsafe { *counter += 1 };
    }
}
