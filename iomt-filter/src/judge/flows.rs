//! The flow table in plain memory.

use std::cell::RefCell;
use std::collections::HashMap;

use iomt_filter_common::flowtable::{Set, Sets, V6_WORDS};

/// Its sets: so many that none ever fills in a test. Those that were never written are empty.
#[derive(Clone, Debug, Default)]
pub struct Flows(RefCell<HashMap<(bool, u32), [u64; V6_WORDS]>>);

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct HostSet<'a> {
    flows: &'a Flows,
    place: (bool, u32),
}

impl Set for HostSet<'_> {
    fn load(self, word: u32) -> u64 {
        let sets = self.flows.0.borrow();
        sets.get(&self.place).and_then(|words| words.get(word as usize)).copied().unwrap_or(0)
    }

    fn store(self, word: u32, value: u64) {
        let mut sets = self.flows.0.borrow_mut();
        if let Some(word) = sets.entry(self.place).or_insert([0; V6_WORDS]).get_mut(word as usize) {
            *word = value;
        }
    }

    fn exchange(self, word: u32, seen: u64, value: u64) -> bool {
        let is_seen = self.load(word) == seen;
        if is_seen {
            self.store(word, value);
        }
        is_seen
    }
}

impl<'a> Sets for &'a Flows {
    type Set = HostSet<'a>;

    fn set(&self, is_v4: bool, number: u32) -> Option<HostSet<'a>> {
        Some(HostSet { flows: self, place: (is_v4, number) })
    }

    fn count(&self, _is_v4: bool) -> u32 {
        1 << 24
    }

    fn secret(&self) -> u64 {
        0x5eed_5eed_5eed_5eed
    }
}
