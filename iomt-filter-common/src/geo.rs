//! Countries as table values, and what a profile says of them.

/// A country by its ISO 3166-1 alpha-2 code, as a number: 0 is unknown, 1 to 676 are `AA` to `ZZ`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country(pub u16);

/// Words of a [`GeoPolicy`]'s set: a power of two, so that any number can be cut to an index.
pub const SET_WORDS: usize = 16;

impl Country {
    /// No database entry.
    pub const UNKNOWN: Self = Self(0);
    /// A country that no profile names: in the tables all of these are one.
    pub const OTHER: Self = Self(677);

    /// From two ASCII letters, in either case; `None` for anything else.
    pub const fn from_code(code: [u8; 2]) -> Option<Self> {
        let (a, b) = (code[0].to_ascii_uppercase(), code[1].to_ascii_uppercase());
        if a.is_ascii_uppercase() && b.is_ascii_uppercase() {
            Some(Self((a - b'A') as u16 * 26 + (b - b'A') as u16 + 1))
        } else {
            None
        }
    }

    /// The two letters; `None` for unknown and other.
    pub const fn code(self) -> Option<[u8; 2]> {
        if self.0 == 0 || self.0 > 676 {
            return None;
        }
        let n = self.0 - 1;
        Some([b'A' + (n / 26) as u8, b'A' + (n % 26) as u8])
    }
}

/// The countries that a profile has no business with, as a bit set by [`Country`] number.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GeoPolicy(pub [u64; SET_WORDS]);

impl GeoPolicy {
    /// Whether a far end in `country` is refused.
    #[inline(always)]
    pub const fn denies(&self, country: Country) -> bool {
        self.0[word(country)] >> (country.0 & 63) & 1 == 1
    }

    /// Refuses `country` from now on.
    pub const fn deny(&mut self, country: Country) {
        self.0[word(country)] |= 1 << (country.0 & 63);
    }

    /// Whether any country is refused.
    pub const fn is_empty(&self) -> bool {
        let mut index = 0;
        while index < SET_WORDS {
            if self.0[index] != 0 {
                return false;
            }
            index += 1;
        }
        true
    }
}

#[inline(always)]
const fn word(country: Country) -> usize {
    (country.0 >> 6) as usize & (SET_WORDS - 1)
}
