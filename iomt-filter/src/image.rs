//! What the flat tables hold, line by line, made of rows: pure functions, whose result is copied into the
//! memory that the kernel program reads. Lookups are in [`iomt_filter_common::lookup`].

use std::collections::HashMap;

use iomt_filter_common::geo::Country;
use iomt_filter_common::lookup::hosts::{Network, PlainV4, V4, V4_LEAST_LINES, V4_NUMBER_BITS, V6};
use iomt_filter_common::lookup::{Countries, DEEPER, HALVES, LONGER, Line, Listings};
use iomt_filter_common::reputation::Listing;
use thiserror::Error;

use crate::rows::Prefixes;

mod hosts;
mod pieces;
mod policy;
mod ranges;
mod tree;
mod trie;

pub use policy::{PolicyRows, policy};

use hosts::Put;
use pieces::{Family, Valued};

/// Why rows cannot be made an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// Numbers of 15 bits stand for listings, but for the last.
    #[error("the lists have more than 32,766 combinations of feed, score and prefix length; merge feeds")]
    TooManyClasses,
    /// The buckets of the ranges are counted with 19 bits.
    #[error("the prefixes of IPv4 come to more ranges than a table can hold (8 million)")]
    TooManyRanges,
    /// Numbers of 16 bits stand for peer classes.
    #[error("the rules tell more than 65,534 sorts of peers apart; name wider networks")]
    TooManyPeers,
    /// Lines are counted with 32 bits.
    #[error("the lists are larger than a table can be")]
    TooLarge,
}

/// Lines, and where in them the tables are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<T> {
    /// Where the tables are, with line numbers as the kernel program counts them.
    pub tables: T,
    /// The lines, of which the first is to stand at `base`.
    pub lines: Vec<Line>,
}

/// From so many listed hosts of IPv4 on, a table of what their lines do not say of them is the smaller one.
const MANY_HOSTS: usize = (V4_LEAST_LINES * <PlainV4 as Put>::LOAD) as usize;
/// Fewer networks of IPv6 of one length lie among the prefixes.
const FEW_NETWORKS: usize = 1_000;

/// The image of listings whose first line is to stand at `base`, which is not 0. `seed` decides where hosts
/// lie; nobody outside may know it.
///
/// # Errors
/// [`ImageError`], for lists that are too large or too varied.
pub fn listings(rows: &Prefixes<Listing>, base: u32, seed: u64) -> Result<Image<Listings>, ImageError> {
    listings_with(rows, base, seed, FEW_NETWORKS)
}

fn listings_with(
    rows: &Prefixes<Listing>,
    base: u32,
    seed: u64,
    few_networks: usize,
) -> Result<Image<Listings>, ImageError> {
    let network_bits = network_bits(rows, few_networks);
    let mut classes = Classes::default();
    let (mut hosts_v4, mut hosts_v6, mut networks_v6) = (Vec::new(), Vec::new(), Vec::new());
    let mut prefixes = [Vec::new(), Vec::new()];
    for (prefix, listing) in rows.iter() {
        let class = classes.number(*listing)?;
        let is_v4 = prefix.is_v4();
        // What is spared in a wider prefix is a prefix of no class.
        match prefix.bits {
            128 if class != 0 && is_v4 => hosts_v4.push((V4::new(seed, prefix.address.low()), class)),
            128 if class != 0 => hosts_v6.push((V6::new(seed, prefix.address.words()), class)),
            bits if class != 0 && !is_v4 && bits == network_bits => {
                networks_v6.push((Network::new(seed, prefix.address.words()[0]), class));
            }
            bits if !is_v4 && bits > network_bits => Family::sort(prefix, class | LONGER, &mut prefixes),
            _ => Family::sort(prefix, class, &mut prefixes),
        }
    }
    let is_many = hosts_v4.len() >= MANY_HOSTS && classes.listings.len() < 1 << V4_NUMBER_BITS;
    let (many_v4, few_v4) = if is_many { (hosts_v4, Vec::new()) } else { (Vec::new(), hosts_v4) };
    let few_v4 = few_v4.into_iter().map(|(host, class)| (PlainV4(host), class)).collect();
    let [prefixes_v4, prefixes_v6] = prefixes;
    let mut memory = Memory::new(base);
    Ok(Image {
        tables: Listings {
            seed,
            network_mask: !u64::MAX.checked_shr(u32::from(network_bits)).unwrap_or(0),
            classes: classes.write(&mut memory)?,
            many_v4: hosts::write(many_v4, &mut memory)?,
            few_v4: hosts::write::<PlainV4>(few_v4, &mut memory)?,
            hosts_v6: hosts::write(hosts_v6, &mut memory)?,
            networks_v6: hosts::write(networks_v6, &mut memory)?,
            prefixes_v4: ranges::write(&prefixes_v4, &mut memory)?,
            prefixes_v6: tree::write_both(&prefixes_v6, &mut memory)?,
        },
        lines: memory.lines,
    })
}

/// The length up to 64 bits that most networks of IPv6 have; 0 where that is few.
fn network_bits(rows: &Prefixes<Listing>, few: usize) -> u8 {
    let mut networks = [0_usize; 65];
    for (prefix, listing) in rows.iter() {
        if (1..=64).contains(&prefix.bits) && *listing != Listing::NONE {
            networks[usize::from(prefix.bits)] += 1;
        }
    }
    let most = (0..).zip(networks).max_by_key(|(_, count)| *count);
    most.filter(|(_, count)| *count >= few.max(1)).map_or(0, |(bits, _)| bits)
}

/// The image of countries whose first line is to stand at `base`, which is not 0.
///
/// # Errors
/// [`ImageError`], for a database that is too large.
pub fn countries(rows: &Prefixes<Country>, base: u32) -> Result<Image<Countries>, ImageError> {
    let mut memory = Memory::new(base);
    let mut prefixes: [Vec<Valued>; 2] = [Vec::new(), Vec::new()];
    for (prefix, country) in rows.iter() {
        Family::sort(prefix, country.0, &mut prefixes);
    }
    let [v4, v6] = &prefixes;
    let tables = Countries {
        v4: ranges::write(v4, &mut memory)?,
        v6: tree::write_both(v6, &mut memory)?,
        ..Countries::default()
    };
    Ok(Image { tables, lines: memory.lines })
}

/// Lines in the making.
struct Memory {
    base: u32,
    lines: Vec<Line>,
}

impl Memory {
    const fn new(base: u32) -> Self {
        Self { base, lines: Vec::new() }
    }

    /// Makes room for so many lines; the number of the first.
    fn add(&mut self, lines: usize) -> Result<u32, ImageError> {
        let first = u32::try_from(self.lines.len()).ok().and_then(|held| self.base.checked_add(held));
        let first = first.ok_or(ImageError::TooLarge)?;
        u32::try_from(lines).ok().and_then(|lines| first.checked_add(lines)).ok_or(ImageError::TooLarge)?;
        self.lines.resize(self.lines.len() + lines, Line::default());
        Ok(first)
    }

    /// The lines from `first` on.
    fn from(&mut self, first: u32) -> &mut [Line] {
        &mut self.lines[(first - self.base) as usize..]
    }
}

/// Puts a number of 32 bits at `index` among those of `lines`, where nothing was put before.
fn put_half(lines: &mut [Line], index: usize, value: u32) {
    let within = index % HALVES as usize;
    lines[index / HALVES as usize][within / 2] |= u64::from(value) << (within % 2 * 32);
}

/// Puts a number of 16 bits at `index` among those of `lines`, where nothing was put before.
fn put_quarter(lines: &mut [Line], index: usize, value: u16) {
    let within = index % (2 * HALVES as usize);
    lines[index / (2 * HALVES as usize)][within / 4] |= u64::from(value) << (within % 4 * 16);
}

/// Places for listings that were asked for last.
const RECENT: usize = 64;

/// Listings by numbers from 1; 0 is none.
struct Classes {
    numbers: HashMap<Listing, u16>,
    listings: Vec<Listing>,
    recent: [(Listing, u16); RECENT],
}

impl Default for Classes {
    fn default() -> Self {
        let recent = [(Listing::NONE, 0); RECENT];
        Self { numbers: HashMap::from([recent[0]]), listings: Vec::new(), recent }
    }
}

impl Classes {
    fn number(&mut self, listing: Listing) -> Result<u16, ImageError> {
        let recent = &mut self.recent[(usize::from(listing.feed) * 7 + usize::from(listing.score)) % RECENT];
        if recent.0 == listing {
            return Ok(recent.1);
        }
        let number = match self.numbers.get(&listing) {
            Some(number) => *number,
            None => {
                self.listings.push(listing);
                let number =
                    u16::try_from(self.listings.len()).ok().filter(|number| number | LONGER != DEEPER);
                let number = number.ok_or(ImageError::TooManyClasses)?;
                self.numbers.insert(listing, number);
                number
            }
        };
        *recent = (listing, number);
        Ok(number)
    }

    fn write(&self, memory: &mut Memory) -> Result<u32, ImageError> {
        let first = memory.add((self.listings.len() + 1).div_ceil(HALVES as usize))?;
        let lines = memory.from(first);
        for (index, listing) in self.listings.iter().enumerate() {
            put_half(lines, index + 1, listing.number());
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use iomt_filter_common::Address;
    use iomt_filter_common::lookup::Lines;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::rows::Prefix;

    const BASE: u32 = 7;

    struct Flat<'a>(&'a [Line]);

    impl Lines for Flat<'_> {
        fn line(&self, number: u32) -> Option<&Line> {
            self.0.get(number.checked_sub(BASE)? as usize)
        }
    }

    /// Both ends of every prefix, and the addresses beside them.
    fn edges<V>(rows: &Prefixes<V>) -> Vec<Address> {
        let mut edges = Vec::new();
        for (prefix, _) in rows.iter() {
            let first = u128::from_be_bytes(prefix.address.octets());
            let last = first | u128::MAX.checked_shr(u32::from(prefix.bits)).unwrap_or(0);
            for edge in [first, last, first.wrapping_sub(1), last.wrapping_add(1)] {
                edges.push(Address::from_v6(edge.to_be_bytes()));
            }
        }
        edges
    }

    /// Prefixes that often lie in each other, of both families and all lengths.
    fn prefix() -> impl Strategy<Value = Prefix> {
        let v4 = (any::<u32>(), any::<u32>(), 0..=32_u8).prop_map(|(a, mask, bits)| {
            let address = IpAddr::from((a & mask & 0x0f0f_0303).to_be_bytes());
            Prefix::of(address.into(), 96 + bits)
        });
        let v6 = (any::<u128>(), any::<u128>(), 0..=128_u8).prop_map(|(a, mask, bits)| {
            let high = 0x2001_0db8_u128 << 96;
            Prefix::of(Address::from_v6((high | (a & mask) >> 20).to_be_bytes()), bits)
        });
        let short = (any::<u128>(), 0..=20_u8)
            .prop_map(|(a, bits)| Prefix::of(Address::from_v6(a.to_be_bytes()), bits));
        prop_oneof![4 => v4, 4 => v6, 1 => short]
    }

    proptest! {
        #[test]
        fn countries_are_those_of_the_longest_prefix(
            rows in vec((prefix(), 0..700_u16), 0..60),
            others in vec(any::<u128>(), 20),
        ) {
            let rows: Prefixes<Country> =
                rows.into_iter().map(|(prefix, country)| (prefix, Country(country))).collect();
            let image = countries(&rows, BASE).unwrap();
            let others = others.into_iter().map(|address| Address::from_v6(address.to_be_bytes()));
            for address in edges(&rows).into_iter().chain(others) {
                let found = image.tables.find(&Flat(&image.lines), address);
                prop_assert_eq!(found, rows.longest(address).copied().unwrap_or_default(), "{:?}", IpAddr::from(address));
            }
        }

        #[test]
        fn listings_are_those_of_the_longest_prefix(
            rows in vec((prefix(), 0..4_u16, 0..100_u8, any::<bool>()), 0..200),
            seed in any::<u64>(),
            few_networks in prop_oneof![Just(0), Just(FEW_NETWORKS)],
        ) {
            let rows: Prefixes<Listing> = rows
                .into_iter()
                .map(|(prefix, feed, score, is_host)| {
                    let bits = if is_host { 128 } else { prefix.bits };
                    let listing = Listing { feed, score, prefix_bits: bits };
                    (Prefix::of(prefix.address, bits), if feed == 0 { Listing::NONE } else { listing })
                })
                .collect();
            let image = listings_with(&rows, BASE, seed, few_networks).unwrap();
            for address in edges(&rows) {
                let found = image.tables.find(&Flat(&image.lines), address);
                prop_assert_eq!(found, rows.longest(address).copied().unwrap_or_default(), "{:?}", IpAddr::from(address));
            }
        }
    }

    #[test]
    fn nothing_takes_no_lines_and_holds_nothing() {
        let image = countries(&Prefixes::default(), BASE).unwrap();
        assert!(image.lines.is_empty());
        let anywhere = Address::from_v4([203, 0, 113, 9]);
        assert_eq!(image.tables.find(&Flat(&image.lines), anywhere), Country::UNKNOWN);
        let image = listings(&Prefixes::default(), BASE, 1).unwrap();
        assert_eq!(image.tables.find(&Flat(&image.lines), anywhere), Listing::NONE);
    }

    #[test]
    fn a_large_list_is_found_again_and_nothing_else() {
        const COUNT: u32 = 200_000;
        let listing = |number: u32| Listing { feed: number as u16 % 9 + 1, score: 90, prefix_bits: 128 };
        let host = |number: u32| Address::from_v4(number.wrapping_mul(0x9e37_79b1).to_be_bytes());
        let host_v6 = |number: u32| {
            let low = u128::from(number.wrapping_mul(0x9e37_79b1));
            Address::from_v6((0x2001_0db8_u128 << 96 | low).to_be_bytes())
        };
        let hosts = (0..COUNT).flat_map(|number| {
            [
                (Prefix::of(host(number), 128), listing(number)),
                (Prefix::of(host_v6(number), 128), listing(number)),
            ]
        });
        let image = listings(&hosts.collect(), BASE, 0x5eed).unwrap();
        let lines = Flat(&image.lines);
        for number in 0..COUNT {
            assert_eq!(image.tables.find(&lines, host(number)), listing(number));
            assert_eq!(image.tables.find(&lines, host_v6(number)), listing(number));
            assert_eq!(image.tables.find(&lines, host(COUNT + number)), Listing::NONE);
            assert_eq!(image.tables.find(&lines, host_v6(COUNT + number)), Listing::NONE);
        }
    }

    #[test]
    fn a_large_tree_answers_as_the_longest_prefix_does() {
        // A step of an xorshift generator (Marsaglia, 2003).
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut prefix = || {
            let high = 0x2001_0000_0000_0000 | next() >> (16 + next() % 16);
            let address = u128::from(high) << 64 | u128::from(next());
            let bits = if next() % 16 == 0 { 65 + next() % 63 } else { 20 + next() % 45 };
            Prefix::of(Address::from_v6(address.to_be_bytes()), bits as u8)
        };
        let rows: Prefixes<Country> = (0..60_000_u16).map(|n| (prefix(), Country(n % 600))).collect();
        let image = countries(&rows, BASE).unwrap();
        assert!(image.tables.v6.tree.levels.iter().filter(|level| **level != 0).count() > 3);
        for address in edges(&rows) {
            let found = image.tables.find(&Flat(&image.lines), address);
            assert_eq!(
                found,
                rows.longest(address).copied().unwrap_or_default(),
                "{:?}",
                IpAddr::from(address)
            );
        }
    }

    #[test]
    fn many_hosts_are_found_again_and_nothing_else() {
        let many = MANY_HOSTS as u32;
        let host = |number: u32| Address::from_v4(number.wrapping_mul(0x9e37_79b1).to_be_bytes());
        for feeds in [9, 10_000] {
            let listing =
                |number: u32| Listing { feed: (number % feeds) as u16 + 1, score: 90, prefix_bits: 128 };
            let rows = (0..many).map(|number| (Prefix::of(host(number), 128), listing(number)));
            let image = listings(&rows.collect(), BASE, 0x5eed).unwrap();
            // There is no room for larger numbers beside what is left of an address.
            assert_eq!(image.tables.many_v4.words != 0, feeds == 9);
            assert_eq!(image.tables.few_v4.words != 0, feeds != 9);
            let lines = Flat(&image.lines);
            for number in 0..many {
                assert_eq!(image.tables.find(&lines, host(number)), listing(number));
                assert_eq!(image.tables.find(&lines, host(many + number)), Listing::NONE);
            }
        }
    }

    #[test]
    fn what_is_too_varied_is_refused() {
        let rows = (0..40_000_u32).map(|number| {
            let listing = Listing { feed: number as u16, score: (number >> 16) as u8 + 1, prefix_bits: 128 };
            (Prefix::of(Address::from_v4(number.to_be_bytes()), 128), listing)
        });
        assert_eq!(listings(&rows.collect(), BASE, 1), Err(ImageError::TooManyClasses));
    }
}
