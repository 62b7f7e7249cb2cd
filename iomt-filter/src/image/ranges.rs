//! Writes prefixes of IPv4 as ranges.

use iomt_filter_common::lookup::ranges::{INDEX_LINES, OFFSET_BITS, ONE_VALUE, Ranges};
use iomt_filter_common::lookup::{HALVES, Line};

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
    let mut value = 0;
    let mut next = 0;
    for here in pieces.chunk_by(|one, other| one.first >> 16 == other.first >> 16) {
        let (Some(first), Some(last)) = (here.first(), here.last()) else { continue };
        let upper = (first.first >> 16) as usize;
        put_run(memory.from(index), next..upper, ONE_VALUE | u32::from(value));
        let begins = first.first & 0xffff == 0;
        let entry = match here {
            [only] if begins => ONE_VALUE | u32::from(only.value),
            _ => bucket(here, (!begins).then_some(value), buckets, memory)?,
        };
        put_half(memory.from(index), upper, entry);
        (value, next) = (last.value, upper + 1);
    }
    put_run(memory.from(index), next..1 << 16, ONE_VALUE | u32::from(value));
    Ok(Ranges { index, buckets })
}

/// Puts the same number at each of some places.
fn put_run(lines: &mut [Line], places: std::ops::Range<usize>, entry: u32) {
    let halves = HALVES as usize;
    let whole = places.start.next_multiple_of(halves).min(places.end)..places.end / halves * halves;
    if !whole.is_empty() {
        let word = u64::from(entry) << 32 | u64::from(entry);
        lines[whole.start / halves..whole.end / halves].fill([word; 8]);
    }
    let edges = (places.start..whole.start).chain(whole.end.max(whole.start)..places.end);
    edges.for_each(|place| put_half(lines, place, entry));
}

/// Writes the ranges that begin in a bucket, behind the one that goes on from before; its index entry.
fn bucket(
    pieces: &[Piece],
    before: Option<u16>,
    buckets: u32,
    memory: &mut Memory,
) -> Result<u32, ImageError> {
    let before = before.map(u32::from);
    let count = pieces.len() + usize::from(before.is_some());
    let lines = count.div_ceil(HALVES as usize);
    let first = memory.add(lines)?;
    let ranges = pieces.iter().map(|piece| (piece.first as u32 & 0xffff) << 16 | u32::from(piece.value));
    let places = memory.from(first);
    let mut last = 0;
    for (place, range) in before.into_iter().chain(ranges).enumerate() {
        put_half(places, place, range);
        last = range;
    }
    (count..lines * HALVES as usize).for_each(|place| put_half(places, place, last));
    let offset = first - buckets;
    if offset >> OFFSET_BITS != 0 {
        return Err(ImageError::TooManyRanges);
    }
    Ok(offset | (lines as u32 - 1) << OFFSET_BITS)
}
