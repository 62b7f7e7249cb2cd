//! The flow table in the program's maps; see [`flowtable`].
//!
//! Looking for a flow and remembering one have functions with symbols of their own, which the verifier walks once:
//! see [`stages`](crate::stages).

use core::intrinsics::{AtomicOrdering, atomic_cxchg};

use iomt_filter_common::flow::{Flow, FlowKey};
use iomt_filter_common::flowtable::{self, Place, Recalled, Set, Sets, Sighting, V4_WORDS, V6_WORDS};

use crate::maps::{FLOW_SECRET, FLOWS_V4, FLOWS_V6, flow_sets, given, seen, shown};

/// The sets of both families.
#[derive(Clone, Copy)]
pub(crate) struct Flows;

/// The words of one set.
#[derive(Clone, Copy)]
pub(crate) struct Words(*mut u64);

impl Set for Words {
    #[inline(always)]
    fn load(self, word: u32) -> u64 {
        // SAFETY: `flowtable` asks for words of a set only; volatile, because other CPUs write them at any time.
        unsafe { self.0.add(word as usize).read_volatile() }
    }

    #[inline(always)]
    fn store(self, word: u32, value: u64) {
        // SAFETY: as above.
        unsafe { self.0.add(word as usize).write_volatile(value) }
    }

    #[inline(always)]
    fn exchange(self, word: u32, seen: u64, value: u64) -> bool {
        // SAFETY: as above.
        unsafe {
            let word = self.0.add(word as usize);
            atomic_cxchg::<u64, { AtomicOrdering::Relaxed }, { AtomicOrdering::Relaxed }>(word, seen, value).1
        }
    }
}

impl Sets for Flows {
    type Set = Words;

    #[inline(always)]
    fn set(&self, is_v4: bool, number: u32) -> Option<Words> {
        let first: *mut u64 =
            if is_v4 { FLOWS_V4.get_ptr_mut(number)?.cast() } else { FLOWS_V6.get_ptr_mut(number)?.cast() };
        Some(Words(first))
    }

    #[inline(always)]
    fn count(&self, is_v4: bool) -> u32 {
        flow_sets(is_v4)
    }

    #[inline(always)]
    fn secret(&self) -> u64 {
        FLOW_SECRET.get(0).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn find(&self, key: &FlowKey) -> Place {
        let mut place = Place::default();
        iomt_find_flow(shown(key), &mut place);
        place
    }

    #[inline(always)]
    fn worth(&self, is_v4: bool, number: u32, way: u32, now: u64) -> u64 {
        iomt_worth(u32::from(is_v4), number, way, now)
    }
}

const _: () = assert!(V4_WORDS == 40 && V6_WORDS == 56);

/// Remembers a flow, where there is a place for it.
#[inline(always)]
pub(crate) fn remember(key: &FlowKey, flow: &Flow, absent: bool) {
    // A flow that cannot be remembered is judged again with its next packet.
    iomt_remember_flow(shown(key), shown(flow), u32::from(absent));
}

/// Adds a packet to its flow, see [`flowtable::recall`]. IPv6 in a function of its own: for both there is not stack
/// enough.
#[inline(always)]
pub(crate) fn recall(key: &FlowKey, seen: &Sighting) -> Recalled {
    if key.source.is_v4() {
        return flowtable::recall(key, seen, &Flows);
    }
    Recalled(iomt_recall_v6(shown(key), shown(seen)))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_recall_v6(key: *mut FlowKey, sighting: *mut Sighting) -> u64 {
    let (Some(key), Some(sighting)) = (seen(key), seen(sighting)) else { return 0 };
    if key.source.is_v4() {
        return 0;
    }
    flowtable::recall(key, sighting, &Flows).0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_find_flow(key: *mut FlowKey, place: *mut Place) -> u32 {
    let (Some(key), Some(place)) = (seen(key), given(place)) else { return 0 };
    *place = flowtable::find(key, &Flows);
    u32::from(place.tag != 0)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_worth(is_v4: u32, number: u32, way: u32, now: u64) -> u64 {
    flowtable::worth(is_v4 != 0, number, way, now, &Flows)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_remember_flow(key: *mut FlowKey, flow: *mut Flow, absent: u32) -> u32 {
    let (Some(key), Some(flow)) = (seen(key), seen(flow)) else { return 0 };
    u32::from(flowtable::insert(key, flow, absent != 0, &Flows))
}
