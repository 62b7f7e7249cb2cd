//! Single addresses, or networks of one length, with a number each: a filter of one word that most addresses do not
//! pass, then an exact table of which mostly one line is read.
//!
//! The filter is a register-blocked Bloom filter (Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient
//! Bloom Filters", WEA 2007). Nobody outside knows the seed, so nobody can choose addresses that all pass it.
//!
//! The table holds IPv4 addresses by what their line does not say of them (a quotient, Cleary: "Compact Hash
//! Tables Using Bidirectional Linear Probing", 1984): the address is mixed by a bijection of 32 bits, and of
//! two that have the same line the next 16 bits differ. Fewer of them are held whole: there are too few lines then.

use super::{HALVES, Line, Lines, at_most, half, if_zero, quarter};

/// Lines that an address may lie in: its own, and those behind it.
pub const SPILL: u32 = 8;
/// IPv4 addresses in a line; the last 32 bits are the mark.
pub const V4_SLOTS: u32 = HALVES - 1;
/// Lines of a table of IPv4 addresses at least: with fewer, 16 bits do not tell two addresses of a line apart.
pub const V4_LEAST_LINES: u32 = 1 << 16;
/// Bits of an IPv4 address's number, below those that say which address it is.
pub const V4_NUMBER_BITS: u32 = 13;
/// IPv4 addresses in a line of a table that holds them whole: 32 bits each, then 16 bits of number each, then the mark.
pub const PLAIN_SLOTS: u32 = 10;
/// The place of such an address's number, in 16 bits, behind the addresses.
pub const PLAIN_NUMBERS: u32 = 20;
/// IPv6 addresses in a line: two words each, then 16 bits of number each, then the mark.
pub const V6_SLOTS: u32 = 3;
/// The place of the mark, in 16 bits, of a line whose addresses lie in part in lines behind it.
pub const MARK: u32 = 31;
/// The place of an IPv6 address's number, in 16 bits, behind the addresses.
pub const V6_NUMBERS: u32 = 24;

/// Networks of IPv6 in a line: a word each, then 16 bits of number each, then the mark.
pub const NETWORK_SLOTS: u32 = 6;
/// The place of a network's number, in 16 bits, behind the networks.
pub const NETWORK_NUMBERS: u32 = 24;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A table of addresses: 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// First line of the filter.
    pub filter: u32,
    /// Words of the filter; 0 for an empty table.
    pub words: u32,
    /// First line of the table.
    pub table: u32,
    /// Lines that addresses have for their own; those that they may lie in besides stand behind them.
    pub lines: u32,
}

/// An IPv4 address, mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V4(u32);

/// An IPv4 address, mixed, in a table that holds it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainV4(pub V4);

/// An IPv6 address, and what it hashes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V6([u64; 2], u64);

/// A network of IPv6 by its upper 64 bits, and what they hash to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(u64, u64);

/// An address, or a network of a length that is known, as a table knows it.
pub trait Host: Copy {
    /// Its own line of `lines`.
    fn line(self, lines: u32) -> u32;
    /// 64 bits that say where in the filter it is.
    fn hash(self) -> u64;
    /// The number of the address in a line that is `behind` its own one of `lines`; 0 where it is not there.
    fn number(self, line: &Line, lines: u32, behind: u32) -> u16;
}

impl V4 {
    /// The address, mixed with a secret.
    #[inline(always)]
    pub const fn new(seed: u64, address: u32) -> Self {
        // A bijection for every seed: additions, multiplications by odd numbers, and shifts to the right.
        let value = address ^ seed as u32;
        let value = (value ^ value >> 16).wrapping_mul(0x7feb_352d);
        let value = (value ^ value >> 15).wrapping_mul((seed >> 32) as u32 | 1);
        let value = (value ^ value >> 16).wrapping_mul(0x846c_a68b);
        Self(value ^ value >> 16)
    }

    /// What a table of `lines` keeps of it, `behind` its own line: 19 bits, above those of its number.
    #[inline(always)]
    pub const fn rest(self, lines: u32, behind: u32) -> u32 {
        let below = (self.0 as u64 * lines as u64) as u32;
        (below >> 16 << 3 | behind) << V4_NUMBER_BITS
    }
}

impl Host for V4 {
    #[inline(always)]
    fn line(self, lines: u32) -> u32 {
        ((self.0 as u64 * lines as u64) >> 32) as u32
    }

    #[inline(always)]
    fn hash(self) -> u64 {
        let product = (self.0 as u64).wrapping_mul(GOLDEN);
        product ^ product >> 32
    }

    #[inline(always)]
    fn number(self, line: &Line, lines: u32, behind: u32) -> u16 {
        let rest = self.rest(lines, behind);
        let mut number = 0;
        let mut slot = 0;
        while slot < V4_SLOTS {
            let difference = half(line, slot) ^ rest;
            number |= difference & at_most(difference >> V4_NUMBER_BITS, 0);
            slot += 1;
        }
        number as u16
    }
}

impl PlainV4 {
    /// The address, mixed.
    pub const fn mixed(self) -> u32 {
        self.0.0
    }
}

impl Host for PlainV4 {
    #[inline(always)]
    fn line(self, lines: u32) -> u32 {
        self.0.line(lines)
    }

    #[inline(always)]
    fn hash(self) -> u64 {
        self.0.hash()
    }

    #[inline(always)]
    fn number(self, line: &Line, _lines: u32, _behind: u32) -> u16 {
        let mut number = 0;
        let mut slot = 0;
        while slot < PLAIN_SLOTS {
            let difference = half(line, slot) ^ self.mixed();
            number |= quarter(line, PLAIN_NUMBERS + slot) & if_zero(difference as u64);
            slot += 1;
        }
        number
    }
}

impl V6 {
    /// The address of two words, hashed with a secret.
    #[inline(always)]
    pub const fn new(seed: u64, [high, low]: [u64; 2]) -> Self {
        let value = (high ^ seed).wrapping_mul(GOLDEN);
        let value = value ^ value >> 32 ^ low;
        // The finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
        let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self([high, low], value ^ value >> 31)
    }

    /// The address.
    pub const fn words(self) -> [u64; 2] {
        self.0
    }
}

impl Host for V6 {
    #[inline(always)]
    fn line(self, lines: u32) -> u32 {
        line_of(self.1, lines)
    }

    #[inline(always)]
    fn hash(self) -> u64 {
        self.1
    }

    #[inline(always)]
    fn number(self, line: &Line, _lines: u32, _behind: u32) -> u16 {
        let mut number = 0;
        let mut slot = 0;
        while slot < V6_SLOTS {
            let at = slot as usize * 2;
            if line[at] == self.0[0] && line[at + 1] == self.0[1] {
                number |= quarter(line, V6_NUMBERS + slot);
            }
            slot += 1;
        }
        number
    }
}

impl Network {
    /// The network whose upper 64 bits are `high`, hashed with a secret.
    #[inline(always)]
    pub const fn new(seed: u64, high: u64) -> Self {
        let V6([high, _], hash) = V6::new(seed, [high, 0]);
        Self(high, hash)
    }

    /// Its upper 64 bits.
    pub const fn high(self) -> u64 {
        self.0
    }
}

impl Host for Network {
    #[inline(always)]
    fn line(self, lines: u32) -> u32 {
        line_of(self.1, lines)
    }

    #[inline(always)]
    fn hash(self) -> u64 {
        self.1
    }

    #[inline(always)]
    fn number(self, line: &Line, _lines: u32, _behind: u32) -> u16 {
        let mut number = 0;
        let mut slot = 0;
        while slot < NETWORK_SLOTS {
            number |= quarter(line, NETWORK_NUMBERS + slot) & if_zero(line[slot as usize] ^ self.0);
            slot += 1;
        }
        number
    }
}

/// The line of a hash, of so many.
#[inline(always)]
const fn line_of(hash: u64, lines: u32) -> u32 {
    (((hash & 0xffff_ffff) * lines as u64) >> 32) as u32
}

/// The word of a filter of `words` that stands for a hash.
#[inline(always)]
pub const fn filter_word(hash: u64, words: u32) -> u32 {
    (((hash >> 32) * words as u64) >> 32) as u32
}

/// The bits of a hash in its word.
#[inline(always)]
pub const fn filter_bits(hash: u64) -> u64 {
    let value = hash.wrapping_mul(GOLDEN);
    1 << (value >> 58) | 1 << (value >> 52 & 63) | 1 << (value >> 46 & 63)
}

impl Hosts {
    /// The number of an address, 0 for none.
    #[inline(always)]
    pub fn find<L: Lines, H: Host>(&self, lines: &L, host: H) -> u16 {
        if self.words == 0 {
            return 0;
        }
        let hash = host.hash();
        let word = filter_word(hash, self.words);
        let Some(line) = lines.line(self.filter + word / 8) else { return 0 };
        let bits = filter_bits(hash);
        if line[word as usize & 7] & bits != bits {
            return 0;
        }
        let own = self.table + host.line(self.lines);
        let mut behind = 0;
        while behind < SPILL {
            let Some(line) = lines.line(own + behind) else { return 0 };
            let number = host.number(line, self.lines, behind);
            if number != 0 || quarter(line, MARK) == 0 {
                return number;
            }
            behind += 1;
        }
        0
    }
}
