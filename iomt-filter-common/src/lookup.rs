//! Lookup tables in flat memory: lines of 64 bytes that user space fills and that the kernel program reads.
//!
//! A table is where it begins and how large it is; what it holds is read from [`Lines`] that are shared by
//! all tables of a kind. User space builds them, see `image` there. A line never changes while a generation
//! that is judged by refers to it. Every loop here has a bound, and what lies outside of the lines says
//! nothing: a table that was never filled holds nothing.

use core::hint::black_box;

use crate::addr::Address;
use crate::geo::Country;
use crate::reputation::Listing;

pub mod hosts;
pub mod known;
pub mod policy;
pub mod ranges;
pub mod tree;
pub mod trie;

use hosts::{Hosts, Network, PlainV4, V4, V6};
use policy::Policy;
use ranges::Ranges;
use tree::Tree;
use trie::Trie;

/// One cache line: eight words, read as smaller numbers from the low end up.
pub type Line = [u64; 8];
/// Words of 32 bits in a line.
pub const HALVES: u32 = 16;
/// Words of 16 bits in a line.
pub const QUARTERS: u32 = 32;

/// In the class of a prefix of IPv6: it is longer than the networks that have a table of their own. Spared
/// addresses in such a network have it with class 0.
pub const LONGER: u16 = 1 << 15;

/// Memory that tables lie in.
pub trait Lines {
    /// A line by its number; `None` behind the end.
    fn line(&self, number: u32) -> Option<&Line>;
}

/// The tables of one generation in their lines: 424 bytes, a table value. All zero holds nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// Threat lists.
    pub listings: Listings,
    /// Blocks by hand.
    pub blocks: Listings,
    /// Countries.
    pub countries: Countries,
    /// Policy and inventory.
    pub policy: Policy,
    /// Which half of their lines each of them lies in, 0 or 1: listings, blocks, countries, policy.
    pub halves: [u32; 4],
}

/// Listed addresses: 136 bytes. Hosts are looked for first, because the longest prefix answers. Of IPv6, the networks of
/// the one length that most of them have are in a table like the hosts': what a prefix says is more than they do where it
/// is [`LONGER`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listings {
    /// What the hosts are hashed with.
    pub seed: u64,
    /// IPv4 addresses, where they are many.
    pub many_v4: Hosts,
    /// IPv4 addresses, where they are few.
    pub few_v4: Hosts,
    /// IPv6 addresses.
    pub hosts_v6: Hosts,
    /// Networks of IPv6 of one length up to 64 bits.
    pub networks_v6: Hosts,
    /// Which bits of the upper half of an address say in which of them it is.
    pub network_mask: u64,
    /// Shorter prefixes of IPv4.
    pub prefixes_v4: Ranges,
    /// Shorter prefixes of IPv6, with [`LONGER`] for those that are longer than the networks.
    pub prefixes_v6: PrefixesV6,
    /// First line of the listings that the numbers in the tables above stand for, 16 a line; number 0 is none.
    pub classes: u32,
}

/// Countries of prefixes: 56 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Countries {
    /// Prefixes of IPv4.
    pub v4: Ranges,
    /// Prefixes of IPv6.
    pub v6: PrefixesV6,
    /// Padding, zero.
    pub reserved: u32,
}

/// Prefixes of IPv6: 44 bytes. Most are no longer than half an address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixesV6 {
    /// What the upper half of an address says, [`DEEPER`] where the lower one says more.
    pub tree: Tree,
    /// All that is to say where the tree says that.
    pub trie: Trie,
}

/// The value of an upper half that has several.
pub const DEEPER: u16 = u16::MAX;

impl PrefixesV6 {
    /// The value of the longest prefix that holds the address of two words, 0 for none.
    #[inline(always)]
    pub fn find<L: Lines>(&self, lines: &L, words: [u64; 2]) -> u16 {
        match self.tree.find(lines, words[0]) {
            DEEPER => self.trie.find(lines, words),
            value => value,
        }
    }
}

impl Listings {
    /// The listing of the longest prefix that holds `address`.
    #[inline(always)]
    pub fn find<L: Lines>(&self, lines: &L, address: Address) -> Listing {
        let class = if address.is_v4() {
            let host = address.low();
            let mixed = V4::new(self.seed, host);
            let class = match self.many_v4.words {
                0 => self.few_v4.find(lines, PlainV4(mixed)),
                _ => self.many_v4.find(lines, mixed),
            };
            if class == 0 { self.prefixes_v4.find(lines, host) } else { class }
        } else {
            let words = address.words();
            match self.hosts_v6.find(lines, V6::new(self.seed, words)) {
                0 => self.network_or_prefix(lines, words),
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

impl Listings {
    /// The class of an IPv6 address that is no host.
    #[inline(always)]
    fn network_or_prefix<L: Lines>(&self, lines: &L, words: [u64; 2]) -> u16 {
        let network = Network::new(self.seed, words[0] & self.network_mask);
        let of_network = self.networks_v6.find(lines, network);
        let of_prefix = self.prefixes_v6.find(lines, words);
        if of_network != 0 && of_prefix & LONGER == 0 { of_network } else { of_prefix & !LONGER }
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

/// All ones where `number` is zero, zero otherwise. As [`at_most`]; the compiler would branch if it saw what this is.
#[inline(always)]
pub(crate) fn if_zero(number: u64) -> u16 {
    (black_box(!(number | number.wrapping_neg())) as i64 >> 63) as u16
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
