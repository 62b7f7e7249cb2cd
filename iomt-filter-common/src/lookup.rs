//! Lookup tables in flat memory: lines of 64 bytes that user space fills and that the kernel program reads.
//!
//! A table is where it begins and how large it is; what it holds is read from [`Lines`] that are shared by
//! all tables of a kind. User space builds them, see `image` there. A line never changes while a generation
//! that is judged by refers to it. Every loop here has a bound, and what lies outside of the lines says
//! nothing: a table that was never filled holds nothing.

use crate::addr::Address;
use crate::geo::Country;
use crate::reputation::Listing;

pub mod hosts;
pub mod ranges;
pub mod trie;

use hosts::{Hosts, V4, V6};
use ranges::Ranges;
use trie::Trie;

/// One cache line: eight words, read as smaller numbers from the low end up.
pub type Line = [u64; 8];
/// Words of 32 bits in a line.
pub const HALVES: u32 = 16;
/// Words of 16 bits in a line.
pub const QUARTERS: u32 = 32;

/// Memory that tables lie in.
pub trait Lines {
    /// A line by its number; `None` behind the end.
    fn line(&self, number: u32) -> Option<&Line>;
}

/// The tables of one generation in their lines: 168 bytes, a table value. All zero holds nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// Threat lists.
    pub listings: Listings,
    /// Blocks by hand.
    pub blocks: Listings,
    /// Countries.
    pub countries: Countries,
    /// Which half of their lines each of them lies in, 0 or 1: listings, blocks, countries.
    pub halves: [u32; 3],
    /// Padding, zero.
    pub reserved: u32,
}

/// Listed addresses: 64 bytes. Hosts are looked for first, because the longest prefix answers; few hosts of IPv4
/// are among the prefixes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listings {
    /// What the hosts are hashed with.
    pub seed: u64,
    /// IPv4 addresses.
    pub hosts_v4: Hosts,
    /// IPv6 addresses.
    pub hosts_v6: Hosts,
    /// Shorter prefixes of IPv4.
    pub prefixes_v4: Ranges,
    /// Shorter prefixes of IPv6.
    pub prefixes_v6: Trie,
    /// First line of the listings that the numbers in the tables above stand for, 16 a line; number 0 is none.
    pub classes: u32,
}

/// Countries of prefixes: 24 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Countries {
    /// Prefixes of IPv4.
    pub v4: Ranges,
    /// Prefixes of IPv6.
    pub v6: Trie,
    /// Padding, zero.
    pub reserved: u32,
}

impl Listings {
    /// The listing of the longest prefix that holds `address`.
    #[inline(always)]
    pub fn find<L: Lines>(&self, lines: &L, address: Address) -> Listing {
        let class = if address.is_v4() {
            let host = address.low();
            match self.hosts_v4.find(lines, V4::new(self.seed, host)) {
                0 => self.prefixes_v4.find(lines, host),
                class => class,
            }
        } else {
            let words = address.words();
            match self.hosts_v6.find(lines, V6::new(self.seed, words)) {
                0 => self.prefixes_v6.find(lines, words),
                class => class,
            }
        };
        if class == 0 {
            return Listing::NONE;
        }
        let class = u32::from(class);
        lines
            .line(self.classes + class / HALVES)
            .map_or(Listing::NONE, |line| Listing::from_number(half(line, class % HALVES)))
    }
}

impl Countries {
    /// The country of the longest prefix that holds `address`.
    #[inline(always)]
    pub fn find<L: Lines>(&self, lines: &L, address: Address) -> Country {
        Country(if address.is_v4() {
            self.v4.find(lines, address.low())
        } else {
            self.v6.find(lines, address.words())
        })
    }
}

/// All ones where `number` is at most `most`, zero otherwise. A search that branches is walked both ways at each
/// step by the verifier, and guessed wrong half the time by the processor.
#[inline(always)]
pub(crate) const fn at_most(number: u32, most: u32) -> u32 {
    ((number as i64 - most as i64 - 1) >> 63) as u32
}

/// The number of 32 bits at `index`, which is below 16.
#[inline(always)]
pub(crate) const fn half(line: &Line, index: u32) -> u32 {
    (line[(index >> 1) as usize & 7] >> ((index & 1) * 32)) as u32
}

/// The number of 16 bits at `index`, which is below 32.
#[inline(always)]
pub(crate) const fn quarter(line: &Line, index: u32) -> u16 {
    (line[(index >> 2) as usize & 7] >> ((index & 3) * 16)) as u16
}
