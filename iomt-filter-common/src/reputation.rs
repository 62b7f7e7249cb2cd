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

    /// From a number of 32 bits: the feed lowest, then the score.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        Self { feed: number as u16, score: (number >> 16) as u8, prefix_bits: (number >> 24) as u8 }
    }

    /// As [`from_number`](Self::from_number) reads it.
    pub const fn number(self) -> u32 {
        self.feed as u32 | (self.score as u32) << 16 | (self.prefix_bits as u32) << 24
    }

    /// This one, unless the `other` is more severe: by its score, then by the length of its prefix, and of two
    /// alike because it is the other, which are blocks by hand.
    #[inline(always)]
    pub const fn or_severer(self, other: Self) -> Self {
        let is_severer = other.feed != 0
            && (self.feed == 0
                || other.score > self.score
                || (other.score == self.score && other.prefix_bits >= self.prefix_bits));
        if is_severer { other } else { self }
    }

    /// Whether this entry is reason enough to drop at a profile's `block_score`.
    #[inline(always)]
    pub const fn blocks(&self, block_score: u8) -> bool {
        self.feed != 0 && self.score >= block_score
    }
}
