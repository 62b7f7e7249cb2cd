//! The gate before the tables: what no list may block.
//!
//! Lists hold private ranges, whole /8s, the resolvers of half the internet and the reader's own network. An
//! entry that lies in a guarded range is removed and counted; one that only covers a guarded range keeps the
//! rest and leaves a hole. Nothing is ever added to a list here, and nothing is read.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::policy::peer::{canonical, network};

use super::list::List;

mod resolvers;
mod spared;

pub use spared::{MOST_SPARED, SPARED_FLOOR, Spared, never_block};

/// The shortest IPv4 prefix that a list may have.
pub const SHORTEST_V4: u8 = 8;
/// The shortest IPv6 prefix that a list may have.
pub const SHORTEST_V6: u8 = 19;

/// The shortest prefixes that a list may have: whoever lists more of the internet lists it by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// Of IPv4, 0 to 32; what NAT64 makes of IPv4 is held to it too.
    pub v4: u8,
    /// Of IPv6, 0 to 128.
    pub v6: u8,
}

impl Floor {
    /// The narrower of both, of each family.
    #[must_use]
    pub fn narrowed(self, other: Self) -> Self {
        Self { v4: self.v4.max(other.v4), v6: self.v6.max(other.v6) }
    }
}

impl Default for Floor {
    fn default() -> Self {
        Self { v4: SHORTEST_V4, v6: SHORTEST_V6 }
    }
}

/// Where NAT64 (RFC 6052) puts all of IPv4: a list may hold no more of it there than as IPv4.
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Addresses that are nobody's on the internet (RFC 6890). Documentation ranges are not among them: they
/// hurt nobody, and examples and tests list them.
const SPECIAL: &[(&str, Reason)] = &[
    ("0.0.0.0/8", Reason::Reserved),
    ("10.0.0.0/8", Reason::Private),
    ("100.64.0.0/10", Reason::Private),
    ("127.0.0.0/8", Reason::Loopback),
    ("169.254.0.0/16", Reason::LinkLocal),
    ("172.16.0.0/12", Reason::Private),
    ("192.0.0.0/24", Reason::Reserved),
    ("192.168.0.0/16", Reason::Private),
    ("224.0.0.0/4", Reason::Multicast),
    ("240.0.0.0/4", Reason::Reserved),
    // RFC 4291 reserves ::/8, where IPv4 stands in its mapped form; of it, only what NAT64 has been given
    // (0064::/16) is anybody's.
    ("::/10", Reason::Reserved),
    ("40::/11", Reason::Reserved),
    ("60::/14", Reason::Reserved),
    ("65::/16", Reason::Reserved),
    ("66::/15", Reason::Reserved),
    ("68::/13", Reason::Reserved),
    ("70::/12", Reason::Reserved),
    ("80::/9", Reason::Reserved),
    ("fc00::/7", Reason::Private),
    ("fe80::/10", Reason::LinkLocal),
    ("ff00::/8", Reason::Multicast),
];

/// Why an entry, or a part of it, was removed. The first that applies is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
#[allow(missing_docs, reason = "the message of each says what it is")]
pub enum Reason {
    #[error("wider than a list may be")]
    TooWide,
    #[error("an address of this host")]
    OwnAddress,
    #[error("the address of a device")]
    Device,
    #[error("a management peer")]
    Management,
    #[error("the peer of a protected pair")]
    Protected,
    #[error("never to be blocked, by the configuration or a `never_block` list")]
    NeverBlock,
    #[error("a segment behind the device ports")]
    Segment,
    #[error("a network of this host")]
    OwnNetwork,
    #[error("a public service for names or time")]
    PublicResolver,
    #[error("private addresses")]
    Private,
    #[error("loopback addresses")]
    Loopback,
    #[error("link-local addresses")]
    LinkLocal,
    #[error("multicast addresses")]
    Multicast,
    #[error("reserved addresses")]
    Reserved,
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An entry that was removed, or the part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The entry, as listed.
    pub entry: IpNet,
    /// What of it was removed.
    pub part: IpNet,
    /// Why.
    pub reason: Reason,
}

/// What is left of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guarded {
    /// Whether it may be listed.
    pub is_listed: bool,
    /// What was removed.
    pub removed: Vec<Removed>,
}

/// What is left of a list.
#[derive(Clone, Debug, Default)]
pub struct Sifted {
    /// The entries that may be listed; what they cover of a guarded range is a hole.
    pub list: List,
    /// What was removed, in the order of the networks.
    pub removed: Vec<Removed>,
}

impl Sifted {
    /// The guarded ranges that entries of the list cover.
    pub fn holes(&self) -> impl Iterator<Item = IpNet> {
        self.removed.iter().filter(|removed| removed.part != removed.entry).map(|removed| removed.part)
    }

    /// How many entries were removed altogether.
    #[must_use]
    pub fn removed_entries(&self) -> usize {
        self.removed.iter().filter(|removed| removed.part == removed.entry).count()
    }
}

/// The ranges that no list may block.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Apart from each other and in order.
    ranges: Vec<(IpNet, Reason)>,
    floor: Floor,
}

impl Guard {
    /// For feeds: the given ranges, all special ones, and public resolvers.
    pub fn for_feeds(ranges: impl IntoIterator<Item = (IpNet, Reason)>) -> Self {
        Self::of_feeds(ranges, true)
    }

    /// The same, without public resolvers where they are not to be spared.
    pub fn of_feeds(ranges: impl IntoIterator<Item = (IpNet, Reason)>, spares_resolvers: bool) -> Self {
        let resolvers = if spares_resolvers { resolvers::ADDRESSES } else { &[] };
        let resolvers = resolvers.iter().filter_map(|text| network(text).ok());
        let resolvers = resolvers.map(|address| (address, Reason::PublicResolver));
        Self::of(ranges.into_iter().chain(special()).chain(resolvers))
    }

    /// For blocks by hand: an operator may block private and connected addresses and public resolvers, but
    /// neither this host, nor a device, nor what is protected or never to be blocked.
    pub fn for_operators(ranges: impl IntoIterator<Item = (IpNet, Reason)>) -> Self {
        let vital =
            [Reason::OwnAddress, Reason::Device, Reason::Management, Reason::Protected, Reason::NeverBlock];
        let special = special().filter(|&(_, reason)| reason != Reason::Private);
        Self::of(ranges.into_iter().filter(|(_, reason)| vital.contains(reason)).chain(special))
    }

    /// For `never_block` lists: they may name any address, and whole ranges only down to [`SPARED_FLOOR`], or to
    /// `floor` where that is narrower.
    #[must_use]
    pub fn for_spared(floor: Floor) -> Self {
        Self::default().with_floor(floor.narrowed(SPARED_FLOOR))
    }

    /// The same with another floor.
    #[must_use]
    pub fn with_floor(self, floor: Floor) -> Self {
        Self { floor, ..self }
    }

    /// The shortest prefixes that it lets through.
    #[must_use]
    pub const fn floor(&self) -> Floor {
        self.floor
    }

    /// Judges one entry. Asks two neighbours and what lies inside, however many ranges there are.
    pub fn judge(&self, entry: IpNet) -> Guarded {
        let entry = canonical(entry.trunc());
        let behind = self.behind(&entry);
        if let Some(reason) = self.refuses(&entry, behind) {
            return Guarded { is_listed: false, removed: vec![Removed { entry, part: entry, reason }] };
        }
        let removed =
            self.inside(&entry, behind).map(|&(part, reason)| Removed { entry, part, reason }).collect();
        Guarded { is_listed: true, removed }
    }

    /// Judges every entry of a list. A list of which nothing is removed comes back as it is, without a copy.
    pub fn sift(&self, list: &List) -> Sifted {
        let mut removed = Vec::new();
        let mut is_removed = Vec::new();
        // Both are in order: the first range behind an entry is never in front of the one behind the last entry.
        let mut behind = 0;
        for (at, kept) in list.networks().iter().enumerate() {
            let entry = kept.what;
            while self.ranges.get(behind).is_some_and(|(range, _)| *range <= entry) {
                behind += 1;
            }
            if let Some(reason) = self.refuses(&entry, behind) {
                is_removed.push(at);
                removed.push(Removed { entry, part: entry, reason });
                continue;
            }
            removed.extend(self.inside(&entry, behind).map(|&(part, reason)| Removed {
                entry,
                part,
                reason,
            }));
        }
        Sifted { list: list.without(&is_removed), removed }
    }

    /// Whether an address lies in a guarded range: no list blocks it.
    #[must_use]
    pub fn spares(&self, address: IpAddr) -> bool {
        let host = canonical(address.into());
        self.around(&host, self.behind(&host)).is_some()
    }

    /// The place of the first range behind an entry.
    fn behind(&self, entry: &IpNet) -> usize {
        self.ranges.partition_point(|(range, _)| range <= entry)
    }

    /// Why no part of an entry may be listed.
    fn refuses(&self, entry: &IpNet, behind: usize) -> Option<Reason> {
        if is_too_wide(entry, self.floor) {
            return Some(Reason::TooWide);
        }
        self.around(entry, behind)
    }

    /// The reason of the range in which `entry` lies.
    fn around(&self, entry: &IpNet, behind: usize) -> Option<Reason> {
        let (range, reason) = self.ranges.get(behind.checked_sub(1)?)?;
        range.contains(entry).then_some(*reason)
    }

    /// The ranges that lie in `entry`, which lies in none.
    fn inside(&self, entry: &IpNet, behind: usize) -> impl Iterator<Item = &(IpNet, Reason)> {
        let from = self.ranges.get(behind..).unwrap_or_default();
        from.iter().take_while(move |(range, _)| entry.contains(range))
    }

    /// Keeps the ranges apart from each other; of two that nest, the outer one.
    fn of(ranges: impl IntoIterator<Item = (IpNet, Reason)>) -> Self {
        let mut sorted: Vec<(IpNet, Reason)> =
            ranges.into_iter().map(|(range, reason)| (canonical(range.trunc()), reason)).collect();
        sorted.sort_unstable();
        // In order, a range stands before all that lie in it.
        sorted.dedup_by(|(range, _), (outer, _)| outer.contains(&*range));
        Self { ranges: sorted, floor: Floor::default() }
    }
}

fn special() -> impl Iterator<Item = (IpNet, Reason)> {
    SPECIAL.iter().filter_map(|&(text, reason)| Some((text.parse().ok()?, reason)))
}

fn is_too_wide(entry: &IpNet, floor: Floor) -> bool {
    let shortest = match entry {
        IpNet::V4(_) => floor.v4,
        IpNet::V6(v6) if v6.contains(&NAT64) || NAT64.contains(v6) => {
            NAT64.prefix_len().saturating_add(floor.v4)
        }
        IpNet::V6(_) => floor.v6,
    };
    entry.prefix_len() < shortest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::feeds::Entry;
    use crate::feeds::list;

    fn net(text: &str) -> IpNet {
        crate::policy::peer::network(text).unwrap()
    }

    fn reason(guard: &Guard, text: &str) -> Option<Reason> {
        let guarded = guard.judge(net(text));
        assert!(guarded.is_listed || guarded.removed.len() == 1);
        if guarded.is_listed { None } else { Some(guarded.removed[0].reason) }
    }

    fn own() -> Vec<(IpNet, Reason)> {
        vec![
            (net("203.0.113.7"), Reason::Management),
            (net("203.0.113.200"), Reason::OwnAddress),
            (net("10.77.1.0/24"), Reason::Segment),
            (net("10.77.1.10"), Reason::Device),
        ]
    }

    #[test]
    fn feeds_may_not_list_what_is_ours_or_nobodys() {
        let guard = Guard::for_feeds(own());
        for (text, expected) in [
            ("203.0.113.9", None),
            ("8.8.8.0/24", None),
            ("2001:db8::/32", None),
            ("203.0.113.7", Some(Reason::Management)),
            ("10.77.1.10", Some(Reason::Private)),
            ("192.168.1.1", Some(Reason::Private)),
            ("100.64.3.0/24", Some(Reason::Private)),
            ("224.0.0.5", Some(Reason::Multicast)),
            ("255.255.255.255", Some(Reason::Reserved)),
            ("fe80::1", Some(Reason::LinkLocal)),
            ("::1", Some(Reason::Reserved)),
            ("0.0.0.0/1", Some(Reason::TooWide)),
            ("2000::/3", Some(Reason::TooWide)),
        ] {
            assert_eq!(reason(&guard, text), expected, "{text}");
        }
    }

    #[test]
    fn an_entry_round_a_guarded_one_leaves_holes() {
        let guarded = Guard::for_feeds(own()).judge(net("203.0.113.0/24"));
        let parts: Vec<_> = guarded.removed.iter().map(|removed| removed.part.to_string()).collect();
        assert!(guarded.is_listed);
        assert_eq!(parts, ["203.0.113.7/32", "203.0.113.200/32"]);
    }

    #[test]
    fn nobody_may_list_where_ipv4_stands_in_ipv6() {
        for guard in [Guard::for_feeds(own()), Guard::for_operators(own())] {
            for bits in 0..=128 {
                let expected = if bits < SHORTEST_V6 { Reason::TooWide } else { Reason::Reserved };
                let entry = IpNet::new_assert(Ipv6Addr::UNSPECIFIED.into(), bits);
                assert_eq!(reason(&guard, &entry.to_string()), Some(expected), "{entry}");
            }
            for (text, expected) in [
                ("::1", Some(Reason::Reserved)),
                ("::8.8.8.8", Some(Reason::Reserved)),
                ("0:0:0:1::/64", Some(Reason::Reserved)),
                ("ff:ffff::/32", Some(Reason::Reserved)),
                ("::ffff:0.0.0.0/96", Some(Reason::TooWide)),
                ("0.0.0.0/7", Some(Reason::TooWide)),
                ("2000::/18", Some(Reason::TooWide)),
                ("64:ff9b::/32", Some(Reason::TooWide)),
                ("64:ff9b::/103", Some(Reason::TooWide)),
                ("64:ff9b::9.9.9.9", None),
                ("100::/64", None),
            ] {
                assert_eq!(reason(&guard, text), expected, "{text}");
            }
        }
        let reserved: Vec<IpNet> = SPECIAL.iter().map(|(text, _)| net(text)).collect();
        for first in 0..=0xffu16 {
            let entry = IpNet::new_assert(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0).into(), 16);
            assert_eq!(reserved.iter().any(|range| range.contains(&entry)), first != 0x64, "{entry}");
        }
    }

    #[test]
    fn operators_may_block_private_addresses_but_no_device() {
        let guard = Guard::for_operators(own());
        assert_eq!(reason(&guard, "192.168.1.1"), None);
        assert_eq!(reason(&guard, "10.77.1.99"), None);
        assert_eq!(reason(&guard, "10.77.1.10"), Some(Reason::Device));
        assert_eq!(reason(&guard, "203.0.113.7"), Some(Reason::Management));
        assert_eq!(reason(&guard, "127.0.0.1"), Some(Reason::Loopback));
        assert!(guard.judge(net("10.77.1.0/24")).removed.len() == 1);
    }

    #[test]
    fn public_resolvers_and_what_is_never_to_be_blocked_are_spared() {
        assert!(resolvers::ADDRESSES.iter().all(|text| network(text).is_ok()), "each is an address");
        let never = [(net("198.51.100.0/28"), Reason::NeverBlock)];
        let guard = Guard::for_feeds(never);
        for (text, expected) in [
            ("8.8.8.8", Reason::PublicResolver),
            ("::ffff:9.9.9.9", Reason::PublicResolver),
            ("2620:fe::fe", Reason::PublicResolver),
            ("198.41.0.4", Reason::PublicResolver),
            ("198.51.100.7", Reason::NeverBlock),
            ("198.51.100.0/28", Reason::NeverBlock),
        ] {
            assert_eq!(reason(&guard, text), Some(expected), "{text}");
        }
        let holes = |text: &str| -> Vec<String> {
            guard.judge(net(text)).removed.iter().map(|removed| removed.part.to_string()).collect()
        };
        assert_eq!(holes("8.8.8.0/24"), ["8.8.8.8/32"]);
        assert_eq!(holes("198.51.100.0/24"), ["198.51.100.0/28"]);
        assert!(guard.spares([198, 51, 100, 1].into()) && !guard.spares([198, 51, 100, 16].into()));
        let operators = Guard::for_operators(never);
        assert_eq!(reason(&operators, "8.8.8.8"), None, "an operator may");
        assert_eq!(reason(&operators, "198.51.100.7"), Some(Reason::NeverBlock));
    }

    #[test]
    fn the_floor_can_be_set() {
        let floor = Floor { v4: 16, v6: 32 };
        let guard = Guard::for_feeds([]).with_floor(floor);
        for (text, expected) in [
            ("203.0.0.0/15", Some(Reason::TooWide)),
            ("203.0.0.0/16", None),
            ("2001:db8::/31", Some(Reason::TooWide)),
            ("2001:db8::/32", None),
            ("64:ff9b::cb00:0/111", Some(Reason::TooWide)),
            ("64:ff9b::cb00:0/112", None),
        ] {
            assert_eq!(reason(&guard, text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_list_is_sifted_as_its_entries_are_judged(
            entries in prop::collection::vec((any::<[u8; 2]>(), 4u8..=32), 0..30),
            ranges in prop::collection::vec((any::<[u8; 2]>(), 20u8..=32), 0..8),
        ) {
            let network = |([c, d], bits): &([u8; 2], u8)| {
                IpNet::new([203, 0, c & 3, *d].into(), *bits).unwrap().trunc()
            };
            let guard = Guard::for_feeds(ranges.iter().map(|range| (network(range), Reason::Device)));
            let entries: Vec<_> = entries.iter().map(network).collect::<std::collections::BTreeSet<_>>()
                .into_iter().map(|network| Entry { network, port: None, score: None, line: 1, about: None }).collect();
            let networks: Vec<_> = entries.iter().map(|entry| entry.network).collect();
            let list = List::default().renewed(list::Reading { entries, ..list::Reading::default() }).0;
            let sifted = guard.sift(&list);
            let one_by_one: Vec<_> = networks.iter().flat_map(|&network| guard.judge(network).removed).collect();
            prop_assert_eq!(&sifted.removed, &one_by_one);
            let listed: Vec<_> =
                networks.into_iter().filter(|&network| guard.judge(network).is_listed).collect();
            let kept: Vec<_> = sifted.list.networks().iter().map(|kept| kept.what).collect();
            prop_assert_eq!(kept, listed);
        }
    }
}
