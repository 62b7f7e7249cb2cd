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

pub(crate) mod longest;
mod prefixes;
mod shared;

pub use prefixes::Prefixes;
pub use shared::Shared;

/// The content of every policy table, without generation and slot, and the names behind its numbers. Copies share
/// what is the same in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// What holds for all devices.
    pub settings: Settings,
    /// Profiles by number, from 1.
    pub profiles: Shared<BTreeMap<u16, Profile>>,
    /// Devices by number, from 1.
    pub devices: Shared<BTreeMap<u32, Device>>,
    /// Hardware address and VLAN to device; VLAN 0 answers for every VLAN that has no row of its own, and
    /// [`CLIENT`](iomt_filter_common::abi::CLIENT) and more are the devices by DHCP.
    pub device_macs: Shared<BTreeMap<(Mac, u16), u32>>,
    /// Bound address to device.
    pub device_addresses: Shared<BTreeMap<Address, u32>>,
    /// Prefix to peer class: the longest prefix answers, and holds what shorter ones say too.
    pub peers: Shared<BTreeMap<Prefix, PeerClass>>,
    /// Ports to service class: the longest prefix answers, and holds what shorter ones say too.
    pub services: Shared<BTreeMap<ServicePrefix, u16>>,
    /// The rule matrix; where several rules meet in a cell, the first one in the file is there.
    pub rules: Shared<BTreeMap<RuleCell, u32>>,
    /// Rules of single devices that end by themselves; where several meet in a cell, the one that ends last is
    /// there.
    pub grants: Shared<BTreeMap<GrantCell, Grant>>,
    /// Device and far ends that no feed and no geo rule may cut.
    pub protected: Shared<BTreeSet<(u32, Prefix)>>,
    /// Prefix to the most severe entry of a feed that covers it.
    pub listings: Prefixes<Listing>,
    /// Prefix to the most severe block by hand that covers it. Apart, so that one more of them does not make
    /// a million rows anew; the more severe of both answers.
    pub blocks: Prefixes<Listing>,
    /// Prefix to country.
    pub countries: Prefixes<Country>,
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

    /// The same with those listings and countries alone that cover one of `addresses`: of these addresses the
    /// tables say the same.
    #[must_use]
    pub fn about(&self, addresses: &[Address]) -> Self {
        Self {
            listings: self.listings.around(addresses),
            blocks: self.blocks.around(addresses),
            countries: self.countries.around(addresses),
            ..self.clone()
        }
    }

    /// Whether an address lies behind the device ports.
    #[must_use]
    pub fn in_segment(&self, address: Address) -> bool {
        self.peer(address).in_segment != 0
    }

    /// What rules know of an address.
    #[must_use]
    pub fn peer(&self, address: Address) -> PeerClass {
        let last = |to| self.peers.range(..=to).next_back().map(|(prefix, class)| (*prefix, *class));
        longest::around(address, last).unwrap_or_default()
    }

    /// The most severe listing that covers `address`.
    #[must_use]
    pub fn listing(&self, address: Address) -> Listing {
        let of = |listings: &Prefixes<Listing>| listings.longest(address).copied().unwrap_or_default();
        of(&self.listings).or_severer(of(&self.blocks))
    }
}

/// What the numbers in rows and events are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Devices.
    pub devices: Shared<BTreeMap<u32, String>>,
    /// Profiles.
    pub profiles: Shared<BTreeMap<u16, String>>,
    /// Allow rules, as `PROFILE[INDEX] to PEER service SERVICE`; the index counts from 1.
    pub rules: Shared<BTreeMap<u32, String>>,
    /// Feeds.
    pub feeds: Shared<BTreeMap<u16, String>>,
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

    /// Whether it is one of IPv4.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.bits >= IPV4_PREFIX_BITS && self.address.is_v4()
    }

    /// Whether `other` lies in it, in the 128-bit form.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        self.bits <= other.bits && Self::of(other.address, self.bits) == *self
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
        let bits = if self.is_v4() { self.bits - IPV4_PREFIX_BITS } else { self.bits };
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

/// A cell of the rule matrix; see [`cell`](iomt_filter_common::lookup::policy::cell) for its key.
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
