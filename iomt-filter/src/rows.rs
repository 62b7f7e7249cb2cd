//! The full intended content of the kernel tables: what policy, inventory, feeds and geo come to.
//!
//! Ordered, comparable and printable. Everything that makes rows is a pure function; everything behind
//! them sees nothing else of policy, feeds or geo.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use iomt_filter_common::abi::PeerClass;
use iomt_filter_common::addr::IPV4_PREFIX_BITS;
use iomt_filter_common::device::Device;
use iomt_filter_common::geo::Country;
use iomt_filter_common::policy::{Grant, Profile, RuleDirection, Settings};
use iomt_filter_common::reputation::Listing;
use iomt_filter_common::{Address, Mac};
use ipnet::IpNet;

/// The content of every policy table, without generation and slot, and the names behind its numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// What holds for all devices.
    pub settings: Settings,
    /// Profiles by number, from 1.
    pub profiles: BTreeMap<u16, Profile>,
    /// Devices by number, from 1.
    pub devices: BTreeMap<u32, Device>,
    /// Hardware address and VLAN to device; VLAN 0 answers for every VLAN that has no row of its own, and
    /// [`CLIENT`](iomt_filter_common::abi::CLIENT) and more are the devices by DHCP.
    pub device_macs: BTreeMap<(Mac, u16), u32>,
    /// Bound address to device.
    pub device_addresses: BTreeMap<Address, u32>,
    /// Prefix to peer class: the longest prefix answers, and holds what shorter ones say too.
    pub peers: BTreeMap<Prefix, PeerClass>,
    /// Ports to service class: the longest prefix answers, and holds what shorter ones say too.
    pub services: BTreeMap<ServicePrefix, u16>,
    /// The rule matrix; where several rules meet in a cell, the first one in the file is there.
    pub rules: BTreeMap<RuleCell, u32>,
    /// Rules of single devices that end by themselves; where several meet in a cell, the one that ends last is
    /// there.
    pub grants: BTreeMap<GrantCell, Grant>,
    /// Device and far ends that no feed and no geo rule may cut.
    pub protected: BTreeSet<(u32, Prefix)>,
    /// Prefix to the most severe listing that covers it.
    pub listings: BTreeMap<Prefix, Listing>,
    /// Prefix to country.
    pub countries: BTreeMap<Prefix, Country>,
    /// The names behind the numbers.
    pub names: Names,
}

impl Rows {
    /// Has the hardware address of a device that is bound to a VLAN answer for every other VLAN too, where it is
    /// seen by mistake or malice: for the strictest device, where it is bound in several.
    pub fn know_everywhere(&mut self, device: u32) {
        let Some(row) = self.devices.get(&device).filter(|row| row.mac != Mac::UNSET && row.vlan != 0) else {
            return;
        };
        let held = self.device_macs.get(&(row.mac, 0)).and_then(|held| self.devices.get(held));
        if held.is_none_or(|held| held.vlan != 0 && held.mode < row.mode) {
            self.device_macs.insert((row.mac, 0), device);
        }
    }

    /// The same without listings, of which there may be a million: none of them is copied.
    #[must_use]
    pub fn without_listings(&self) -> Self {
        self.with(BTreeMap::new(), self.countries.clone())
    }

    /// The same with those listings and countries alone that cover one of `addresses`: of these addresses the
    /// tables say the same, and nothing of what may be millions of rows is copied.
    #[must_use]
    pub fn about(&self, addresses: &[Address]) -> Self {
        self.with(covering(&self.listings, addresses), covering(&self.countries, addresses))
    }

    fn with(&self, listings: BTreeMap<Prefix, Listing>, countries: BTreeMap<Prefix, Country>) -> Self {
        Self {
            settings: self.settings,
            profiles: self.profiles.clone(),
            devices: self.devices.clone(),
            device_macs: self.device_macs.clone(),
            device_addresses: self.device_addresses.clone(),
            peers: self.peers.clone(),
            services: self.services.clone(),
            rules: self.rules.clone(),
            grants: self.grants.clone(),
            protected: self.protected.clone(),
            listings,
            countries,
            names: self.names.clone(),
        }
    }
}

/// The rows of `table` whose prefix covers one of `addresses`.
fn covering<V: Copy>(table: &BTreeMap<Prefix, V>, addresses: &[Address]) -> BTreeMap<Prefix, V> {
    let prefixes = addresses.iter().flat_map(|&address| (0..=128).map(move |bits| Prefix::of(address, bits)));
    prefixes.filter_map(|prefix| Some((prefix, *table.get(&prefix)?))).collect()
}

/// What the numbers in rows and events are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Devices.
    pub devices: BTreeMap<u32, String>,
    /// Profiles.
    pub profiles: BTreeMap<u16, String>,
    /// Allow rules, as `PROFILE[INDEX] to PEER service SERVICE`; the index counts from 1.
    pub rules: BTreeMap<u32, String>,
    /// Feeds.
    pub feeds: BTreeMap<u16, String>,
}

/// A prefix in the 128-bit form of [`Address`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The address, host bits zero.
    pub address: Address,
    /// Length, 0 to 128; IPv4 counts from 96.
    pub bits: u8,
}

impl Prefix {
    /// The prefix of `bits` that `address` lies in.
    #[must_use]
    pub fn of(address: Address, bits: u8) -> Self {
        let kept = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
        let cut = u128::from_be_bytes(address.octets()) & kept;
        Self { address: Address::from_v6(cut.to_be_bytes()), bits }
    }
}

impl From<IpNet> for Prefix {
    fn from(net: IpNet) -> Self {
        let net = net.trunc();
        let bits = match net {
            IpNet::V4(v4) => v4.prefix_len() + IPV4_PREFIX_BITS,
            IpNet::V6(v6) => v6.prefix_len(),
        };
        Self { address: net.addr().into(), bits }
    }
}

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Self {
        Self { address: address.into(), bits: 128 }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.address.is_v4() { self.bits.saturating_sub(IPV4_PREFIX_BITS) } else { self.bits };
        write!(f, "{}/{bits}", IpAddr::from(self.address))
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A power-of-two range of ports of one protocol; protocols without ports have port 0 and 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePrefix {
    /// IP protocol number.
    pub protocol: u8,
    /// First port of the range, host order.
    pub port: u16,
    /// Leading bits of the port that count, 0 to 16.
    pub bits: u8,
}

/// A cell of the rule matrix; see [`RuleKey`](iomt_filter_common::abi::RuleKey) for its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleCell {
    /// Profile that the rule belongs to; 0 for management pairs.
    pub profile: u16,
    /// Whether the device or the peer opens.
    pub direction: RuleDirection,
    /// Peer class, [`PEER_ANY`](iomt_filter_common::abi::PEER_ANY), or
    /// [`PEER_PROFILE`](iomt_filter_common::abi::PEER_PROFILE) plus a profile.
    pub peer: u16,
    /// Service class or [`SERVICE_ANY`](iomt_filter_common::abi::SERVICE_ANY).
    pub service: u16,
}

/// A cell of the grants; see [`GrantKey`](iomt_filter_common::policy::GrantKey) for its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantCell {
    /// Device that the grant belongs to.
    pub device: u32,
    /// Whether the device or the peer opens.
    pub direction: RuleDirection,
    /// Peer class, as in a [`RuleCell`].
    pub peer: u16,
    /// Service class, as in a [`RuleCell`].
    pub service: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_covers_an_address_is_kept_and_nothing_else() {
        let prefix = |text: &str| Prefix::from(text.parse::<IpNet>().unwrap());
        let listing = |score| Listing { feed: 1, score, prefix_bits: 0 };
        let names = ["203.0.113.0/24", "203.0.113.9/32", "203.0.113.8/32", "2001:db8::/32", "0.0.0.0/0"];
        let mut rows = Rows::default();
        for (score, name) in (0..).zip(names) {
            rows.listings.insert(prefix(name), listing(score));
        }
        let address = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
        let kept = |text| rows.about(&[address(text)]).listings.into_keys().collect::<Vec<_>>();
        let all = ["0.0.0.0/0", "203.0.113.0/24", "203.0.113.9/32"].map(prefix);
        assert_eq!(kept("203.0.113.9"), all);
        assert_eq!(kept("2001:db8::1"), [prefix("2001:db8::/32")]);
        assert_eq!(kept("fd00::1"), []);
    }
}
