//! The flat tables and a plain search of the same rows, asked for the same addresses: random ones, and those where
//! an answer ends and another one begins.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;

use iomt_filter::image::{self, Image};
use iomt_filter::rows::{Prefix, Prefixes};
use iomt_filter_common::Address;
use iomt_filter_common::addr::IPV4_PREFIX_BITS;
use iomt_filter_common::geo::Country;
use iomt_filter_common::lookup::{Countries, Line, Lines, Listings};
use iomt_filter_common::reputation::Listing;

use crate::random::Random;

/// As many hosts as the largest lists have.
pub const MILLION: usize = 1_000_000;
/// The first line is nobody's.
const BASE: u32 = 1;
/// Lengths of prefixes of IPv6: those that are in use, and those beside them.
const V6_BITS: [u8; 18] = [16, 19, 20, 24, 28, 29, 32, 36, 40, 44, 48, 52, 56, 63, 64, 65, 96, 127];

/// Lists and countries, as tables and as rows.
pub struct Lists {
    listings: Image<Listings>,
    countries: Image<Countries>,
    plain_listings: Plain<Listing>,
    plain_countries: Plain<Country>,
    /// Every prefix, to look where it begins and ends.
    prefixes: Vec<Prefix>,
}

/// What was seen where nothing differs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Addresses that were looked up.
    pub addresses: u64,
    /// Those that are listed.
    pub listed: u64,
    /// Those that have a country.
    pub with_country: u64,
}

impl Lists {
    /// So many listed hosts of both families, a prefix for every twenty of them, some of which are spared, and
    /// countries for the world, all in each other.
    ///
    /// # Panics
    /// When they fit no table.
    #[must_use]
    pub fn new(seed: u64, hosts: usize) -> Self {
        let mut random = Random::new(seed);
        let (listings, countries) = (listings(&mut random, hosts), countries(&mut random, hosts));
        Self::of(&listings, &listings, &countries)
    }

    /// The same, with one listed host that the tables do not have.
    ///
    /// # Panics
    /// As [`Lists::new`].
    #[must_use]
    pub fn flawed(seed: u64, hosts: usize) -> Self {
        let mut random = Random::new(seed);
        let (listings, countries) = (listings(&mut random, hosts), countries(&mut random, hosts));
        let mut without = listings.clone();
        let lost = listings.iter().find(|(prefix, listing)| prefix.bits == 128 && listing.feed != 0);
        if let Some((prefix, _)) = lost {
            without.remove(prefix);
        }
        Self::of(&without, &listings, &countries)
    }

    #[expect(clippy::expect_used, reason = "what fits no table is an error of this file")]
    fn of(
        in_tables: &BTreeMap<Prefix, Listing>,
        listings: &BTreeMap<Prefix, Listing>,
        countries: &BTreeMap<Prefix, Country>,
    ) -> Self {
        let rows = Prefixes::from(in_tables.clone());
        let numbers = Prefixes::from(countries.clone());
        Self {
            listings: image::listings(&rows, BASE, 0x5eed).expect("lists that fit"),
            countries: image::countries(&numbers, BASE).expect("countries that fit"),
            plain_listings: Plain::of(listings),
            plain_countries: Plain::of(countries),
            prefixes: listings.keys().chain(countries.keys()).copied().collect(),
        }
    }

    /// Looks up so many addresses both ways.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, seed: u64, addresses: u64) -> Result<Seen, String> {
        let mut random = Random::new(seed);
        let mut seen = Seen::default();
        for _ in 0..addresses {
            let address = self.address(&mut random);
            let found = self.listings.tables.find(&Flat(&self.listings.lines), address);
            let wanted = self.plain_listings.find(address).copied().unwrap_or_default();
            let country = self.countries.tables.find(&Flat(&self.countries.lines), address);
            let of_plain = self.plain_countries.find(address).copied().unwrap_or_default();
            if found != wanted || country != of_plain {
                let address = IpAddr::from(address);
                return Err(format!(
                    "{address}: the tables say {found:?} and {country:?}, a plain search {wanted:?} and {of_plain:?}"
                ));
            }
            seen.addresses += 1;
            seen.listed += u64::from(found != Listing::NONE);
            seen.with_country += u64::from(country != Country::UNKNOWN);
        }
        Ok(seen)
    }

    fn address(&self, random: &mut Random) -> Address {
        let prefix = random.pick(&self.prefixes);
        let first = number(prefix.address);
        let last = first | hosts_of(prefix.bits);
        match random.below(8) {
            0 | 1 => Address::from_v4((random.next() as u32).to_be_bytes()),
            2 => at(1 << 125 | wide(random) >> 3),
            3 => at(wide(random)),
            4 => at(random.pick(&[first, last])),
            5 => at(random.pick(&[first.wrapping_sub(1), last.wrapping_add(1)])),
            6 => at(first ^ 1 << random.below(32)),
            _ => at(first | wide(random) & hosts_of(prefix.bits)),
        }
    }
}

struct Flat<'a>(&'a [Line]);

impl Lines for Flat<'_> {
    fn line(&self, number: u32) -> Option<&Line> {
        self.0.get(number.checked_sub(BASE)? as usize)
    }
}

/// Rows of one length.
type OfLength<V> = HashMap<u128, V, BuildHasherDefault<Fold>>;

/// Rows by their length, the longest first, IPv4 apart from IPv6.
struct Plain<V> {
    v4: Vec<(u8, OfLength<V>)>,
    v6: Vec<(u8, OfLength<V>)>,
}

impl<V: Copy> Plain<V> {
    fn of(rows: &BTreeMap<Prefix, V>) -> Self {
        let of = |is_v4: bool| {
            let mut lengths: BTreeMap<u8, OfLength<V>> = BTreeMap::new();
            for (prefix, value) in rows.iter().filter(|(prefix, _)| prefix.is_v4() == is_v4) {
                lengths.entry(prefix.bits).or_default().insert(number(prefix.address), *value);
            }
            lengths.into_iter().rev().collect()
        };
        Self { v4: of(true), v6: of(false) }
    }

    fn find(&self, address: Address) -> Option<&V> {
        let lengths = if address.is_v4() { &self.v4 } else { &self.v6 };
        let number = number(address);
        lengths.iter().find_map(|(bits, rows)| rows.get(&(number & !hosts_of(*bits))))
    }
}

/// A hash that takes no time; the numbers are random already.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u128(u128::from(*byte)));
    }

    fn write_u128(&mut self, number: u128) {
        let folded = self.0 ^ (number >> 64) as u64 ^ (number as u64).rotate_left(23);
        let product = u128::from(folded) * 0x9e37_79b9_7f4a_7c15_u128;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn listings(random: &mut Random, hosts: usize) -> BTreeMap<Prefix, Listing> {
    let mut rows = BTreeMap::new();
    let mut networks = Vec::new();
    for _ in 0..hosts / 20 {
        let prefix = prefix(random, &networks);
        networks.push(prefix);
        rows.insert(prefix, listing(random, prefix.bits));
    }
    while rows.len() < hosts + hosts / 20 {
        let address = match random.below(4) {
            0 => mapped(random.next() as u32),
            // Near each other, as those of one provider.
            1 => mapped(random.next() as u32 & 0x3f1f_0fff),
            2 => 1 << 125 | wide(random) >> 3,
            _ => {
                let network = random.pick(&networks);
                number(network.address) | wide(random) & hosts_of(network.bits)
            }
        };
        rows.insert(Prefix::of(at(address), 128), listing(random, 128));
    }
    rows
}

fn countries(random: &mut Random, hosts: usize) -> BTreeMap<Prefix, Country> {
    let mut rows = BTreeMap::new();
    let mut networks = Vec::new();
    for _ in 0..hosts / 4 {
        let prefix = prefix(random, &networks);
        networks.push(prefix);
        rows.insert(prefix, Country(random.below(250) as u16));
    }
    rows
}

/// A prefix of one family or the other, often in or around one of `others`.
fn prefix(random: &mut Random, others: &[Prefix]) -> Prefix {
    let is_v4 = random.chance(60);
    let bits = if is_v4 { IPV4_PREFIX_BITS + 8 + random.below(24) as u8 } else { random.pick(&V6_BITS) };
    let near = (!others.is_empty() && random.chance(50)).then(|| random.pick(others));
    let address = match near.filter(|near| near.is_v4() == is_v4) {
        Some(near) => number(near.address) | wide(random) & hosts_of(near.bits),
        None if is_v4 => mapped(random.next() as u32),
        None => 1 << 125 | wide(random) >> 3,
    };
    Prefix::of(at(address), bits)
}

/// One in eight is spared.
fn listing(random: &mut Random, prefix_bits: u8) -> Listing {
    if random.below(8) == 0 {
        return Listing::NONE;
    }
    Listing { feed: random.below(5) as u16 + 1, score: random.below(10) as u8 * 10 + 5, prefix_bits }
}

fn wide(random: &mut Random) -> u128 {
    u128::from(random.next()) << 64 | u128::from(random.next())
}

/// The number of an IPv4 address.
fn mapped(address: u32) -> u128 {
    number(Address::from_v4(address.to_be_bytes()))
}

/// The bits behind a prefix.
fn hosts_of(bits: u8) -> u128 {
    u128::MAX.checked_shr(u32::from(bits)).unwrap_or(0)
}

fn at(number: u128) -> Address {
    Address::from_v6(number.to_be_bytes())
}

fn number(address: Address) -> u128 {
    u128::from_be_bytes(address.octets())
}
