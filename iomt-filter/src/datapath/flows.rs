//! The flow table, mapped into this process: read while the program uses it, and filled in a private copy.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::MapData;
use iomt_filter_common::abi::map;
use iomt_filter_common::flow::{Flow, FlowKey};
use iomt_filter_common::flowtable::{self, Set, Sets, V4_WORDS, V6_WORDS, WAYS};

use super::shared::SharedWords;

/// The sets of both families.
#[derive(Debug)]
pub(super) struct Flows {
    v4: SharedWords,
    v6: SharedWords,
    secret: SharedWords,
    sets: u32,
}

/// Sets of IPv4 for so many flows: half of the places are free then.
pub(super) fn sets(flows: u32) -> u32 {
    const LARGEST: u32 = 1 << 24;
    (flows.saturating_mul(2) / WAYS).clamp(2, LARGEST).next_power_of_two()
}

/// Sets of a family, of which there are `sets` for IPv4.
pub(super) const fn of_family(sets: u32, is_v4: bool) -> u32 {
    if is_v4 { sets } else { sets / 2 }
}

impl Flows {
    /// Names of its maps.
    pub(super) const MAPS: [&'static str; 3] = [map::FLOWS_V4, map::FLOWS_V6, map::FLOW_SECRET];

    /// Maps the table of a program that was loaded with so many sets, and gives it a secret where it has none.
    pub(super) fn map([v4, v6, secret]: &[MapData; 3], sets: u32) -> io::Result<Self> {
        let flows = Self {
            v4: SharedWords::map(v4.fd(), sets as usize * V4_WORDS)?,
            v6: SharedWords::map(v6.fd(), of_family(sets, false) as usize * V6_WORDS)?,
            secret: SharedWords::map(secret.fd(), 1)?,
            sets,
        };
        let secret = flows.secret.word(0);
        let _kept =
            secret.compare_exchange(0, super::shelves::secret() | 1, Ordering::Relaxed, Ordering::Relaxed);
        Ok(flows)
    }

    /// Places for flows.
    pub(super) fn capacity(&self) -> usize {
        (self.sets + of_family(self.sets, false)) as usize * WAYS as usize
    }

    /// The flow with this key.
    pub(super) fn get(&self, key: &FlowKey) -> Option<Flow> {
        let place = flowtable::find(key, &self);
        if place.tag == 0 { None } else { flowtable::load(self.set(place.is_v4(), place.set)?, &place) }
    }

    /// Every flow.
    pub(super) fn iter(&self) -> impl Iterator<Item = (FlowKey, Flow)> {
        let places = [true, false].into_iter().flat_map(|is_v4| {
            (0..of_family(self.sets, is_v4)).flat_map(move |set| (0..WAYS).map(move |way| (is_v4, set, way)))
        });
        places.filter_map(move |(is_v4, set, way)| flowtable::read((&self).set(is_v4, set)?, is_v4, way))
    }

    /// Remembers a flow; whether there was a place for it.
    pub(super) fn insert(&self, key: &FlowKey, flow: &Flow) -> bool {
        flowtable::insert(key, flow, false, &self)
    }

    /// Forgets every flow.
    pub(super) fn clear(&self) {
        self.v4.clear();
        self.v6.clear();
    }
}

/// The words of one set.
#[derive(Clone, Copy)]
pub(super) struct Words<'f> {
    words: &'f SharedWords,
    first: usize,
}

impl Words<'_> {
    fn word(&self, word: u32) -> &AtomicU64 {
        self.words.word(self.first + word as usize)
    }
}

impl Set for Words<'_> {
    fn load(self, word: u32) -> u64 {
        self.word(word).load(Ordering::Acquire)
    }

    fn store(self, word: u32, value: u64) {
        self.word(word).store(value, Ordering::Release);
    }

    fn exchange(self, word: u32, seen: u64, value: u64) -> bool {
        self.word(word).compare_exchange(seen, value, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl<'f> Sets for &'f Flows {
    type Set = Words<'f>;

    fn set(&self, is_v4: bool, number: u32) -> Option<Words<'f>> {
        let (words, of_one) = if is_v4 { (&self.v4, V4_WORDS) } else { (&self.v6, V6_WORDS) };
        (number < of_family(self.sets, is_v4)).then(|| Words { words, first: number as usize * of_one })
    }

    fn count(&self, is_v4: bool) -> u32 {
        of_family(self.sets, is_v4)
    }

    fn secret(&self) -> u64 {
        self.secret.word(0).load(Ordering::Relaxed)
    }
}
