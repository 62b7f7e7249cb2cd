//! What `never_block` lists spare: a list that spares the whole internet would switch every other one off.
//!
//! Networks of such lists come in, and those that are spared go out, or how much of the internet they are. Nothing is
//! held back here: that is for the gate.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::{Floor, NAT64, Reason, Removed, is_too_wide};
use crate::policy::peer::canonical;

/// The shortest prefixes that a `never_block` list may have, whatever floor is configured for feeds.
pub const SPARED_FLOOR: Floor = Floor { v4: 16, v6: 32 };
/// How much of the internet one `never_block` list may spare: sixteen /16s of IPv4, and one /32 of IPv6.
pub const MOST_SPARED: Spared = Spared { addresses: 1 << 20, sites: 1 << 16 };
/// The prefix length of a site's IPv6 network (RFC 6177).
const SITE: u8 = 48;
/// The prefix length of an IPv4 address.
const IPV4: u8 = 32;

/// How much of the internet networks are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spared {
    /// IPv4 addresses; those that NAT64 puts into IPv6 among them.
    pub addresses: u64,
    /// Prefixes of 48 bits of IPv6 of which at least a part is covered.
    pub sites: u64,
}

impl Spared {
    /// What networks cover together, each address once. Those that are too wide to be spared are none of it.
    pub fn of(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let mut addresses = Vec::new();
        let mut sites = Vec::new();
        let networks = networks.into_iter().map(|network| canonical(network.trunc()));
        for network in networks.filter(|network| !is_too_wide(network, SPARED_FLOOR)) {
            match (ipv4(&network), network) {
                (Some(v4), _) => addresses.push(IpNet::V4(v4)),
                (None, IpNet::V6(v6)) if v6.prefix_len() > SITE => {
                    sites.extend(IpNet::new(v6.addr().into(), SITE).map(|site| site.trunc()));
                }
                (None, network) => sites.push(network),
            }
        }
        // Nothing is wider than the floor: a word holds all of it.
        let size = |network: &IpNet, whole: u8| 1u64 << whole.saturating_sub(network.prefix_len());
        let addresses = IpNet::aggregate(&addresses).iter().map(|network| size(network, IPV4)).sum();
        let sites = IpNet::aggregate(&sites).iter().map(|network| size(network, SITE)).sum();
        Self { addresses, sites }
    }

    /// Whether it is more than a list may spare.
    #[must_use]
    pub const fn is_too_much(&self) -> bool {
        self.addresses > MOST_SPARED.addresses || self.sites > MOST_SPARED.sites
    }
}

/// The addresses of IPv4 that a network is, by itself or behind NAT64.
fn ipv4(network: &IpNet) -> Option<Ipv4Net> {
    match network {
        IpNet::V4(v4) => Some(*v4),
        IpNet::V6(v6) if NAT64.contains(v6) => {
            let [.., a, b, c, d] = v6.addr().octets();
            Ipv4Net::new(Ipv4Addr::new(a, b, c, d), v6.prefix_len().checked_sub(NAT64.prefix_len())?).ok()
        }
        IpNet::V6(_) => None,
    }
}

/// What `never_block` lists spare, and what is wider than they may: down to [`SPARED_FLOOR`], or to `floor` where that
/// is narrower.
pub fn never_block(
    networks: impl IntoIterator<Item = IpNet>,
    floor: Floor,
) -> (Vec<(IpNet, Reason)>, Vec<Removed>) {
    let floor = floor.narrowed(SPARED_FLOOR);
    let networks = networks.into_iter().map(|network| canonical(network.trunc()));
    let (wide, kept): (Vec<_>, Vec<_>) = networks.partition(|network| is_too_wide(network, floor));
    let removed = wide.into_iter().map(|entry| Removed { entry, part: entry, reason: Reason::TooWide });
    (kept.into_iter().map(|network| (network, Reason::NeverBlock)).collect(), removed.collect())
}

#[cfg(test)]
mod tests {
    use super::super::Guard;
    use super::*;

    fn net(text: &str) -> IpNet {
        crate::policy::peer::network(text).unwrap()
    }

    fn spared(texts: &[&str], floor: Floor) -> Vec<String> {
        let (never, removed) = never_block(texts.iter().map(|text| net(text)), floor);
        assert_eq!(never.len() + removed.len(), texts.len(), "nothing is dropped");
        assert!(removed.iter().all(|removed| removed.reason == Reason::TooWide));
        never.iter().map(|(network, _)| network.to_string()).collect()
    }

    #[test]
    fn what_is_spared_has_a_floor_that_can_only_be_made_narrower() {
        let texts = ["203.0.0.0/15", "203.0.0.0/16", "2001:db8::/31", "2001:db8::/32", "198.51.100.0/24"];
        let expected = ["203.0.0.0/16", "2001:db8::/32", "198.51.100.0/24"];
        assert_eq!(spared(&texts, Floor::default()), expected);
        assert_eq!(spared(&texts, Floor { v4: 1, v6: 1 }), expected);
        assert_eq!(spared(&texts, Floor { v4: 24, v6: 33 }), ["198.51.100.0/24"]);
        assert_eq!(spared(&["64:ff9b::cb00:0/111", "64:ff9b::cb00:0/112"], Floor::default()).len(), 1);
        assert_eq!(Guard::for_spared(Floor { v4: 8, v6: 48 }).floor(), Floor { v4: 16, v6: 48 });
    }

    #[test]
    fn what_a_list_spares_is_counted_once() {
        let of = |texts: &[&str]| {
            let Spared { addresses, sites } = Spared::of(texts.iter().map(|text| net(text)));
            (addresses, sites)
        };
        assert_eq!(of(&["203.0.113.0/24", "203.0.113.9", "198.51.100.1", "0.0.0.0/8"]), (257, 0));
        assert_eq!(of(&["64:ff9b::203.0.113.9", "64:ff9b::198.51.0.0/112"]), (65_537, 0));
        assert_eq!(of(&["2001:db8::/47", "2001:db8:1:2::/64", "2001:db8:2::1", "2001:db8:2::2"]), (0, 3));
        assert_eq!(of(&[]), (0, 0));
        let sixteen = |more| (0..16u8).map(|low| format!("198.{low}.0.0/16")).chain(more).collect::<Vec<_>>();
        let is_too_much = |texts: Vec<String>| Spared::of(texts.iter().map(|text| net(text))).is_too_much();
        assert!(!is_too_much(sixteen(None)));
        assert!(is_too_much(sixteen(Some("203.0.113.1".to_owned()))));
        assert!(!is_too_much(vec!["2001:db8::/32".to_owned()]));
        assert!(is_too_much(vec!["2001:db8::/32".to_owned(), "2001:db9::1".to_owned()]));
    }
}
