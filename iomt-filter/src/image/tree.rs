//! Writes pieces of IPv6 as a tree of their upper halves, and as a trie where that does not tell them apart.

use iomt_filter_common::lookup::PrefixesV6;
use iomt_filter_common::lookup::tree::{CHILDREN, LEAF_KEYS, LEVELS, NO_KEY, RANGES, Tree, VALUES};

use super::pieces::{Piece, Valued, cut, push};
use super::{DEEPER, ImageError, Memory, put_quarter, trie};

/// Nothing for no prefixes.
pub(super) fn write_both(prefixes: &[Valued], memory: &mut Memory) -> Result<PrefixesV6, ImageError> {
    if prefixes.is_empty() {
        return Ok(PrefixesV6::default());
    }
    let (upper, whole) = split(&cut(prefixes, u128::MAX));
    Ok(PrefixesV6 { tree: write(&upper, memory)?, trie: trie::write(&whole, memory)? })
}

/// The pieces of upper halves, with [`DEEPER`] where there are several in one, and those of whole addresses there.
fn split(pieces: &[Piece]) -> (Vec<Piece>, Vec<Piece>) {
    let mut upper: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut whole = vec![Piece { first: 0, value: 0 }];
    let mut before = 0;
    for same in pieces.chunk_by(|one, other| one.first >> 64 == other.first >> 64) {
        match same {
            [only] if only.first as u64 == 0 => {
                push(&mut upper, Piece { first: only.first >> 64, value: only.value });
            }
            _ => deeper(same, before, &mut upper, &mut whole),
        }
        before = same.last().map_or(before, |last| last.value);
    }
    (upper, whole)
}

/// One upper half with several pieces, of which the first goes on from `before` where none begins with it.
fn deeper(same: &[Piece], before: u16, upper: &mut Vec<Piece>, whole: &mut Vec<Piece>) {
    let (Some(first), Some(last)) = (same.first(), same.last()) else { return };
    let half = first.first >> 64;
    push(upper, Piece { first: half, value: DEEPER });
    if half < u128::from(u64::MAX) {
        push(upper, Piece { first: half + 1, value: last.value });
    }
    push(whole, Piece { first: half << 64, value: before });
    same.iter().for_each(|piece| push(whole, *piece));
    if half < u128::from(u64::MAX) {
        push(whole, Piece { first: (half + 1) << 64, value: 0 });
    }
}

fn write(ranges: &[Piece], memory: &mut Memory) -> Result<Tree, ImageError> {
    let key = |at: usize| ranges.get(at).map_or(NO_KEY, |range| range.first as u64 - 1);
    let count = ranges.len().div_ceil(RANGES as usize);
    let leaves = memory.add(count)?;
    for (number, (line, ranges)) in
        memory.from(leaves).iter_mut().zip(ranges.chunks(RANGES as usize)).enumerate()
    {
        for (place, word) in (1..).zip(&mut line[..LEAF_KEYS as usize]) {
            *word = key(number * RANGES as usize + place);
        }
        for (place, range) in ranges.iter().enumerate() {
            put_quarter(std::slice::from_mut(line), VALUES as usize + place, range.value);
        }
    }
    let mut levels = [0; LEVELS];
    // Lines of the level below, and leaves under each of them.
    let (mut below, mut leaves_each) = (count, 1);
    let mut level = LEVELS;
    while below > 1 {
        level = level.checked_sub(1).ok_or(ImageError::TooLarge)?;
        let first = memory.add(below.div_ceil(CHILDREN as usize))?;
        for (number, line) in memory.from(first).iter_mut().enumerate() {
            for (child, word) in (number * CHILDREN as usize + 1..).zip(line) {
                *word = key(child * leaves_each * RANGES as usize);
            }
        }
        levels[level] = first;
        (below, leaves_each) = (below.div_ceil(CHILDREN as usize), leaves_each * CHILDREN as usize);
    }
    Ok(Tree { levels, leaves })
}
