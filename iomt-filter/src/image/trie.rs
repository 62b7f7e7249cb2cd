//! Writes prefixes of IPv6 as a trie.

use std::collections::VecDeque;

use iomt_filter_common::lookup::QUARTERS;
use iomt_filter_common::lookup::trie::{INDEX_BITS, INDEX_LINES, NODE_WORDS, ONE_VALUE, STRIDE, Trie};

use super::pieces::{Piece, Valued, cut};
use super::{ImageError, Memory, put_half, put_quarter};

/// A node in the making.
#[derive(Default)]
struct Node {
    /// Children that are nodes.
    children: u64,
    /// Children that are leaves of another value than the leaf before.
    starts: u64,
    first_child: u32,
    first_leaf: u32,
}

/// A part of the addresses that has pieces of its own: the bits in front of it, and the pieces from the one
/// that it begins with.
struct Part<'a> {
    first: u128,
    bits: u32,
    pieces: &'a [Piece],
}

/// Nothing for no prefixes.
pub(super) fn write(prefixes: &[Valued], memory: &mut Memory) -> Result<Trie, ImageError> {
    if prefixes.is_empty() {
        return Ok(Trie::default());
    }
    let pieces = cut(prefixes, u128::MAX);
    let (mut nodes, mut leaves, mut waiting) = (Vec::new(), Vec::new(), VecDeque::new());
    let index = memory.add(INDEX_LINES as usize)?;
    let mut roots = 0;
    let all = Part { first: 0, bits: 0, pieces: &pieces };
    for (upper, part) in all.split(INDEX_BITS).enumerate() {
        let entry = match part.value() {
            Some(value) => ONE_VALUE | u32::from(value),
            None => {
                waiting.push_back(part);
                roots += 1;
                roots - 1
            }
        };
        put_half(memory.from(index), upper, entry);
    }
    // Breadth first, so that the children of a node get numbers one behind the other.
    let mut given = roots;
    while let Some(part) = waiting.pop_front() {
        let first_leaf = u32::try_from(leaves.len()).map_err(|_| ImageError::TooLarge)?;
        let mut node = Node { first_child: given, first_leaf, ..Node::default() };
        let mut before = None;
        for (child, part) in part.split(STRIDE).enumerate() {
            if let Some(value) = part.value() {
                if before != Some(value) {
                    node.starts |= 1 << child;
                    leaves.push(value);
                    before = Some(value);
                }
            } else {
                node.children |= 1 << child;
                waiting.push_back(part);
                given = given.checked_add(1).ok_or(ImageError::TooLarge)?;
            }
        }
        nodes.push(node);
    }
    write_nodes(index, &nodes, &leaves, memory)
}

fn write_nodes(index: u32, nodes: &[Node], leaves: &[u16], memory: &mut Memory) -> Result<Trie, ImageError> {
    let first_node = memory.add(nodes.len().div_ceil(2))?;
    for (number, node) in nodes.iter().enumerate() {
        let line = &mut memory.from(first_node)[number / 2];
        let at = number % 2 * NODE_WORDS as usize;
        let bases = u64::from(node.first_child) | u64::from(node.first_leaf) << 32;
        line[at..at + 3].copy_from_slice(&[node.children, node.starts, bases]);
    }
    let first_leaf = memory.add(leaves.len().div_ceil(QUARTERS as usize))?;
    for (number, value) in leaves.iter().enumerate() {
        put_quarter(memory.from(first_leaf), number, *value);
    }
    Ok(Trie { index, nodes: first_node, leaves: first_leaf })
}

impl<'a> Part<'a> {
    /// The value of every address in the part, where it is one.
    fn value(&self) -> Option<u16> {
        let [only] = self.pieces else { return None };
        Some(only.value)
    }

    /// Its equal parts by the next so many bits.
    fn split(&self, stride: u32) -> impl Iterator<Item = Part<'a>> {
        let (first, bits) = (self.first, self.bits + stride);
        // Behind the last bit there is nothing to tell apart.
        let size = 1_u128.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
        let mut rest = self.pieces;
        (0..1_u128 << stride).map(move |child| {
            let begin = if bits > 128 { first + (child >> (bits - 128)) } else { first + child * size };
            let last = if bits > 128 { begin } else { begin + (size - 1) };
            let skipped = rest.partition_point(|piece| piece.first <= begin).saturating_sub(1);
            rest = &rest[skipped..];
            let held = rest.partition_point(|piece| piece.first <= last);
            Part { first: begin, bits, pieces: &rest[..held] }
        })
    }
}
