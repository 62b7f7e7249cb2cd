//! The gate before the tables: what no list may block.
//!
//! Lists hold private ranges, whole /8s and the reader's own network. An entry that lies in a guarded
//! range is removed and counted; one that only covers a guarded range keeps the rest and leaves a hole.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use ipnet::{IpNet, Ipv6Net};
use serde::Serialize;
use thiserror::Error;

use crate::policy::peer::canonical;

/// The shortest IPv4 prefix that a list may have.
pub const SHORTEST_V4: u8 = 8;
/// The shortest IPv6 prefix that a list may have.
pub const SHORTEST_V6: u8 = 19;
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
    #[error("wider than a list may be (/8, IPv6 /19, NAT64 /104)")]
    TooWide,
    #[error("an address of this host")]
    OwnAddress,
    #[error("the address of a device")]
    Device,
    #[error("a management peer")]
    Management,
    #[error("the peer of a protected pair")]
    Protected,
    #[error("a segment behind the device ports")]
    Segment,
    #[error("a network of this host")]
    OwnNetwork,
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

/// The ranges that no list may block.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    ranges: BTreeMap<IpNet, Reason>,
}

impl Guard {
    /// For feeds: the given ranges, and all special ones.
    pub fn for_feeds(ranges: impl IntoIterator<Item = (IpNet, Reason)>) -> Self {
        let special = SPECIAL.iter().filter_map(|&(text, reason)| Some((text.parse().ok()?, reason)));
        Self::of(ranges.into_iter().chain(special))
    }

    /// For blocks by hand: an operator may block private and connected addresses, but neither this host,
    /// nor a device, nor what is protected.
    pub fn for_operators(ranges: impl IntoIterator<Item = (IpNet, Reason)>) -> Self {
        let vital = [Reason::OwnAddress, Reason::Device, Reason::Management, Reason::Protected];
        let special = SPECIAL.iter().filter_map(|&(text, reason)| Some((text.parse().ok()?, reason)));
        let special = special.filter(|&(_, reason)| reason != Reason::Private);
        Self::of(ranges.into_iter().filter(|(_, reason)| vital.contains(reason)).chain(special))
    }

    /// Judges one entry. Asks two neighbours and what lies inside, however many ranges there are.
    pub fn judge(&self, entry: IpNet) -> Guarded {
        let entry = canonical(entry.trunc());
        let removed =
            |part, reason| Guarded { is_listed: false, removed: vec![Removed { entry, part, reason }] };
        if is_too_wide(&entry) {
            return removed(entry, Reason::TooWide);
        }
        if let Some(reason) = self.around(&entry) {
            return removed(entry, reason);
        }
        let Ok(last) = IpNet::new(entry.broadcast(), entry.max_prefix_len()) else {
            return Guarded::default();
        };
        let inside = self.ranges.range(entry..=last);
        let removed = inside.map(|(&part, &reason)| Removed { entry, part, reason }).collect();
        Guarded { is_listed: true, removed }
    }

    /// The reason of the range in which `entry` lies.
    fn around(&self, entry: &IpNet) -> Option<Reason> {
        let (range, reason) = self.ranges.range(..=*entry).next_back()?;
        range.contains(entry).then_some(*reason)
    }

    /// Keeps the ranges apart from each other; of two that nest, the outer one.
    fn of(ranges: impl IntoIterator<Item = (IpNet, Reason)>) -> Self {
        let mut sorted: Vec<(IpNet, Reason)> =
            ranges.into_iter().map(|(range, reason)| (canonical(range.trunc()), reason)).collect();
        sorted.sort_unstable();
        let mut apart = BTreeMap::new();
        let mut outer: Option<IpNet> = None;
        for (range, reason) in sorted {
            if outer.is_some_and(|outer| outer.contains(&range)) {
                continue;
            }
            apart.insert(range, reason);
            outer = Some(range);
        }
        Self { ranges: apart }
    }
}

fn is_too_wide(entry: &IpNet) -> bool {
    let shortest = match entry {
        IpNet::V4(_) => SHORTEST_V4,
        IpNet::V6(v6) if v6.contains(&NAT64) || NAT64.contains(v6) => NAT64.prefix_len() + SHORTEST_V4,
        IpNet::V6(_) => SHORTEST_V6,
    };
    entry.prefix_len() < shortest
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
