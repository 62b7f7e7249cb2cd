//! The longest prefix around an address, found in rows that are in order: a prefix before those that lie in it.
//!
//! Of all rows up to a prefix, the last is the longest around it, or lies beside it; then all that is around both is
//! no longer than what the two have in common, and the search goes on there. So it takes as many steps as prefixes
//! beside each other lie in the way, mostly one or two, and not one for each length.

use std::collections::BTreeMap;

use iomt_filter_common::Address;
use iomt_filter_common::addr::IPV4_PREFIX_BITS;
use iomt_filter_common::policy::Service;

use super::{Prefix, ServicePrefix};

/// The value of the longest prefix that holds `address`; one of IPv6 never holds an IPv4 address. `last` gives the last
/// row up to a prefix.
pub(crate) fn around<V>(address: Address, last: impl Fn(Prefix) -> Option<(Prefix, V)>) -> Option<V> {
    let shortest = if address.is_v4() { IPV4_PREFIX_BITS } else { 0 };
    let number = u128::from_be_bytes(address.octets());
    let mut bits = 128;
    loop {
        let (found, value) = last(Prefix::of(address, bits))?;
        let common = (u128::from_be_bytes(found.address.octets()) ^ number).leading_zeros() as u8;
        if found.bits <= common {
            return (found.bits >= shortest).then_some(value);
        }
        if common < shortest {
            return None;
        }
        bits = common;
    }
}

/// The same among the ports of a protocol.
pub(crate) fn around_service(rows: &BTreeMap<ServicePrefix, u16>, service: Service) -> Option<u16> {
    let Service { protocol, port, .. } = service;
    let mut bits = 16;
    loop {
        let port_bits = u16::MAX.checked_shl(16 - u32::from(bits)).unwrap_or(0);
        let asked = ServicePrefix { protocol, port: port & port_bits, bits };
        let first = ServicePrefix { protocol, port: 0, bits: 0 };
        let (found, class) = rows.range(first..=asked).next_back()?;
        let common = (found.port ^ port).leading_zeros() as u8;
        if found.bits <= common {
            return Some(*class);
        }
        bits = common;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    /// Prefixes that often lie in each other or beside each other, of both families and all lengths.
    fn prefix() -> impl Strategy<Value = Prefix> {
        (address(), 0..=128_u8).prop_map(|(address, bits)| Prefix::of(address, bits))
    }

    fn address() -> impl Strategy<Value = Address> {
        let v4 = any::<u32>().prop_map(|number| Address::from_v4((number & 0xc0a8_0707).to_be_bytes()));
        let v6 = any::<u128>().prop_map(|number| {
            Address::from_v6((number & (0x2001_0000_0000_0003_u128 << 64 | 7)).to_be_bytes())
        });
        prop_oneof![v4, v6]
    }

    fn service_prefix() -> impl Strategy<Value = ServicePrefix> {
        (prop_oneof![Just(6_u8), Just(17)], any::<u16>(), 0..=16_u8).prop_map(|(protocol, port, bits)| {
            let kept = u16::MAX.checked_shl(16 - u32::from(bits)).unwrap_or(0);
            ServicePrefix { protocol, port: port & 0x3c0f & kept, bits }
        })
    }

    proptest! {
        #[test]
        fn the_longest_is_found_as_if_each_length_were_looked_up(
            rows in btree_map(prefix(), any::<u16>(), 0..40),
            addresses in proptest::collection::vec(address(), 20),
        ) {
            for address in addresses {
                let shortest = if address.is_v4() { IPV4_PREFIX_BITS } else { 0 };
                let plainly = (shortest..=128).rev().find_map(|bits| rows.get(&Prefix::of(address, bits)));
                let last = |to| rows.range(..=to).next_back().map(|(prefix, value)| (*prefix, value));
                prop_assert_eq!(around(address, last), plainly);
            }
        }

        #[test]
        fn the_same_of_ports(
            rows in btree_map(service_prefix(), any::<u16>(), 0..20),
            ports in proptest::collection::vec(any::<u16>(), 20),
        ) {
            for (protocol, port) in ports.into_iter().flat_map(|port| [(6, port & 0x3c0f), (17, port), (132, port)]) {
                let plainly = (0..=16_u8).rev().find_map(|bits| {
                    let kept = u16::MAX.checked_shl(16 - u32::from(bits)).unwrap_or(0);
                    rows.get(&ServicePrefix { protocol, port: port & kept, bits }).copied()
                });
                prop_assert_eq!(around_service(&rows, Service::of(protocol, port)), plainly);
            }
        }
    }
}
