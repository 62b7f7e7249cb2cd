//! Peers: addresses, prefixes and what `to`, `from` and `peer` may name.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

/// Bits in front of an IPv4 address in its IPv6 form.
const MAPPED_BITS: u8 = 96;

/// Who a rule allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peers {
    /// Everybody; the rest then says nothing.
    pub any: bool,
    /// The host's own addresses, known when rows are made.
    pub gateway: bool,
    /// Devices of these profiles.
    pub profiles: BTreeSet<String>,
    /// Addresses, as written: sorted, none inside another.
    pub networks: Vec<IpNet>,
    /// The same with neighbours joined, to compare by.
    joined: Vec<IpNet>,
}

/// Why an address or a prefix cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// Neither an address nor a prefix.
    #[error("`{0}` is neither an address nor a prefix")]
    Unreadable(String),
    /// Host bits are set.
    #[error("`{written}` has host bits set")]
    HostBits {
        /// As written.
        written: String,
        /// Without them.
        network: IpNet,
    },
}

impl NetworkError {
    /// What to do next.
    pub fn help(&self) -> String {
        match self {
            Self::Unreadable(_) => {
                "write it as in `10.20.0.10`, `10.20.0.0/24`, `fd00::10` or `fd00::/64`".to_owned()
            }
            Self::HostBits { network, .. } => format!("write `{network}`, or the address without a length"),
        }
    }
}

/// Reads an address or a prefix. An IPv4 address in its IPv6 form is the IPv4 address.
pub fn network(text: &str) -> Result<IpNet, NetworkError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(canonical(IpNet::from(address)));
    }
    let written: IpNet = text.parse().map_err(|_| NetworkError::Unreadable(text.to_owned()))?;
    let network = written.trunc();
    if network != written {
        return Err(NetworkError::HostBits { written: text.to_owned(), network });
    }
    Ok(canonical(network))
}

/// Whether a text looks like an address, so that it is no name.
pub fn looks_like_address(text: &str) -> bool {
    text.contains([':', '/']) || text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// `::ffff:a.b.c.d/N` as IPv4; everything else as it is.
pub fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let mapped = v6.addr().to_ipv4_mapped().filter(|_| v6.prefix_len() >= MAPPED_BITS);
    mapped
        .and_then(|v4| Ipv4Net::new(v4, v6.prefix_len() - MAPPED_BITS).ok())
        .map_or(network, |v4| IpNet::V4(v4.trunc()))
}

/// Where IPv4 addresses stand among IPv6 ones in the 128-bit form of the tables.
pub fn mapped_range() -> Ipv6Net {
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), MAPPED_BITS)
}

/// An IPv6 prefix without the IPv4 addresses that stand inside it in the 128-bit form.
///
/// Nobody who writes `::/0` means IPv4, but a trie in that form would find it there.
pub fn without_mapped(network: IpNet) -> Vec<IpNet> {
    let hole = mapped_range();
    let IpNet::V6(mut rest) = network else { return vec![network] };
    if !rest.contains(&hole) {
        return vec![network];
    }
    let mut parts = Vec::new();
    while rest.prefix_len() < MAPPED_BITS {
        let Ok(halves) = rest.subnets(rest.prefix_len() + 1) else { break };
        for half in halves {
            if half.contains(&hole) {
                rest = half;
            } else {
                parts.push(IpNet::V6(half));
            }
        }
    }
    parts
}

impl Peers {
    /// Addresses only.
    pub fn of(networks: Vec<IpNet>) -> Self {
        let networks = apart(networks);
        Self { joined: IpNet::aggregate(&networks), networks, ..Self::default() }
    }

    /// Everybody.
    pub fn any() -> Self {
        Self { any: true, ..Self::default() }
    }

    /// The host's own addresses.
    pub fn gateway() -> Self {
        Self { gateway: true, ..Self::default() }
    }

    /// Devices of a profile.
    pub fn profile(name: &str) -> Self {
        Self { profiles: BTreeSet::from([name.to_owned()]), ..Self::default() }
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        !self.any && !self.gateway && self.profiles.is_empty() && self.networks.is_empty()
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.any |= other.any;
        self.gateway |= other.gateway;
        self.profiles.extend(other.profiles);
        self.networks.extend(other.networks);
        self.networks = apart(self.networks);
        self.joined = IpNet::aggregate(&self.networks);
        self
    }

    /// Whether everybody in `other` is in here too.
    pub fn contains(&self, other: &Self) -> bool {
        self.any
            || (!other.any
                && (self.gateway || !other.gateway)
                && self.profiles.is_superset(&other.profiles)
                && other.joined.iter().all(|network| covers(&self.joined, network)))
    }

    /// Whether somebody is certainly in both.
    pub fn meets(&self, other: &Self) -> bool {
        let both = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
        self.any
            || other.any
            || (self.gateway && other.gateway)
            || !self.profiles.is_disjoint(&other.profiles)
            || self.joined.iter().any(|a| other.joined.iter().any(|b| both(a, b)))
    }
}

/// Sorted, without those that lie inside others.
fn apart(mut networks: Vec<IpNet>) -> Vec<IpNet> {
    networks.sort_unstable();
    networks.dedup_by(|inner, outer| outer.contains(&*inner));
    networks
}

fn covers(networks: &[IpNet], network: &IpNet) -> bool {
    networks.iter().any(|own| own.contains(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        network(text).unwrap()
    }

    #[test]
    fn addresses_and_prefixes() {
        assert_eq!(net("10.0.0.1").to_string(), "10.0.0.1/32");
        assert_eq!(net("::ffff:10.0.0.0/104").to_string(), "10.0.0.0/8");
        assert!(matches!(network("10.0.0.1/8"), Err(NetworkError::HostBits { .. })));
        assert!(matches!(network("10.0.0"), Err(NetworkError::Unreadable(_))));
    }

    #[test]
    fn all_of_ipv6_is_none_of_ipv4() {
        let parts = without_mapped(net("::/0"));
        assert_eq!(parts.len(), 96);
        assert!(parts.iter().all(|part| !part.contains(&IpNet::V6(mapped_range()))));
        assert!(parts.iter().any(|part| part.contains(&net("2001:db8::1"))));
        assert_eq!(without_mapped(net("fd00::/8")), [net("fd00::/8")]);
    }

    #[test]
    fn sets_contain_and_meet() {
        let wide = Peers::of(vec![net("10.0.0.0/25"), net("10.0.0.128/25")]);
        let narrow = Peers::of(vec![net("10.0.0.0/24")]);
        assert!(wide.contains(&narrow) && narrow.contains(&wide));
        assert_eq!((wide.networks.len(), narrow.networks.len()), (2, 1));
        let any = Peers::any();
        assert!(any.contains(&narrow) && !narrow.contains(&any) && narrow.meets(&any));
        let gateway = Peers::gateway();
        assert!(!narrow.contains(&gateway) && !narrow.meets(&gateway));
    }
}
