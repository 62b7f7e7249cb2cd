//! Prefixes of IPv4 as ranges: an index by the upper 16 bits, then a search among the ranges that begin in
//! there. After DXR (Zec, Rizzo, Mikuc: "DXR: Towards a Billion Routing Lookups per Second in Software",
//! CCR 2012), with a whole bucket in one line wherever it fits.

use core::hint::black_box;

use super::{HALVES, Lines, at_most, half};

/// Set in an index entry whose bucket is one range: the rest is its value.
pub const ONE_VALUE: u32 = 1 << 31;
/// Bits of an index entry that say where the bucket begins.
pub const OFFSET_BITS: u32 = 19;
/// Lines of the index: 65,536 entries of 32 bits.
pub const INDEX_LINES: u32 = 65_536 / HALVES;
/// Lines of a bucket at most: a range for each of its addresses.
pub const BUCKET_LINES: u32 = 65_536 / HALVES;

/// A table of ranges: 8 bytes.
///
/// An index entry is a value with [`ONE_VALUE`], or the line where the bucket begins, counted from `buckets`,
/// with the number of its lines less one above [`OFFSET_BITS`]. A bucket is a list of numbers of 32 bits in
/// order: where a range begins (16 bits) above its value (16 bits). The first begins at 0, and the last is
/// repeated to the end of its line.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// First line of the index; 0 for a table without ranges.
    pub index: u32,
    /// Line that buckets are counted from.
    pub buckets: u32,
}

impl Ranges {
    /// The value of the range that `address` is in, 0 for none.
    #[inline(always)]
    pub fn find<L: Lines>(&self, lines: &L, address: u32) -> u16 {
        if self.index == 0 {
            return 0;
        }
        let upper = address >> 16;
        let Some(line) = lines.line(self.index + upper / HALVES) else { return 0 };
        let entry = half(line, upper % HALVES);
        if entry & ONE_VALUE != 0 {
            return entry as u16;
        }
        let first = self.buckets + (entry & ((1 << OFFSET_BITS) - 1));
        let last = first + (entry >> OFFSET_BITS);
        let lower = address & 0xffff;
        let at = if last == first { first } else { last_at(lines, first, last, lower) };
        let Some(line) = lines.line(at) else { return 0 };
        let mut index = 0;
        let mut step = HALVES / 2;
        while step > 0 {
            // The compiler knows that this is below 16, and leaves out what would tell the verifier of Linux 6.1.
            index = black_box(index) & (HALVES - 1);
            index += step & at_most(half(line, index + step) >> 16, lower);
            step /= 2;
        }
        half(line, black_box(index) & (HALVES - 1)) as u16
    }
}

/// The last line from `first` to `last` that begins at `lower` or before.
#[inline(always)]
fn last_at<L: Lines>(lines: &L, first: u32, last: u32, lower: u32) -> u32 {
    let mut at = first;
    let mut step = BUCKET_LINES / 2;
    while step > 0 {
        let there = step & at_most(at + step, last);
        let Some(line) = lines.line(at + there) else { return at };
        at += there & at_most(half(line, 0) >> 16, lower);
        step /= 2;
    }
    at
}
