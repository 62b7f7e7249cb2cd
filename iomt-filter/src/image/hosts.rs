//! Writes single addresses, or networks of one length, into a filter and a table.

use iomt_filter_common::lookup::Line;
use iomt_filter_common::lookup::hosts::{
    Host, Hosts, MARK, NETWORK_NUMBERS, NETWORK_SLOTS, Network, PLAIN_NUMBERS, PLAIN_SLOTS, PlainV4, SPILL,
    V4, V4_LEAST_LINES, V4_SLOTS, V6, V6_NUMBERS, V6_SLOTS, filter_bits, filter_word,
};

use super::{ImageError, Memory, put_half, put_quarter};

/// Bits of the filter for each address: about one in fifty others passes it.
const FILTER_BITS: usize = 10;

/// An address that can be put into a table.
pub(super) trait Put: Host {
    /// Addresses that fit a line.
    const SLOTS: usize;
    /// Addresses that a line is to have on average.
    const LOAD: u32;
    /// Lines of a table at least.
    const LEAST_LINES: u32;

    /// Writes the address with its number into an empty place of a line that is `behind` its own one of
    /// `lines`.
    fn put(self, line: &mut Line, slot: usize, number: u16, lines: u32, behind: u32);
}

impl Put for V4 {
    const SLOTS: usize = V4_SLOTS as usize;
    const LOAD: u32 = 14;
    const LEAST_LINES: u32 = V4_LEAST_LINES;

    fn put(self, line: &mut Line, slot: usize, number: u16, lines: u32, behind: u32) {
        put_half(std::slice::from_mut(line), slot, self.rest(lines, behind) | u32::from(number));
    }
}

impl Put for PlainV4 {
    const SLOTS: usize = PLAIN_SLOTS as usize;
    const LOAD: u32 = 9;
    const LEAST_LINES: u32 = 1;

    fn put(self, line: &mut Line, slot: usize, number: u16, _lines: u32, _behind: u32) {
        put_half(std::slice::from_mut(line), slot, self.mixed());
        put_quarter(std::slice::from_mut(line), PLAIN_NUMBERS as usize + slot, number);
    }
}

impl Put for V6 {
    const SLOTS: usize = V6_SLOTS as usize;
    const LOAD: u32 = 2;
    const LEAST_LINES: u32 = 1;

    fn put(self, line: &mut Line, slot: usize, number: u16, _lines: u32, _behind: u32) {
        line[2 * slot..2 * slot + 2].copy_from_slice(&self.words());
        put_quarter(std::slice::from_mut(line), V6_NUMBERS as usize + slot, number);
    }
}

impl Put for Network {
    const SLOTS: usize = NETWORK_SLOTS as usize;
    const LOAD: u32 = 5;
    const LEAST_LINES: u32 = 1;

    fn put(self, line: &mut Line, slot: usize, number: u16, _lines: u32, _behind: u32) {
        line[slot] = self.high();
        put_quarter(std::slice::from_mut(line), NETWORK_NUMBERS as usize + slot, number);
    }
}

/// Nothing for no addresses.
pub(super) fn write<H: Put>(hosts: Vec<(H, u16)>, memory: &mut Memory) -> Result<Hosts, ImageError> {
    if hosts.is_empty() {
        return Ok(Hosts::default());
    }
    let count = u32::try_from(hosts.len()).map_err(|_| ImageError::TooLarge)?;
    let words = (hosts.len() * FILTER_BITS).div_ceil(64);
    let filter = memory.add(words.div_ceil(8))?;
    let words = u32::try_from(words).map_err(|_| ImageError::TooLarge)?;
    let hosts = near(&hosts);
    let filter_lines = memory.from(filter);
    for (host, _) in &hosts {
        let hash = host.hash();
        let word = filter_word(hash, words) as usize;
        filter_lines[word / 8][word % 8] |= filter_bits(hash);
    }
    let mut lines = count.div_ceil(H::LOAD).max(H::LEAST_LINES);
    loop {
        if let Some(places) = place::<H>(hosts.iter().map(|(host, _)| host.line(lines)), lines) {
            let table = memory.add(places.ends.len())?;
            fill(&hosts, &places, lines, memory.from(table));
            return Ok(Hosts { filter, words, table, lines });
        }
        lines = lines.checked_add(lines / 32 + 1).ok_or(ImageError::TooLarge)?;
    }
}

/// The same, with those near to each other whose lines are: what is written then is in the processor's caches.
fn near<H: Put>(hosts: &[(H, u16)]) -> Vec<(H, u16)> {
    const PARTS: u32 = 512;
    let part = |(host, _): &(H, u16)| host.line(PARTS) as usize;
    let mut next = [0; PARTS as usize];
    hosts.iter().for_each(|host| next[part(host)] += 1);
    let mut first = 0;
    for count in &mut next {
        first += std::mem::replace(count, first);
    }
    let mut sorted = hosts.to_vec();
    for host in hosts {
        let place = &mut next[part(host)];
        sorted[*place] = *host;
        *place += 1;
    }
    sorted
}

/// Where addresses go.
struct Places {
    /// The numbers of the addresses in the order of their lines.
    order: Vec<u32>,
    /// For each line, how many addresses lie in it and those before.
    ends: Vec<u32>,
    /// For each line, whether addresses of it lie behind it.
    spills: Vec<bool>,
}

/// Puts each address into its own line, or the first behind it that has room; `None` where that is further
/// than lookups go.
fn place<H: Put>(own: impl Iterator<Item = u32> + Clone, lines: u32) -> Option<Places> {
    let all = (lines + SPILL) as usize;
    let mut starts = vec![0_u32; all + 1];
    for line in own.clone() {
        starts[line as usize + 1] += 1;
    }
    for line in 0..all {
        starts[line + 1] += starts[line];
    }
    let mut next = starts.clone();
    let mut order = vec![0; starts[all] as usize];
    for (number, line) in (0..).zip(own) {
        order[next[line as usize] as usize] = number;
        next[line as usize] += 1;
    }
    // In order of their lines, so that whoever has to go further does so behind those before.
    let (mut ends, mut spills) = (vec![0; all], vec![false; all]);
    let mut placed = 0;
    // For the address that waits longest, which line is its own.
    let mut oldest = 0;
    for line in 0..all {
        let waiting = starts[line + 1];
        let room = (waiting - placed).min(H::SLOTS as u32);
        placed += room;
        ends[line] = placed;
        if placed < waiting {
            while starts[oldest + 1] <= placed {
                oldest += 1;
            }
            if line - oldest + 1 >= SPILL as usize {
                return None;
            }
            spills[line] = true;
        }
    }
    (placed as usize == order.len()).then_some(Places { order, ends, spills })
}

fn fill<H: Put>(hosts: &[(H, u16)], places: &Places, lines: u32, table: &mut [Line]) {
    let mut first = 0;
    for ((number, line), end) in (0..).zip(table).zip(&places.ends) {
        let here = &places.order[first..*end as usize];
        for (slot, at) in here.iter().enumerate() {
            let (host, class) = hosts[*at as usize];
            host.put(line, slot, class, lines, number - host.line(lines));
        }
        if places.spills[number as usize] {
            put_quarter(std::slice::from_mut(line), MARK as usize, 1);
        }
        first = *end as usize;
    }
}
