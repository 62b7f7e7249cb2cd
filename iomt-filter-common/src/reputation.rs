//! What threat lists say of a far end.

/// The most severe list entry that covers an address: 4 bytes, a table value.
///
/// The entry itself is the address cut to `prefix_bits`. All zero says that nothing is listed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listing {
    /// Number of the feed, 0 for none.
    pub feed: u16,
    /// 0 to 100.
    pub score: u8,
    /// Length of the deciding prefix in the 128-bit form, so IPv4 counts from 96.
    pub prefix_bits: u8,
}

impl Listing {
    /// Nothing is listed.
    pub const NONE: Self = Self { feed: 0, score: 0, prefix_bits: 0 };

    /// Whether this entry is reason enough to drop at a profile's `block_score`.
    #[inline(always)]
    pub const fn blocks(&self, block_score: u8) -> bool {
        self.feed != 0 && self.score >= block_score
    }
}
