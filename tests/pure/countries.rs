//! Which addresses have a country, at the edges of every range; and country codes as numbers.

use std::net::IpAddr;

use iomt_filter_common::Address;
use iomt_filter_common::geo::{Country, GeoPolicy};

#[test]
fn ranges_without_a_country_end_where_they_should() {
    let ranges = [
        ("0.0.0.0", "0.255.255.255"),
        ("10.0.0.0", "10.255.255.255"),
        ("127.0.0.0", "127.255.255.255"),
        ("169.254.0.0", "169.254.255.255"),
        ("172.16.0.0", "172.31.255.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("224.0.0.0", "239.255.255.255"),
        ("255.255.255.255", "255.255.255.255"),
        ("::", "::1"),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ];
    for (first, last) in ranges {
        let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
        for address in [first, last] {
            assert!(!Address::from(address).has_country(), "{address}");
        }
        for outside in [before(first), after(last)].into_iter().flatten() {
            let is_in_another = ranges.iter().any(|(first, last)| {
                let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
                first.is_ipv4() == outside.is_ipv4() && first <= outside && outside <= last
            });
            assert_eq!(Address::from(outside).has_country(), !is_in_another, "{outside}");
        }
    }
}

fn before(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_sub(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(v6) => u128::from(v6).checked_sub(1).map(|n| IpAddr::V6(n.into())),
    }
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|n| IpAddr::V6(n.into())),
    }
}

#[test]
fn every_code_has_a_number_of_its_own_and_comes_back() {
    let mut seen = std::collections::BTreeSet::new();
    for a in b'A'..=b'Z' {
        for b in b'A'..=b'Z' {
            let country = Country::from_code([a, b]).unwrap();
            assert!(seen.insert(country) && country != Country::UNKNOWN && country != Country::OTHER);
            assert_eq!(country.code(), Some([a, b]));
            assert_eq!(Country::from_code([a.to_ascii_lowercase(), b]), Some(country));
        }
    }
    for wrong in [*b"1A", *b"A-", *b"  ", [0xc3, 0x84]] {
        assert_eq!(Country::from_code(wrong), None);
    }
}

#[test]
fn a_set_of_countries_holds_what_was_put_in() {
    for number in (0..=677).chain([703, 704, u16::MAX]) {
        let mut policy = GeoPolicy::default();
        policy.deny(Country(number));
        assert!(policy.denies(Country(number)), "{number}");
        assert!(!policy.is_empty());
        assert!(!policy.denies(Country(number ^ 1)));
    }
}

#[test]
fn addresses_survive_the_tables_form() {
    for text in ["0.0.0.0", "10.0.0.1", "255.255.255.255", "::", "::1", "2001:db8::1", "::fffe:1.2.3.4"] {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(IpAddr::from(Address::from(address)), address);
        assert_eq!(Address::from(address).is_v4(), address.is_ipv4());
    }
}
