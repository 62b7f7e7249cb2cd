//! Entries of all feeds as rows, so that one longest-prefix match finds the most severe entry.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use iomt_filter_common::reputation::Listing;
use ipnet::{IpNet, Ipv4Net};

use crate::policy::peer::{canonical, mapped_range};
use crate::rows::Prefix;

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
    /// Whether an operator added it: holes of feeds do not hold for it.
    pub by_hand: bool,
}

/// Addresses inside an entry that the guard holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    /// The addresses.
    pub network: IpNet,
    /// Whether blocks by hand are held back as well.
    pub for_all: bool,
}

/// What of two entries that cover an address is the more severe: the score, then the longer prefix,
/// then the earlier feed.
type Severity = (u8, u8, Reverse<u16>);

impl Listed {
    fn severity(&self) -> Severity {
        (self.score, self.network.prefix_len(), Reverse(self.order))
    }

    fn listing(&self) -> Listing {
        let prefix_bits = Prefix::from(canonical(self.network)).bits;
        Listing { feed: self.feed, score: self.score, prefix_bits }
    }
}

/// The most severe entries that cover a prefix.
#[derive(Clone, Copy, Default)]
struct Covering {
    any: Option<Listed>,
    by_hand: Option<Listed>,
}

impl Covering {
    fn add(&mut self, entry: Listed) {
        let severest = |held: Option<Listed>| held.into_iter().chain([entry]).max_by_key(Listed::severity);
        self.any = severest(self.any);
        if entry.by_hand {
            self.by_hand = severest(self.by_hand);
        }
    }

    fn remove(&mut self, hole: Hole) {
        if hole.for_all {
            self.by_hand = None;
        }
        self.any = self.by_hand;
    }
}

/// For every listed prefix and every hole, the most severe entry that covers it. Entries of feeds never
/// lie inside a hole: the guard has removed those. An IPv6 entry never covers IPv4, however wide it is.
pub fn listings(
    entries: impl IntoIterator<Item = Listed>,
    holes: impl IntoIterator<Item = Hole>,
) -> BTreeMap<Prefix, Listing> {
    // A hole comes before the entries of its prefix, which are by hand.
    let holes = holes.into_iter().map(|hole| (canonical(hole.network), Err(hole)));
    let entries = entries.into_iter().map(|entry| (canonical(entry.network), Ok(entry)));
    let mut items: Vec<(IpNet, Result<Listed, Hole>)> = entries.chain(holes).collect();
    // A sort that sees what is in order already: the entries of feeds are.
    items.sort_by_key(|(network, item)| (*network, item.is_ok()));
    let mut rows = Vec::with_capacity(items.len());
    let mut around: Vec<(IpNet, Covering)> = Vec::new();
    for same in items.chunk_by(|(one, _), (other, _)| one == other) {
        let Some(&(network, _)) = same.first() else { continue };
        while around.last().is_some_and(|(outer, _)| !outer.contains(&network)) {
            around.pop();
        }
        let mut covering = around.last().map_or_else(Covering::default, |&(_, covering)| covering);
        for (_, item) in same {
            match *item {
                Ok(entry) => covering.add(entry),
                Err(hole) => covering.remove(hole),
            }
        }
        let listing = covering.any.map_or(Listing::NONE, |entry| entry.listing());
        rows.push((Prefix::from(network), listing));
        around.push((network, covering));
    }
    let is_wide = |network: &IpNet| matches!(network, IpNet::V6(v6) if v6.contains(&mapped_range()));
    let holds_ipv4 = items.iter().any(|(network, _)| is_wide(network));
    let mut rows: BTreeMap<Prefix, Listing> = rows.into_iter().collect();
    if holds_ipv4 {
        // In the 128-bit form it would be found for every IPv4 address that nothing else covers.
        rows.entry(Prefix::from(IpNet::V4(Ipv4Net::default()))).or_insert(Listing::NONE);
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn longest_prefix_match_finds_the_most_severe(
            entries in prop::collection::vec((any::<u8>(), 20u8..=32, 0u8..4, 1u16..4), 0..40),
            low in any::<u8>(),
        ) {
            let entries: Vec<_> = entries.into_iter().map(|(address, bits, score, feed)| Listed {
                network: IpNet::new([203, 0, address & 3, address].into(), bits).unwrap().trunc(),
                score, feed, order: feed, by_hand: false,
            }).collect();
            let address = IpNet::new([203, 0, low & 3, low].into(), 32).unwrap();
            let expected = entries.iter().filter(|entry| entry.network.contains(&address))
                .max_by_key(|entry| entry.severity()).map(Listed::listing);
            let rows = listings(entries.clone(), []);
            prop_assert_eq!(longest(&rows, address), expected);
            let distinct: std::collections::BTreeSet<_> = entries.iter().map(|entry| entry.network).collect();
            prop_assert_eq!(rows.len(), distinct.len());
        }
    }

    fn longest(rows: &BTreeMap<Prefix, Listing>, address: IpNet) -> Option<Listing> {
        (0..=32u8)
            .rev()
            .find_map(|bits| rows.get(&Prefix::from(IpNet::new(address.addr(), bits).unwrap())).copied())
    }

    fn entry(network: &str, score: u8, by_hand: bool) -> Listed {
        let feed = if by_hand { 9 } else { 1 };
        Listed { network: network.parse().unwrap(), score, feed, order: 0, by_hand }
    }

    #[test]
    fn holes_hold_for_whom_they_are_made() {
        let entries = [
            entry("203.0.113.0/24", 100, false),
            entry("203.0.113.0/26", 60, true),
            entry("203.0.113.1/32", 70, true),
        ];
        let hole = |network: &str, for_all| Hole { network: network.parse().unwrap(), for_all };
        let rows = listings(entries, [hole("203.0.113.0/25", false), hole("203.0.113.7/32", true)]);
        for (address, expected) in [
            ("203.0.113.200/32", (1, 100)),
            ("203.0.113.100/32", (0, 0)),
            ("203.0.113.5/32", (9, 60)),
            ("203.0.113.1/32", (9, 70)),
            ("203.0.113.7/32", (0, 0)),
        ] {
            let found = longest(&rows, address.parse().unwrap()).unwrap();
            assert_eq!((found.feed, found.score), expected, "{address}");
        }
    }
}
