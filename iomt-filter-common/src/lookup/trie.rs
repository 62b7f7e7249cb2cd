//! Prefixes of IPv6 in a multiway trie: an index by the first 10 bits, then nodes of 64 children that are
//! found by counting bits. After Poptrie (Asai, Ohara: "Poptrie: A Compressed Trie with Population Count for
//! Fast and Scalable Software IP Routing Table Lookup", SIGCOMM 2015).

use super::{HALVES, Lines, QUARTERS, half, quarter};

/// Set in an index entry that is a value, not the number of a node.
pub const ONE_VALUE: u32 = 1 << 31;
/// Bits that the index takes.
pub const INDEX_BITS: u32 = 10;
/// Lines of the index: an entry of 32 bits for each value of these bits.
pub const INDEX_LINES: u32 = (1 << INDEX_BITS) / HALVES;
/// Bits that a node takes.
pub const STRIDE: u32 = 6;
/// Nodes on the way to a leaf at most.
pub const DEPTH: u32 = (128 - INDEX_BITS).div_ceil(STRIDE);
/// Words of a node: which children are nodes, at which a new leaf begins, and the numbers of the first node
/// (low 32 bits) and the first leaf (high) of its children; one word is unused.
pub const NODE_WORDS: u32 = 4;

/// A trie: 12 bytes. Nodes are counted from `nodes`, two a line; leaves from `leaves`, 32 a line.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trie {
    /// First line of the index; 0 for an empty trie.
    pub index: u32,
    /// First line of the nodes.
    pub nodes: u32,
    /// First line of the leaves.
    pub leaves: u32,
}

impl Trie {
    /// The value of the longest prefix that holds the address of two words, 0 for none.
    #[inline(always)]
    pub fn find<L: Lines>(&self, lines: &L, [high, low]: [u64; 2]) -> u16 {
        if self.index == 0 {
            return 0;
        }
        let upper = (high >> (64 - INDEX_BITS)) as u32;
        let Some(line) = lines.line(self.index + upper / HALVES) else { return 0 };
        let entry = half(line, upper % HALVES);
        if entry & ONE_VALUE != 0 {
            return entry as u16;
        }
        let mut node = entry;
        // What is left of the address, its next bit first.
        let (mut high, mut low) = (high << INDEX_BITS | low >> (64 - INDEX_BITS), low << INDEX_BITS);
        for _ in 0..DEPTH {
            let Some(line) = lines.line(self.nodes + node / 2) else { return 0 };
            let first = ((node & 1) * NODE_WORDS) as usize;
            let (children, starts, bases) = (line[first], line[first + 1], line[first + 2]);
            let child = high >> (64 - STRIDE);
            let up_to = u64::MAX >> (63 - child);
            if children >> child & 1 == 0 {
                let leaf = (bases >> 32) as u32 + (starts & up_to).count_ones() - 1;
                return lines
                    .line(self.leaves + leaf / QUARTERS)
                    .map_or(0, |line| quarter(line, leaf % QUARTERS));
            }
            node = bases as u32 + (children & up_to).count_ones() - 1;
            (high, low) = (high << STRIDE | low >> (64 - STRIDE), low << STRIDE);
        }
        0
    }
}
