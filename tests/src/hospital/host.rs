//! Who is there, and at which addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A host of the hospital, or one that it should not talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// The CT scanner, `ct-1`.
    Ct,
    /// The infusion pump, `pump-1`.
    Pump,
    /// A laptop that nobody has heard of, on a device port.
    Laptop,
    /// The segmentation host, where the filter runs.
    Segmentation,
    /// The hospital network and the internet.
    Core,
    /// The PACS, which answers HL7 at a second address.
    Pacs,
    /// A host on a threat list, in a network that policy allows.
    C2,
    /// A host in a country that policy denies, in a network that policy allows.
    Denied,
    /// The vendor's remote service.
    Vendor,
}

/// Which Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// An address of each version, as the policy and inventory in `files/` have them.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// IPv4.
    pub v4: Ipv4Addr,
    /// IPv6.
    pub v6: Ipv6Addr,
}

/// DICOM's own port.
pub const DICOM: u16 = 104;
/// HL7 over MLLP.
pub const HL7: u16 = 2575;
/// HTTPS.
pub const HTTPS: u16 = 443;
/// The pump's maintenance port.
pub const MAINTENANCE: u16 = 8080;

/// The integration engine, which lives on the host of the PACS.
pub const INTEGRATION: Addresses = addresses([10, 20, 0, 20], 0x20, 0x20);

impl Host {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Ct,
        Self::Pump,
        Self::Laptop,
        Self::Segmentation,
        Self::Core,
        Self::Pacs,
        Self::C2,
        Self::Denied,
        Self::Vendor,
    ];
    /// Those behind a port of their own on the segmentation host.
    pub const DEVICES: [Self; 3] = [Self::Ct, Self::Pump, Self::Laptop];
    /// Those behind [`Host::Core`].
    pub const SITES: [Self; 4] = [Self::Pacs, Self::C2, Self::Denied, Self::Vendor];

    /// Its name, in namespaces and interfaces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ct => "ct",
            Self::Pump => "pump",
            Self::Laptop => "laptop",
            Self::Segmentation => "seg",
            Self::Core => "core",
            Self::Pacs => "pacs",
            Self::C2 => "c2",
            Self::Denied => "denied",
            Self::Vendor => "vendor",
        }
    }

    /// Its addresses; of routers, those that face the devices.
    #[must_use]
    pub const fn addresses(self) -> Addresses {
        match self {
            Self::Ct => addresses([10, 10, 0, 11], 0x10, 0x11),
            Self::Pump => addresses([10, 10, 0, 12], 0x10, 0x12),
            Self::Laptop => addresses([10, 10, 0, 66], 0x10, 0x66),
            Self::Segmentation => addresses([10, 10, 0, 1], 0x10, 1),
            Self::Core => addresses([10, 20, 255, 2], 0x20ff, 2),
            Self::Pacs => addresses([10, 20, 0, 10], 0x20, 0x10),
            Self::C2 => addresses([203, 0, 113, 9], 0xc2, 9),
            Self::Denied => addresses([192, 0, 2, 5], 0xde, 5),
            Self::Vendor => addresses([198, 51, 100, 7], 0xaa, 7),
        }
    }

    /// Its address of one version.
    #[must_use]
    pub const fn address(self, version: Version) -> IpAddr {
        self.addresses().of(version)
    }

    /// One of its ports.
    #[must_use]
    pub const fn at(self, version: Version, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(version), port)
    }

    /// The name in the inventory; `None` for what is no known device.
    #[must_use]
    pub const fn device(self) -> Option<&'static str> {
        match self {
            Self::Ct => Some("ct-1"),
            Self::Pump => Some("pump-1"),
            _ => None,
        }
    }

    /// Its hardware address, where the inventory or a reader of events is to know it.
    #[must_use]
    pub const fn mac(self) -> Option<&'static str> {
        match self {
            Self::Ct => Some("00:1b:21:00:00:11"),
            Self::Pump => Some("00:1b:21:00:00:12"),
            Self::Laptop => Some("3c:97:0e:00:00:66"),
            _ => None,
        }
    }
}

impl Version {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// As people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

impl Addresses {
    /// The one of this version.
    #[must_use]
    pub const fn of(self, version: Version) -> IpAddr {
        match version {
            Version::V4 => IpAddr::V4(self.v4),
            Version::V6 => IpAddr::V6(self.v6),
        }
    }
}

const fn addresses(v4: [u8; 4], subnet: u16, host: u16) -> Addresses {
    let [a, b, c, d] = v4;
    Addresses { v4: Ipv4Addr::new(a, b, c, d), v6: Ipv6Addr::new(0x2001, 0xdb8, subnet, 0, 0, 0, 0, host) }
}
