//! Entries of all feeds as rows, so that one longest-prefix match finds the most severe entry.

use std::cmp::Reverse;

use iomt_filter_common::reputation::Listing;
use ipnet::IpNet;

use crate::policy::peer::canonical;
use crate::rows::{Prefix, Prefixes};

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

/// For every listed prefix and every hole, the most severe entry that covers it. An entry never lies inside a
/// hole: the guard has removed those. One of IPv6 never covers IPv4, however wide it is.
pub fn listings(
    entries: impl IntoIterator<Item = Listed>,
    holes: impl IntoIterator<Item = IpNet>,
) -> Prefixes<Listing> {
    let entries = entries.into_iter().map(|entry| (entry.network, Some(entry)));
    let holes = holes.into_iter().map(|hole| (hole, None));
    let (mut of_v4, mut of_v6) = (Vec::new(), Vec::new());
    for (network, item) in entries.chain(holes) {
        let network = canonical(network);
        let family = if matches!(network, IpNet::V4(_)) { &mut of_v4 } else { &mut of_v6 };
        family.push((Prefix::from(network), item));
    }
    [of_v4, of_v6].into_iter().flat_map(of_family).collect()
}

/// The rows of one family.
fn of_family(mut items: Vec<(Prefix, Option<Listed>)>) -> Vec<(Prefix, Listing)> {
    // A sort that sees what is in order already: the entries of feeds are.
    items.sort_by_key(|(prefix, item)| (*prefix, item.is_some()));
    let mut rows = Vec::with_capacity(items.len());
    let mut around: Vec<(Prefix, Option<Listed>)> = Vec::new();
    for same in items.chunk_by(|(one, _), (other, _)| one == other) {
        let Some(&(prefix, _)) = same.first() else { continue };
        while around.pop_if(|(outer, _)| !outer.holds(&prefix)).is_some() {}
        let mut severest = around.last().and_then(|(_, entry)| *entry);
        for (_, item) in same {
            severest = match item {
                Some(entry) => severest.into_iter().chain([*entry]).max_by_key(Listed::severity),
                None => None,
            };
        }
        rows.push((prefix, severest.map_or(Listing::NONE, |entry| entry.listing())));
        around.push((prefix, severest));
    }
    rows
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
                score, feed, order: feed,
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
