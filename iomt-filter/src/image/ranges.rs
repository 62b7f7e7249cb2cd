//! Writes prefixes of IPv4 as ranges.

use iomt_filter_common::lookup::HALVES;
use iomt_filter_common::lookup::ranges::{INDEX_LINES, OFFSET_BITS, ONE_VALUE, Ranges};

use super::pieces::{Piece, Valued, cut};
use super::{ImageError, Memory, put_half};

/// Nothing for no prefixes.
pub(super) fn write(prefixes: &[Valued], memory: &mut Memory) -> Result<Ranges, ImageError> {
    if prefixes.is_empty() {
        return Ok(Ranges::default());
    }
    let pieces = cut(prefixes, u128::from(u32::MAX));
    let index = memory.add(INDEX_LINES as usize)?;
    let buckets = memory.add(0)?;
    let mut rest = pieces.as_slice();
    let mut value = 0;
    for upper in 0..=0xffff {
        let (here, behind) = rest.split_at(rest.partition_point(|piece| piece.first >> 16 <= upper));
        rest = behind;
        let begins = here.first().is_some_and(|piece| piece.first & 0xffff == 0);
        let entry = match here {
            [] => ONE_VALUE | u32::from(value),
            [only] if begins => ONE_VALUE | u32::from(only.value),
            _ => bucket(here, (!begins).then_some(value), buckets, memory)?,
        };
        put_half(memory.from(index), upper as usize, entry);
        value = here.last().map_or(value, |piece| piece.value);
    }
    Ok(Ranges { index, buckets })
}

/// Writes the ranges that begin in a bucket, behind the one that goes on from before; its index entry.
fn bucket(
    pieces: &[Piece],
    before: Option<u16>,
    buckets: u32,
    memory: &mut Memory,
) -> Result<u32, ImageError> {
    let ranges = before.iter().map(|value| u32::from(*value));
    let ranges: Vec<u32> = ranges
        .chain(pieces.iter().map(|piece| (piece.first as u32 & 0xffff) << 16 | u32::from(piece.value)))
        .collect();
    let lines = ranges.len().div_ceil(HALVES as usize);
    let first = memory.add(lines)?;
    let last = ranges.last().copied().unwrap_or(0);
    let places = lines * HALVES as usize;
    for (index, range) in ranges.into_iter().chain(std::iter::repeat(last)).take(places).enumerate() {
        put_half(memory.from(first), index, range);
    }
    let offset = first - buckets;
    if offset >> OFFSET_BITS != 0 {
        return Err(ImageError::TooManyRanges);
    }
    Ok(offset | (lines as u32 - 1) << OFFSET_BITS)
}
