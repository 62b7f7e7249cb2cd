//! What the host itself is connected to: the addresses and networks of its interfaces.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// Interface to its addresses, each with the length of its network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostNetworks {
    /// The addresses, host bits kept.
    pub interfaces: BTreeMap<String, Vec<IpNet>>,
}

impl HostNetworks {
    /// Asks the kernel, in the network namespace of the caller.
    pub fn read() -> io::Result<Self> {
        let mut interfaces: BTreeMap<String, Vec<IpNet>> = BTreeMap::new();
        for entry in getifaddrs()? {
            let addresses = interfaces.entry(entry.interface_name).or_default();
            let network = entry.address.as_ref().zip(entry.netmask.as_ref());
            addresses.extend(network.and_then(|(address, mask)| network_of(address, mask)));
        }
        Ok(Self { interfaces })
    }

    /// The host's own addresses, sorted, without loopback.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let mut all: Vec<_> = self.interfaces.values().flatten().map(IpNet::addr).collect();
        all.retain(|address| !address.is_loopback());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The networks that are connected to the named interfaces; link-local ones say nothing.
    pub fn connected_to(&self, names: &[String]) -> Vec<IpNet> {
        let named = names.iter().filter_map(|name| self.interfaces.get(name)).flatten();
        let mut networks: Vec<_> = named.map(IpNet::trunc).filter(|network| !is_local(network)).collect();
        networks.sort_unstable();
        networks.dedup();
        networks
    }

    /// The networks of all interfaces.
    pub fn networks(&self) -> Vec<IpNet> {
        let names: Vec<_> = self.interfaces.keys().cloned().collect();
        self.connected_to(&names)
    }
}

fn is_local(network: &IpNet) -> bool {
    match network.addr() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

fn network_of(address: &SockaddrStorage, mask: &SockaddrStorage) -> Option<IpNet> {
    if let (Some(address), Some(mask)) = (address.as_sockaddr_in(), mask.as_sockaddr_in()) {
        let (address, mask): (Ipv4Addr, Ipv4Addr) = (address.ip(), mask.ip());
        return Ipv4Net::with_netmask(address, mask).ok().map(IpNet::V4);
    }
    let (address, mask): (Ipv6Addr, Ipv6Addr) =
        (address.as_sockaddr_in6()?.ip(), mask.as_sockaddr_in6()?.ip());
    Ipv6Net::with_netmask(address, mask).ok().map(IpNet::V6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_link_local_are_nobodys_segment() {
        let networks = ["10.77.1.1/24", "fe80::1/64", "fd77:1::1/64"].map(|net| net.parse().unwrap());
        let loopback = vec!["127.0.0.1/8".parse().unwrap()];
        let interfaces = BTreeMap::from([("eth1".into(), networks.to_vec()), ("lo".into(), loopback)]);
        let host = HostNetworks { interfaces };
        let shown: Vec<_> = host.networks().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.77.1.0/24", "fd77:1::/64"]);
        assert_eq!(host.addresses().len(), 3);
        assert!(host.connected_to(&["eth7".into()]).is_empty());
    }

    #[test]
    fn the_kernel_answers() {
        assert!(HostNetworks::read().is_ok());
    }
}
