//! The flow table in this process's memory.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use iomt_filter_common::Address;
use iomt_filter_common::flow::{Flow, FlowKey, Progress};
use iomt_filter_common::flowtable::{Set, Sets, V4_WORDS, V6_WORDS};

/// A table of both families in this process's memory.
pub(crate) struct Memory {
    v4: Vec<AtomicU64>,
    v6: Vec<AtomicU64>,
    sets: u32,
}

#[derive(Clone, Copy)]
pub(crate) struct Words<'a>(&'a [AtomicU64]);

impl Memory {
    pub(crate) fn new(sets: u32) -> Self {
        let words = |of_one: usize| (0..sets as usize * of_one).map(|_| AtomicU64::new(0)).collect();
        Self { v4: words(V4_WORDS), v6: words(V6_WORDS), sets }
    }
}

impl Set for Words<'_> {
    fn load(self, word: u32) -> u64 {
        self.0[word as usize].load(Ordering::Acquire)
    }

    fn store(self, word: u32, value: u64) {
        self.0[word as usize].store(value, Ordering::Release);
    }

    fn exchange(self, word: u32, seen: u64, value: u64) -> bool {
        self.0[word as usize].compare_exchange(seen, value, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl<'a> Sets for &'a Memory {
    type Set = Words<'a>;

    fn set(&self, is_v4: bool, number: u32) -> Option<Words<'a>> {
        let (words, of_one) = if is_v4 { (&self.v4, V4_WORDS) } else { (&self.v6, V6_WORDS) };
        let first = number as usize * of_one;
        words.get(first..first + of_one).map(Words)
    }

    fn count(&self, _is_v4: bool) -> u32 {
        self.sets
    }

    fn secret(&self) -> u64 {
        0x5eed_5eed_5eed_5eed
    }
}

/// The key of a flow that is told from others by its number.
pub(crate) fn key(number: u32, is_v4: bool) -> FlowKey {
    let address = |number: u32| -> Address {
        if is_v4 {
            Address::from_v4(Ipv4Addr::from_bits(number.wrapping_mul(0x9e37_79b1)).octets())
        } else {
            Address::from_v6(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number)).octets())
        }
    };
    FlowKey {
        source: address(number),
        destination: address(!number),
        source_port: number as u16 | 1,
        destination_port: 104,
        protocol: 6,
        ..FlowKey::default()
    }
}

/// A flow that generation 7 has judged.
pub(crate) fn flow(last_seen: u64, progress: Progress) -> Flow {
    Flow { last_seen, generation: 7, rule: 3, opener: 1, progress: progress as u8, ..Flow::default() }
}
