//! Who devices speak to: addresses all over the world, by number, in the order of chance.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use iomt_filter::rows::Prefix;
use iomt_filter_common::Address;
use iomt_filter_common::reputation::Listing;
use ipnet::IpNet;

use crate::countries::{Countries, is_denied};
use crate::hospital::Family;
use crate::spread::{mix, mix_half};

/// Networks of IPv6 that are listed at most.
const MOST_V6: u32 = 100_000;
/// Below this number are far ends that may be listed, from it on those that never are.
const FIRST_CLEAN: u32 = 1 << 31;

/// What is said of a far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not listed, in a country that is not denied.
    Clean,
    /// Not listed, in a country that is.
    Denied,
    /// Among the first so many that are listed.
    Listed(u32),
}

/// The first `count` far ends of a kind.
pub(crate) fn some(countries: &Countries, family: Family, kind: Kind, count: usize) -> Vec<IpAddr> {
    if let Kind::Listed(listed) = kind {
        return listed_addresses(family, listed).take(count).collect();
    }
    let wanted = kind == Kind::Denied;
    // Cases of other sizes have other far ends: what one has opened is not open in the next.
    let all = (FIRST_CLEAN + count as u32..).filter_map(|number| address(family, number));
    all.filter(|address| is_denied(countries.find(*address)) == wanted).take(count).collect()
}

/// What feeds list: `count` hosts of IPv4 and as many networks of IPv6, up to a limit.
pub(crate) fn listings(count: u32) -> impl Iterator<Item = (Prefix, Listing)> {
    let listing = |prefix_bits| Listing { feed: 1, score: 90, prefix_bits };
    let v4 = listed_addresses(Family::V4, count).map(move |address| (address.into(), listing(128)));
    let v6 = listed_addresses(Family::V6, count)
        .map(move |address| (IpNet::new_assert(address, 64).into(), listing(64)));
    v4.chain(v6)
}

/// As many of IPv6 as of IPv4: hosts of IPv4, hosts of IPv6, and a network for every ten of those.
pub(crate) fn as_many(count: u32) -> impl Iterator<Item = (Prefix, Listing)> {
    let listing = |prefix_bits| Listing { feed: 1, score: 90, prefix_bits };
    let v4 = listed_addresses(Family::V4, count).map(move |address| (address.into(), listing(128)));
    let v6 = (0..count).filter_map(|number| Some((number, address(Family::V6, number)?)));
    let v6 = v6.map(move |(number, address)| match is_network(number) {
        true => (IpNet::new_assert(address, 64).into(), listing(64)),
        false => (address.into(), listing(128)),
    });
    v4.chain(v6)
}

/// The first so many addresses that [`as_many`] lists, in the order of chance.
pub(crate) fn of_all_listed(family: Family, count: u32, wanted: usize) -> Vec<IpAddr> {
    (0..count).filter_map(|number| address(family, number)).take(wanted).collect()
}

const fn is_network(number: u32) -> bool {
    number.is_multiple_of(10)
}

/// One address in each of what feeds list.
fn listed_addresses(family: Family, count: u32) -> impl Iterator<Item = IpAddr> {
    let count = match family {
        Family::V4 => count,
        Family::V6 => count.min(MOST_V6),
    };
    (0..FIRST_CLEAN).filter_map(move |number| address(family, number)).take(count as usize)
}

/// A host of the public IPv4 space, or one in a network of 2000::/3; `None` for numbers that come to another
/// place.
fn address(family: Family, number: u32) -> Option<IpAddr> {
    let address: IpAddr = match family {
        Family::V4 => Ipv4Addr::from_bits(mix_half(number)).into(),
        Family::V6 => {
            let network = 1 << 61 | mix(u64::from(number)) >> 3;
            Ipv6Addr::from_bits(u128::from(network) << 64 | u128::from(number | 1)).into()
        }
    };
    let is_unicast = match address {
        IpAddr::V4(address) => (1..=223).contains(&address.octets()[0]),
        IpAddr::V6(_) => true,
    };
    (is_unicast && Address::from(address).has_country()).then_some(address)
}
