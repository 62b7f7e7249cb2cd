//! Countries of the whole world: made up in the number and the lengths of a database's prefixes, or read from
//! one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context as _, Result};
use iomt_filter::geo::database::CountryDatabase;
use iomt_filter::rows::Prefixes;
use iomt_filter_common::Address;
use iomt_filter_common::geo::Country;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::spread::mix;

/// Countries that are made up.
const COUNTRIES: u64 = 240;

/// Prefixes that do not lie in each other, each with its country.
pub(crate) struct Countries {
    /// As tables take them.
    pub(crate) rows: Prefixes<Country>,
    /// First and last address of each, in order.
    ranges: Vec<(u128, u128, Country)>,
}

impl Countries {
    /// About 177 thousand prefixes of IPv4 up to /24, and 69 thousand of IPv6 up to /48.
    pub(crate) fn made_up() -> Self {
        let mut networks = Vec::new();
        for first in 1..=223 {
            // With this chance to be halved from /10 on, a /8 comes to 800 prefixes.
            split_v4(Ipv4Net::new_assert(Ipv4Addr::new(first, 0, 0, 0), 8), 0.702, &mut networks);
        }
        for first in 0..64 {
            // The same: a /16 comes to 1,080 prefixes.
            let address = Ipv6Addr::new(0x2000 + first * 0x49, 0, 0, 0, 0, 0, 0, 0);
            split_v6(Ipv6Net::new_assert(address, 16), 0.5465, &mut networks);
        }
        let made_up = networks.into_iter().map(|network| (network, made_up_country(network)));
        Self::of(made_up.collect())
    }

    /// Those of a database.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let failed = || format!("failed to read `{}`", path.display());
        let database =
            CountryDatabase::open(std::fs::read(path).with_context(failed)?).with_context(failed)?;
        let networks = database.networks()?.collect::<Result<Vec<_>, _>>().with_context(failed)?;
        Ok(Self::of(networks.into_iter().map(|(network, country)| (network.trunc(), country)).collect()))
    }

    fn of(networks: Vec<(IpNet, Country)>) -> Self {
        let rows: Prefixes<Country> =
            networks.into_iter().map(|(network, country)| (network.into(), country)).collect();
        let range = |&(prefix, country): &(iomt_filter::rows::Prefix, Country)| {
            let first = number(prefix.address);
            (first, first | u128::MAX.checked_shr(u32::from(prefix.bits)).unwrap_or(0), country)
        };
        let ranges = rows.iter().map(range).collect();
        Self { rows, ranges }
    }

    /// The country of an address.
    pub(crate) fn find(&self, address: IpAddr) -> Country {
        let wanted = number(address.into());
        let at = self.ranges.partition_point(|(first, ..)| *first <= wanted);
        let range = at.checked_sub(1).and_then(|at| self.ranges.get(at));
        range.filter(|(_, last, _)| wanted <= *last).map_or(Country::UNKNOWN, |(.., country)| *country)
    }

    /// How many prefixes of IPv4 and of IPv6.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let v4 = self.rows.iter().filter(|(prefix, _)| prefix.is_v4()).count();
        (v4, self.rows.len() - v4)
    }
}

/// Whether the hospital's profiles refuse it: one in eight.
pub(crate) const fn is_denied(country: Country) -> bool {
    country.0 != 0 && mix(country.0 as u64).is_multiple_of(8)
}

fn number(address: Address) -> u128 {
    u128::from_be_bytes(address.octets())
}

fn chance_of(network: IpNet) -> u64 {
    mix(number(network.network().into()) as u64 ^ (number(network.network().into()) >> 64) as u64)
        ^ mix(u64::from(network.prefix_len()))
}

fn is_halved(network: IpNet, chance: f64) -> bool {
    (mix(chance_of(network)) as f64) < chance * u64::MAX as f64
}

fn split_v4(network: Ipv4Net, chance: f64, into: &mut Vec<IpNet>) {
    let bits = network.prefix_len();
    match network.subnets(bits + 1) {
        Ok(halves) if bits < 10 || (bits < 24 && is_halved(network.into(), chance)) => {
            halves.for_each(|half| split_v4(half, chance, into));
        }
        _ => into.push(network.into()),
    }
}

fn split_v6(network: Ipv6Net, chance: f64, into: &mut Vec<IpNet>) {
    let bits = network.prefix_len();
    match network.subnets(bits + 1) {
        Ok(halves) if bits < 20 || (bits < 48 && is_halved(network.into(), chance)) => {
            halves.for_each(|half| split_v6(half, chance, into));
        }
        _ => into.push(network.into()),
    }
}

fn made_up_country(network: IpNet) -> Country {
    Country((mix(!chance_of(network)) % COUNTRIES + 1) as u16)
}
