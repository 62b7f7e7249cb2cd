//! Entries of all feeds as rows, so that one longest-prefix match finds the most severe entry.
//!
//! Lists come in, in the order of the configuration, and the ranges that nobody may block; rows go out. Nothing is
//! widened or put together here: every row is a prefix that a list names, or a hole.

use std::cmp::Reverse;

use iomt_filter_common::Address;
use iomt_filter_common::addr::IPV4_PREFIX_BITS;
use iomt_filter_common::reputation::Listing;
use ipnet::IpNet;
use jiff::Timestamp;

use super::list::List;
use crate::policy::peer::canonical;
use crate::rows::{Prefix, Prefixes};

/// The length of the prefix of a single address.
const HOST_BITS: u8 = 128;

/// An entry that passed the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The addresses.
    pub network: IpNet,
    /// 0 to 100.
    pub score: u8,
    /// Number of the feed.
    pub feed: u16,
    /// Where the feed stands in the configuration: of two equal entries the earlier feed's is told.
    pub order: u16,
}

/// A feed on its way into the rows.
#[derive(Clone, Copy, Debug)]
pub struct Source<'l> {
    /// What it lists, as far as the guard lets it through.
    pub list: &'l List,
    /// Its number.
    pub feed: u16,
    /// Where it stands in the configuration: of two equal entries the earlier feed's is told.
    pub order: u16,
    /// The score of entries that have none of their own, 0 to 100.
    pub score: u8,
    /// Entries below this score are left out.
    pub min_score: u8,
}

/// An entry or a hole, with the address as a number of its family.
#[derive(Clone, Copy, Debug)]
struct Item<A> {
    first: A,
    bits: u8,
    /// 0 to 100; nothing for a hole.
    score: Option<u8>,
    feed: u16,
    order: u16,
}

/// What of two entries that cover an address is the more severe: the score, then the longer prefix,
/// then the earlier feed. A hole spares everything in it.
type Severity = (bool, u8, u8, Reverse<u16>);

impl<A: Number> Item<A> {
    fn severity(&self) -> Severity {
        (self.score.is_none(), self.score.unwrap_or_default(), self.bits, Reverse(self.order))
    }

    fn listing(&self) -> Listing {
        let prefix_bits = self.bits + A::BEFORE;
        let feed = self.feed;
        self.score.map_or(Listing::NONE, |score| Listing { feed, score, prefix_bits })
    }

    fn holds(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.first == other.first.cut(self.bits)
    }
}

/// An address of one family as a number.
trait Number: Copy + Ord {
    /// Bits in front of it in the 128-bit form.
    const BEFORE: u8;
    fn cut(self, bits: u8) -> Self;
    fn address(self) -> Address;
}

impl Number for u32 {
    const BEFORE: u8 = IPV4_PREFIX_BITS;

    fn cut(self, bits: u8) -> Self {
        self & Self::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0)
    }

    fn address(self) -> Address {
        Address::from_v4(self.to_be_bytes())
    }
}

impl Number for u128 {
    const BEFORE: u8 = 0;

    fn cut(self, bits: u8) -> Self {
        self & Self::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0)
    }

    fn address(self) -> Address {
        Address::from_v6(self.to_be_bytes())
    }
}

/// Entries and holes by family, so that one of IPv6 never covers IPv4, however wide it is.
#[derive(Default)]
struct Items {
    of_v4: Vec<Item<u32>>,
    of_v6: Vec<Item<u128>>,
}

impl Items {
    fn add(&mut self, network: IpNet, score: Option<u8>, feed: u16, order: u16) {
        match canonical(network) {
            IpNet::V4(net) => {
                let (first, bits) = (u32::from(net.network()), net.prefix_len());
                self.of_v4.push(Item { first, bits, score, feed, order });
            }
            IpNet::V6(net) => {
                let (first, bits) = (u128::from(net.network()), net.prefix_len());
                self.of_v6.push(Item { first, bits, score, feed, order });
            }
        }
    }

    fn add_holes(&mut self, holes: impl IntoIterator<Item = IpNet>) {
        holes.into_iter().for_each(|hole| self.add(hole, None, 0, 0));
    }

    fn rows(self) -> Prefixes<Listing> {
        let mut rows = Vec::with_capacity(self.of_v4.len() + self.of_v6.len());
        add_rows(self.of_v4, &mut rows);
        add_rows(self.of_v6, &mut rows);
        rows.into_iter().collect()
    }
}

/// The lists of all feeds as rows: for every listed prefix and every hole, the most severe entry that covers it and
/// has not ended at `now`. What one feed no longer lists, another one's entry of the same addresses still does.
pub fn merged<'l>(
    sources: impl IntoIterator<Item = Source<'l>>,
    holes: impl IntoIterator<Item = IpNet>,
    now: Timestamp,
) -> Prefixes<Listing> {
    let mut items = Items::default();
    for Source { list, feed, order, score: default, min_score } in sources {
        for kept in list.networks() {
            let score = kept.score.unwrap_or(default);
            if score >= min_score && !list.has_ended(kept, now) {
                items.add(kept.what, Some(score), feed, order);
            }
        }
    }
    items.add_holes(holes);
    items.rows()
}

/// For every listed prefix and every hole, the most severe entry that covers it. A hole spares whatever lies in it;
/// one of IPv6 never covers IPv4, however wide it is.
pub fn listings(
    entries: impl IntoIterator<Item = Listed>,
    holes: impl IntoIterator<Item = IpNet>,
) -> Prefixes<Listing> {
    let mut items = Items::default();
    for Listed { network, score, feed, order } in entries {
        items.add(network, Some(score), feed, order);
    }
    items.add_holes(holes);
    items.rows()
}

/// Adds the rows of one family.
fn add_rows<A: Number>(mut items: Vec<Item<A>>, rows: &mut Vec<(Prefix, Listing)>) {
    // A sort that sees what is in order already: the entries of every feed are.
    items.sort_by_key(|item| (item.first, item.bits));
    // Prefixes round the current one, each with the most severe of what covers it.
    let mut around: Vec<(Item<A>, Item<A>)> = Vec::new();
    for same in items.chunk_by(|one, other| (one.first, one.bits) == (other.first, other.bits)) {
        let Some(item) = same.first() else { continue };
        while around.pop_if(|(outer, _)| !outer.holds(item)).is_some() {}
        let outer = around.last().map(|(_, severest)| severest);
        let Some(&severest) = outer.into_iter().chain(same).max_by_key(|item| item.severity()) else {
            continue;
        };
        let prefix = Prefix { address: item.first.address(), bits: item.bits + A::BEFORE };
        rows.push((prefix, severest.listing()));
        // Nothing lies in a single address, and of those there are most.
        if prefix.bits < HOST_BITS {
            around.push((*item, severest));
        }
    }
}

/// The fewest prefixes that cover the same addresses, and no others. For reports: what is listed keeps its sources,
/// and is never widened.
#[must_use]
pub fn aggregated(networks: &[IpNet]) -> Vec<IpNet> {
    IpNet::aggregate(&networks.to_vec())
}

/// For every prefix of either, the more severe of what both say of its addresses.
pub fn severest(listings: &Prefixes<Listing>, blocks: &Prefixes<Listing>) -> Prefixes<Listing> {
    let of = |rows: &Prefixes<Listing>, is_block| -> Vec<(Prefix, bool, Listing)> {
        rows.iter().map(|&(prefix, listing)| (prefix, is_block, listing)).collect()
    };
    let mut items = of(listings, false);
    items.extend(of(blocks, true));
    items.sort_by_key(|(prefix, is_block, _)| (prefix.is_v4(), *prefix, *is_block));
    let mut around: Vec<(Prefix, [Listing; 2])> = Vec::new();
    let rows = items.chunk_by(|(one, ..), (other, ..)| one == other).filter_map(|same| {
        let &(prefix, ..) = same.first()?;
        while around.pop_if(|(outer, _)| outer.is_v4() != prefix.is_v4() || !outer.holds(&prefix)).is_some() {
        }
        let mut both = around.last().map_or([Listing::NONE; 2], |(_, both)| *both);
        for (_, is_block, listing) in same {
            both[usize::from(*is_block)] = *listing;
        }
        around.push((prefix, both));
        let [listing, block] = both;
        Some((prefix, listing.or_severer(block)))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::feeds::{About, Entry, list};

    proptest! {
        #[test]
        fn longest_prefix_match_finds_the_most_severe(
            entries in prop::collection::vec((any::<u8>(), 20u8..=32, 0u8..4, 1u16..4), 0..40),
            low in any::<u8>(),
        ) {
            let entries: Vec<_> = entries.into_iter().map(|(address, bits, score, feed)| Listed {
                network: IpNet::new([203, 0, address & 3, address].into(), bits).unwrap().trunc(),
                score, feed, order: feed,
            }).collect();
            let address = IpNet::new([203, 0, low & 3, low].into(), 32).unwrap();
            let expected = entries.iter().filter(|entry| entry.network.contains(&address))
                .max_by_key(|entry| (entry.score, entry.network.prefix_len(), Reverse(entry.order)))
                .map(|entry| Listing {
                    feed: entry.feed,
                    score: entry.score,
                    prefix_bits: entry.network.prefix_len() + IPV4_PREFIX_BITS,
                });
            let rows = listings(entries.clone(), []);
            prop_assert_eq!(longest(&rows, address), expected);
            let distinct: std::collections::BTreeSet<_> = entries.iter().map(|entry| entry.network).collect();
            prop_assert_eq!(rows.len(), distinct.len());
        }
    }

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + day * 86_400).unwrap()
    }

    fn any_network() -> impl Strategy<Value = IpNet> {
        let four = (any::<[u8; 2]>(), 16u8..=32)
            .prop_map(|([c, d], bits)| IpNet::new([203, 0, c & 3, d].into(), bits).unwrap().trunc());
        let six = (0u32..64, 90u8..=128).prop_map(|(low, bits)| {
            IpNet::new(Ipv6Addr::from((0x2001_0db8u128 << 96) | u128::from(low)).into(), bits)
                .unwrap()
                .trunc()
        });
        prop_oneof![3 => four, 1 => six]
    }

    fn any_list() -> impl Strategy<Value = List> {
        let entry = (any_network(), prop::option::of(0u8..4), prop::option::of(1i64..4));
        prop::collection::vec(entry, 0..25).prop_map(|entries| {
            let entries = entries.into_iter().map(|(network, score, end)| {
                let about = About { expires: end.map(at), ..About::default() }.shared();
                Entry { network, port: None, score, line: 1, about }
            });
            let reading =
                list::Reading { entries: entries.collect(), now: at(0), ..list::Reading::default() };
            List::default().renewed(reading).0
        })
    }

    fn sources(lists: &[List]) -> Vec<Source<'_>> {
        let source =
            |(order, list)| Source { list, feed: 10 + order, order, score: 2, min_score: (order % 2) as u8 };
        (0u16..).zip(lists).map(source).collect()
    }

    proptest! {
        #[test]
        fn every_address_gets_the_most_severe_entry_that_covers_it_and_has_not_ended(
            lists in prop::collection::vec(any_list(), 0..4),
            holes in prop::collection::vec(any_network(), 0..3),
            day in 0i64..4,
            pick in any_network(),
        ) {
            let rows = merged(sources(&lists), holes.clone(), at(day));
            let addresses = lists.iter().flat_map(List::networks).map(|kept| kept.what).chain([pick]);
            for address in addresses.flat_map(|network| [network.addr(), network.broadcast()]) {
                let found = rows.longest(address.into()).copied().unwrap_or_default();
                prop_assert_eq!(found, naive(&sources(&lists), &holes, address, at(day)), "{}", address);
            }
        }

        #[test]
        fn what_one_feed_lets_go_another_one_still_lists(
            lists in prop::collection::vec(any_list(), 2..4),
            gone in any::<prop::sample::Index>(),
            place in any::<prop::sample::Index>(),
        ) {
            let gone = gone.index(lists.len());
            let mut fewer = lists.clone();
            if lists[gone].is_empty() {
                return Ok(());
            }
            let place = place.index(lists[gone].len());
            let network = lists[gone].networks()[place].what;
            fewer[gone] = lists[gone].without(&[place]);
            let rows = merged(sources(&fewer), [], at(0));
            for address in [network.addr(), network.broadcast()] {
                let found = rows.longest(address.into()).copied().unwrap_or_default();
                prop_assert_eq!(found, naive(&sources(&fewer), &[], address, at(0)));
                let others = sources(&lists).into_iter().filter(|source| source.feed != 10 + gone as u16);
                let others = merged(others, [], at(0)).longest(address.into()).copied().unwrap_or_default();
                prop_assert!(found.score >= others.score && (found.feed != 0 || others.feed == 0));
            }
        }

        #[test]
        fn aggregating_covers_the_same_addresses(networks in prop::collection::vec(any_network(), 0..30)) {
            let aggregated = aggregated(&networks);
            let edges = |network: &IpNet| {
                let (first, last) = (number(network.addr()), number(network.broadcast()));
                [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
            };
            for edge in networks.iter().chain(&aggregated).flat_map(edges) {
                for address in [Ipv6Addr::from(edge).into(), Ipv4Addr::from(edge as u32).into()] {
                    let covers = |all: &[IpNet]| all.iter().any(|network| network.contains::<&IpAddr>(&address));
                    prop_assert_eq!(covers(&networks), covers(&aggregated), "{}", address);
                }
            }
            for (one, other) in aggregated.iter().zip(aggregated.iter().skip(1)) {
                prop_assert!(!one.contains(other) && !other.contains(one));
            }
        }
    }

    fn number(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(v4) => u128::from(u32::from(v4)),
            IpAddr::V6(v6) => u128::from(v6),
        }
    }

    /// Looks at every entry.
    fn naive(sources: &[Source<'_>], holes: &[IpNet], address: IpAddr, now: Timestamp) -> Listing {
        if holes.iter().any(|hole| hole.contains(&address)) {
            return Listing::NONE;
        }
        let mut best: Option<(u8, u8, Reverse<u16>, u16)> = None;
        for source in sources {
            for kept in source.list.networks() {
                let score = kept.score.unwrap_or(source.score);
                let ended = kept.about.as_ref().and_then(|about| about.expires).is_some_and(|end| end <= now);
                if kept.what.contains(&address) && score >= source.min_score && !ended {
                    let found = (score, kept.what.prefix_len(), Reverse(source.order), source.feed);
                    best = best.max(Some(found));
                }
            }
        }
        let before = if address.is_ipv4() { IPV4_PREFIX_BITS } else { 0 };
        best.map_or(Listing::NONE, |(score, bits, _, feed)| Listing {
            feed,
            score,
            prefix_bits: bits + before,
        })
    }

    #[test]
    fn everything_is_aggregated_to_everything() {
        for (networks, expected) in [
            (&["0.0.0.0/0", "203.0.113.0/24", "::/0"][..], &["0.0.0.0/0", "::/0"][..]),
            (&["0.0.0.0/1", "128.0.0.0/1", "8000::/1", "::/1"], &["0.0.0.0/0", "::/0"]),
            (&["255.255.255.255/32", "255.255.255.254/32"], &["255.255.255.254/31"]),
            (&["203.0.113.1/32", "203.0.113.2/32"], &["203.0.113.1/32", "203.0.113.2/32"]),
            (&[], &[]),
        ] {
            let networks: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
            let shown: Vec<_> = aggregated(&networks).iter().map(ToString::to_string).collect();
            assert_eq!(shown, expected);
        }
    }

    fn longest(rows: &Prefixes<Listing>, address: IpNet) -> Option<Listing> {
        rows.longest(address.addr().into()).copied()
    }

    #[test]
    fn holes_are_spared() {
        let entry =
            |network: &str, score| Listed { network: network.parse().unwrap(), score, feed: 1, order: 0 };
        let entries = [entry("203.0.113.0/24", 100), entry("2001:db8::/32", 80), entry("::/0", 60)];
        let holes =
            ["203.0.113.128/25", "203.0.113.7/32", "2001:db8::1/128"].map(|hole| hole.parse().unwrap());
        let rows = listings(entries, holes);
        for (address, expected) in [
            ("203.0.113.100/32", Some(100)),
            ("203.0.113.200/32", Some(0)),
            ("203.0.113.7/32", Some(0)),
            ("198.51.100.1/32", None),
            ("2001:db8::2/128", Some(80)),
            ("2001:db8::1/128", Some(0)),
            ("fd00::1/128", Some(60)),
        ] {
            let found = longest(&rows, address.parse().unwrap()).map(|listing| listing.score);
            assert_eq!(found, expected, "{address}");
        }
    }
}
