//! Writes pieces of IPv6 as a trie.

use std::collections::VecDeque;

use iomt_filter_common::lookup::QUARTERS;
use iomt_filter_common::lookup::trie::{INDEX_BITS, INDEX_LINES, NODE_WORDS, ONE_VALUE, STRIDE, Trie};

use super::pieces::Piece;
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

/// Children of a part that are next to each other: one with pieces of its own, or all that have one value.
struct Run<'a> {
    first: u32,
    /// The child behind the last one.
    end: u32,
    of: Child<'a>,
}

enum Child<'a> {
    Leaf(u16),
    Node(Part<'a>),
}

/// Nothing for one piece.
pub(super) fn write(pieces: &[Piece], memory: &mut Memory) -> Result<Trie, ImageError> {
    if pieces.len() < 2 {
        return Ok(Trie::default());
    }
    let (mut nodes, mut leaves, mut waiting) = (Vec::new(), Vec::new(), VecDeque::new());
    let index = memory.add(INDEX_LINES as usize)?;
    let mut given = 0_u32;
    let entries = memory.from(index);
    Part { first: 0, bits: 0, pieces }.split(INDEX_BITS, |Run { first, end, of }| {
        let entry = match of {
            Child::Leaf(value) => ONE_VALUE | u32::from(value),
            Child::Node(part) => {
                waiting.push_back(part);
                given += 1;
                given - 1
            }
        };
        (first..end).for_each(|upper| put_half(entries, upper as usize, entry));
    });
    // Breadth first, so that the children of a node get numbers one behind the other.
    while let Some(part) = waiting.pop_front() {
        let first_leaf = u32::try_from(leaves.len()).map_err(|_| ImageError::TooLarge)?;
        let mut node = Node { first_child: given, first_leaf, ..Node::default() };
        let mut before = None;
        part.split(STRIDE, |Run { first, of, .. }| match of {
            Child::Leaf(value) if before == Some(value) => {}
            Child::Leaf(value) => {
                node.starts |= 1 << first;
                leaves.push(value);
                before = Some(value);
            }
            Child::Node(part) => {
                node.children |= 1 << first;
                waiting.push_back(part);
            }
        });
        given = given.checked_add(node.children.count_ones()).ok_or(ImageError::TooLarge)?;
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
    /// Its equal parts by the next so many bits, as runs: one step for each piece, however many parts there are.
    fn split(&self, stride: u32, mut run: impl FnMut(Run<'a>)) {
        let bits = self.bits + stride;
        // Behind the last bit there is nothing to tell apart: the parts there are one address each.
        let shift = 128_u32.saturating_sub(bits);
        let beyond = bits.saturating_sub(128);
        let child_of = |piece: &Piece| ((piece.first - self.first) >> shift << beyond) as u32;
        let Some((begin, _)) = self.pieces.split_first() else { return };
        let (mut value, mut next, mut at) = (begin.value, 0, 1);
        while let Some(piece) = self.pieces.get(at) {
            let child = child_of(piece);
            let first = self.first + (u128::from(child >> beyond) << shift);
            let here = self.pieces[at..].iter().take_while(|piece| child_of(piece) == child).count();
            let begins = piece.first == first;
            if next < child {
                run(Run { first: next, end: child, of: Child::Leaf(value) });
            }
            let pieces = &self.pieces[if begins { at } else { at - 1 }..at + here];
            let of = match pieces {
                [only] => Child::Leaf(only.value),
                _ => Child::Node(Part { first, bits, pieces }),
            };
            run(Run { first: child, end: child + 1, of });
            at += here;
            next = child + 1;
            value = self.pieces[at - 1].value;
        }
        if next < 1 << stride {
            run(Run { first: next, end: 1 << stride, of: Child::Leaf(value) });
        }
    }
}
