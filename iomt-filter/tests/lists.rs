//! Lists from entries to rows: what the longest prefix match finds is what the entries say, whatever
//! else is listed.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::Ipv4Addr;

use iomt_filter::feeds::merge::{Listed, listings, severest as severer_of};
use iomt_filter::feeds::{Guard, Reason};
use iomt_filter::rows::{Prefix, Prefixes, Rows};
use iomt_filter_common::Address;
use iomt_filter_common::reputation::Listing;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

/// What the tables answer: beside each other, and as one.
fn answers(feeds: &Prefixes<Listing>, blocks: &Prefixes<Listing>, address: IpNet) -> [Listing; 2] {
    let address = Address::from(address.addr());
    let rows = Rows { listings: feeds.clone(), blocks: blocks.clone(), ..Rows::default() };
    let as_one = severer_of(feeds, blocks).longest(address).copied().unwrap_or(Listing::NONE);
    [rows.listing(address), as_one]
}

fn listed(network: IpNet, score: u8, feed: u16) -> Listed {
    Listed { network: network.trunc(), score, feed, order: 1 }
}

/// The most severe of `entries` round `address`: the score, then the longer prefix.
fn severest(entries: &[Listed], address: IpNet) -> Option<(u8, u8)> {
    let around = entries.iter().filter(|entry| entry.network.contains(&address));
    around.map(|entry| (entry.score, entry.network.prefix_len())).max()
}

fn v4() -> impl Strategy<Value = IpNet> {
    let address = prop_oneof![any::<u32>(), (0u32..1024).prop_map(|low| 0x0909_0000 | low)];
    (address, 0u8..=32).prop_map(|(address, bits)| Ipv4Net::new(address.into(), bits).unwrap().trunc().into())
}

/// IPv6 prefixes, most of them such that IPv4 in its mapped form stands inside or beside.
fn v6() -> impl Strategy<Value = IpNet> {
    let address = prop_oneof![
        Just(0u128),
        any::<u128>(),
        any::<u32>().prop_map(u128::from),
        any::<u32>().prop_map(|low| 0xffff_0000_0000 | u128::from(low)),
    ];
    let bits = prop_oneof![0u8..96, 0u8..=128];
    (address, bits).prop_map(|(address, bits)| Ipv6Net::new(address.into(), bits).unwrap().trunc().into())
}

/// Entries as the mapped form makes them: `::ffff:a.b.c.d/N` with N of 96 and more is IPv4.
fn as_read(network: IpNet) -> IpNet {
    iomt_filter::policy::peer::canonical(network)
}

proptest! {
    #[test]
    fn an_ipv6_entry_never_covers_ipv4(
        fours in prop::collection::vec((v4(), 1u8..4), 0..20),
        sixes in prop::collection::vec((v6(), 1u8..4), 0..20),
        address in prop_oneof![any::<u32>(), (0u32..1024).prop_map(|low| 0x0909_0000 | low)],
    ) {
        let entries: Vec<Listed> = fours.into_iter().chain(sixes)
            .map(|(network, score)| listed(as_read(network), score, 1)).collect();
        let only_v4: Vec<Listed> =
            entries.iter().filter(|entry| matches!(entry.network, IpNet::V4(_))).copied().collect();
        let address = IpNet::from(std::net::IpAddr::V4(Ipv4Addr::from(address)));
        let expected = severest(&only_v4, address).map_or((0, 0), |(score, bits)| (score, bits + 96));
        for found in answers(&listings(entries, []), &Prefixes::default(), address) {
            prop_assert_eq!((found.score, found.prefix_bits), expected);
        }
    }

    #[test]
    fn what_is_guarded_answers_nothing_however_wide_the_entry(
        entries in prop::collection::vec((v4_or_v6(), 1u8..4, any::<bool>()), 1..20),
        ranges in prop::collection::vec((v4_or_v6(), any::<bool>()), 0..20),
        pick in any::<prop::sample::Index>(),
        low in any::<u128>(),
        is_in_range in any::<bool>(),
    ) {
        let ranges: Vec<(IpNet, Reason)> = ranges.into_iter()
            .map(|(range, vital)| (range, if vital { Reason::Device } else { Reason::Segment })).collect();
        let (feeds, operators) = (Guard::for_feeds(ranges.clone()), Guard::for_operators(ranges.clone()));
        // Of feeds, and by hand.
        let (mut kept, mut holes) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for &(network, score, by_hand) in &entries {
            let guarded = if by_hand { &operators } else { &feeds }.judge(network);
            let of = usize::from(by_hand);
            if guarded.is_listed {
                kept[of].push(listed(network, score, 1 + u16::from(by_hand)));
                holes[of].extend(guarded.removed.iter().map(|removed| removed.part));
            }
        }
        for entry in kept.iter().flatten() {
            let floor = if matches!(entry.network, IpNet::V4(_)) { 8 } else { 19 };
            prop_assert!(entry.network.prefix_len() >= floor, "{}", entry.network);
        }
        let rows = [0, 1].map(|of| listings(kept[of].clone(), holes[of].clone()));
        for (rows, holes) in rows.iter().zip(&holes) {
            for hole in holes {
                prop_assert!(rows.get(&Prefix::from(*hole)).is_some(), "{}", hole);
            }
        }
        let within: Vec<IpNet> = if is_in_range && !ranges.is_empty() {
            ranges.iter().map(|(range, _)| *range).collect()
        } else {
            entries.iter().map(|(network, ..)| *network).collect()
        };
        let address = inside(*pick.get(&within), low);
        let alone = |of: usize, guard: &Guard| -> Vec<Listed> {
            let is_guarded = !guard.judge(address).is_listed;
            kept[of].iter().filter(|_| !is_guarded).copied().collect()
        };
        let open = [alone(0, &feeds), alone(1, &operators)].concat();
        let expected = severest(&open, address)
            .map_or((0, 0), |(score, bits)| (score, Prefix::from(IpNet::new(address.addr(), bits).unwrap()).bits));
        for found in answers(&rows[0], &rows[1], address) {
            prop_assert_eq!((found.score, found.prefix_bits), expected, "{}", address);
        }
    }
}

fn v4_or_v6() -> impl Strategy<Value = IpNet> {
    let four = (0u32..4096, 0u8..=32)
        .prop_map(|(low, bits)| IpNet::from(Ipv4Net::new((0x0909_0000 | low).into(), bits).unwrap().trunc()));
    let six = (0u128..4096, 0u8..=128).prop_map(|(low, bits)| {
        IpNet::from(Ipv6Net::new(((0x2a00 << 112) | low).into(), bits).unwrap().trunc())
    });
    prop_oneof![four, six]
}

/// An address of `network`.
fn inside(network: IpNet, low: u128) -> IpNet {
    let address = match network {
        IpNet::V4(v4) => {
            (u32::from(v4.addr()) | (u32::from(v4.hostmask()) & low as u32)).to_be_bytes().into()
        }
        IpNet::V6(v6) => (u128::from(v6.addr()) | (u128::from(v6.hostmask()) & low)).to_be_bytes().into(),
    };
    IpNet::new(address, network.max_prefix_len()).unwrap()
}
