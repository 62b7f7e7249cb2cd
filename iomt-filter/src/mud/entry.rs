//! What one entry (ACE) of an access list says, seen from the device.

use ipnet::IpNet;

use super::ports::Ports;
use crate::contacts::Direction;

/// An entry.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// `list/entry`, as it may be shown.
    pub(super) place: String,
    /// Whose packets it is about.
    pub(super) sender: Direction,
    /// Of IPv4, of IPv6.
    pub(super) families: Families,
    /// The other end.
    pub(super) far: Far,
    /// What is sent.
    pub(super) what: What,
    /// Who opens, where it says so.
    pub(super) opener: Option<Direction>,
    /// Whether such packets pass.
    pub(super) is_accepted: bool,
}

/// Versions of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Families {
    pub(super) v4: bool,
    pub(super) v6: bool,
}

impl Families {
    pub(super) const BOTH: Self = Self { v4: true, v6: true };
    pub(super) const V4: Self = Self { v4: true, v6: false };
    pub(super) const V6: Self = Self { v4: false, v6: true };
    const NONE: Self = Self { v4: false, v6: false };

    pub(super) const fn of(network: &IpNet) -> Self {
        match network {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }

    pub(super) const fn and(self, other: Self) -> Option<Self> {
        let both = Self { v4: self.v4 && other.v4, v6: self.v6 && other.v6 };
        if both.v4 || both.v6 { Some(both) } else { None }
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self { v4: self.v4 || other.v4, v6: self.v6 || other.v6 }
    }

    pub(super) fn of_all(networks: &[IpNet]) -> Self {
        networks.iter().map(Self::of).fold(Self::NONE, Self::or)
    }

    pub(super) const fn have(self, network: &IpNet) -> bool {
        self.and(Self::of(network)).is_some()
    }
}

/// The other end, as a file names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Far {
    /// Everybody.
    Any,
    /// Addresses.
    Network(IpNet),
    /// A domain.
    Name(String),
    /// The site's own networks.
    LocalNetworks,
    /// Devices of the same maker.
    SameManufacturer,
    /// Devices of a maker.
    Manufacturer(String),
    /// Devices with a MUD URL.
    Model(String),
    /// A class that the site fills.
    Controller(String),
    /// Whoever controls this device at the site.
    MyController,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Whatever there is.
    Any,
    /// A protocol without ports.
    Protocol(u8),
    /// TCP or UDP, between ports of the device and ports of the other end.
    Ports { protocol: u8, own: Ports, far: Ports },
    /// ICMP or ICMPv6; of one type and code, where it says so.
    Icmp { kind: Option<u8>, code: Option<u8> },
}
