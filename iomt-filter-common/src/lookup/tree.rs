//! Ranges of the upper halves of IPv6 addresses, with a value each, in a search tree that never changes: a line is
//! a node, and where its children are follows from its number. After static B-trees (Khuong, Morin: "Array Layouts
//! for Comparison-Based Searching", JEA 2017); a line is read for each level, whatever the prefixes' lengths are.

use super::{Lines, quarter};

/// Keys of a node, in ascending order.
pub const KEYS: u32 = 8;
/// Children of a node.
pub const CHILDREN: u32 = KEYS + 1;
/// Keys of a leaf.
pub const LEAF_KEYS: u32 = 6;
/// Ranges of a leaf.
pub const RANGES: u32 = LEAF_KEYS + 1;
/// The place of a leaf's first value, in 16 bits, behind its keys.
pub const VALUES: u32 = 24;
/// Levels of nodes at most.
pub const LEVELS: usize = 7;
/// A key that is below no number: it stands where a line has none.
pub const NO_KEY: u64 = u64::MAX;

/// A tree: 32 bytes.
///
/// A key is the last number before the range that it leads to: the keys below a number are those to pass by.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// First line of each level of nodes, the one above the leaves last; 0 for levels that there are not.
    pub levels: [u32; LEVELS],
    /// First line of the leaves; 0 for an empty tree.
    pub leaves: u32,
}

impl Tree {
    /// The value of the range that `number` is in, 0 for none.
    #[inline(always)]
    pub fn find<L: Lines>(&self, lines: &L, number: u64) -> u16 {
        if self.leaves == 0 {
            return 0;
        }
        let mut at = 0;
        let mut level = 0;
        while level < LEVELS {
            let first = self.levels[level];
            if first != 0 {
                let Some(line) = lines.line(first + at) else { return 0 };
                at = at * CHILDREN + below(line, KEYS, number);
            }
            level += 1;
        }
        lines.line(self.leaves + at).map_or(0, |line| quarter(line, VALUES + below(line, LEAF_KEYS, number)))
    }
}

/// How many of the first keys of a line are below a number. Without branches: each would be guessed wrong half the
/// time, and walked both ways by the verifier.
#[inline(always)]
const fn below(line: &super::Line, keys: u32, number: u64) -> u32 {
    let mut count = 0;
    let mut index = 0;
    while index < keys as usize {
        let key = line[index];
        // The borrow of `key - number`.
        count += ((!key & number | !(key ^ number) & key.wrapping_sub(number)) >> 63) as u32;
        index += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_without_signs() {
        const EDGES: [u64; 8] = [0, 1, 2, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX];
        for key in EDGES {
            for number in EDGES {
                let line = [key, NO_KEY, 0, 0, 0, 0, 0, 0];
                assert_eq!(below(&line, 2, number), u32::from(key < number), "{key} and {number}");
            }
        }
    }
}
