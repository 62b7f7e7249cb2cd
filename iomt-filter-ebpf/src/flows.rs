//! The flow table in the program's maps; see [`flowtable`].
//!
//! Looking for a flow and remembering one have functions with symbols of their own, which the verifier walks once:
//! see [`stages`](crate::stages).

use core::intrinsics::{AtomicOrdering, atomic_cxchg};

use iomt_filter_common::flow::{Flow, FlowKey};
use iomt_filter_common::flowtable::{self, Place, Set, Sets, V4_WORDS, V6_WORDS};
use iomt_filter_common::tables::FlowEntry;

use crate::maps::{FLOW_SECRET, FLOWS_V4, FLOWS_V6, flow_sets, given};

/// The sets of both families.
struct Flows;

/// The words of one set.
#[derive(Clone, Copy)]
struct Words(*mut u64);

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

const _: () = assert!(V4_WORDS == 32 && V6_WORDS == 48);

/// A remembered flow in its place.
pub(crate) struct Entry {
    place: Place,
    /// The generation that asks.
    now: u32,
}

impl FlowEntry for Entry {
    #[inline(always)]
    fn load(&self) -> Flow {
        let set = Flows.set(self.place.is_v4(), self.place.set);
        // Where the place is another's by now, the flow is one that nobody has judged.
        set.and_then(|set| flowtable::load(set, &self.place, self.now)).unwrap_or_default()
    }

    #[inline(always)]
    fn store(&self, flow: &Flow) {
        if let Some(set) = Flows.set(self.place.is_v4(), self.place.set) {
            flowtable::store(set, &self.place, flow);
        }
    }
}

/// The flow with this key, for the generation that asks.
#[inline(always)]
pub(crate) fn find(key: &FlowKey, now: u32) -> Option<Entry> {
    let place = Flows.find(key);
    if place.tag == 0 { None } else { Some(Entry { place, now }) }
}

/// Remembers a flow, where there is a place for it.
#[inline(always)]
pub(crate) fn remember(key: &FlowKey, flow: &Flow) {
    // A flow that cannot be remembered is judged again with its next packet.
    iomt_remember_flow(shown(key), shown(flow));
}

/// What a function is to read only.
#[inline(always)]
const fn shown<T>(value: &T) -> *mut T {
    core::ptr::from_ref(value).cast_mut()
}

/// What a function was shown: see [`given`](crate::maps::given).
#[inline(always)]
fn seen<'a, T>(value: *mut T) -> Option<&'a T> {
    // SAFETY: null, or a value of this CPU's own that nobody writes while the function runs.
    unsafe { value.as_ref() }
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
extern "C" fn iomt_remember_flow(key: *mut FlowKey, flow: *mut Flow) -> u32 {
    let (Some(key), Some(flow)) = (seen(key), seen(flow)) else { return 0 };
    u32::from(flowtable::insert(key, flow, &Flows))
}
