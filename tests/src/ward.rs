//! A ward in network namespaces of its own, behind a segmentation host that routes or that only bridges.
//!
//! ```text
//!   ct       10.40.0.11 ──┐                          ┌── console   on the filter's uplink
//!   monitor  10.40.0.12 ──┤ seg ────────────────── core ── server    10.50.0.10
//!   pump     10.40.0.13 ──┤ (the filter)               ├── stranger  10.66.0.66
//!   laptop   10.40.0.66 ──┘                            └── narrow (MTU 1280) ── far  10.60.0.10
//! ```
//!
//! As a [`Placement::Router`], `seg` is the devices' gateway 10.40.0.1 and has 10.41.0.1 on its uplink. As a
//! [`Placement::Bridge`] it has no address at all: `core` is the gateway, and the console a neighbour of the
//! devices. Every host has an IPv6 address too. Without the filter everybody reaches everybody.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::hospital::Version;
use crate::hospital::filter::{Filter, Ports};
use crate::netns::{Namespace, Netns};

mod cables;
pub mod capture;
pub mod discovery;
pub mod frames;
pub mod lease;
pub mod mllp;
pub mod names;
pub mod passing;
pub mod sdc;
pub mod time;

/// The policy of the ward.
pub const POLICY: &str = include_str!("ward/files/policy.toml");
/// Its inventory; the laptop is not in it.
pub const DEVICES: &str = include_str!("ward/files/devices.toml");
/// The interface of every host that is no router.
pub const INTERFACE: &str = "eth0";

/// How the segmentation host stands between devices and the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It routes.
    Router,
    /// It bridges, and has no address.
    Bridge,
}

/// A host of the ward, or of the network around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Station {
    /// The CT scanner, `ct-1`.
    Ct,
    /// The patient monitor, `monitor-1`.
    Monitor,
    /// The infusion pump, `pump-1`.
    Pump,
    /// A laptop that nobody has heard of, on a device port.
    Laptop,
    /// The segmentation host, where the filter runs.
    Segmentation,
    /// The hospital's router.
    Core,
    /// A workstation on the link of the filter's uplink.
    Console,
    /// PACS, integration engine, name server.
    Server,
    /// A host that no policy names.
    Stranger,
    /// The router at the end of the link with the small MTU.
    Narrow,
    /// The host behind it.
    Far,
}

impl Station {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Ct,
        Self::Monitor,
        Self::Pump,
        Self::Laptop,
        Self::Segmentation,
        Self::Core,
        Self::Console,
        Self::Server,
        Self::Stranger,
        Self::Narrow,
        Self::Far,
    ];
    /// Those behind a device port of their own.
    pub const DEVICES: [Self; 4] = [Self::Ct, Self::Monitor, Self::Pump, Self::Laptop];

    /// Its name, in namespaces and interfaces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ct => "ct",
            Self::Monitor => "monitor",
            Self::Pump => "pump",
            Self::Laptop => "laptop",
            Self::Segmentation => "seg",
            Self::Core => "core",
            Self::Console => "console",
            Self::Server => "server",
            Self::Stranger => "stranger",
            Self::Narrow => "narrow",
            Self::Far => "far",
        }
    }

    /// The name in the inventory; `None` for what is no known device.
    #[must_use]
    pub const fn device(self) -> Option<&'static str> {
        match self {
            Self::Ct => Some("ct-1"),
            Self::Monitor => Some("monitor-1"),
            Self::Pump => Some("pump-1"),
            _ => None,
        }
    }

    /// Its hardware address, where the inventory or a test is to know it.
    #[must_use]
    pub const fn mac(self) -> Option<[u8; 6]> {
        match self {
            Self::Ct => Some([0x00, 0x1b, 0x21, 0x40, 0x00, 0x11]),
            Self::Monitor => Some([0x00, 0x1b, 0x21, 0x40, 0x00, 0x12]),
            Self::Pump => Some([0x00, 0x1b, 0x21, 0x40, 0x00, 0x13]),
            Self::Laptop => Some([0x3c, 0x97, 0x0e, 0x40, 0x00, 0x66]),
            _ => None,
        }
    }
}

/// The ward; gone when this value is.
#[derive(Debug)]
pub struct Ward {
    placement: Placement,
    stations: BTreeMap<Station, Namespace>,
    netns: Netns,
    folder: TempDir,
}

impl Ward {
    /// Builds it, with namespaces whose names begin with `prefix`.
    ///
    /// # Errors
    /// When the user is not root, or `ip` or the kernel refuses.
    pub fn build(prefix: &str, placement: Placement) -> Result<Self> {
        let mut netns = Netns::new(prefix);
        let folder = tempfile::Builder::new().prefix(&format!("{}-", netns.prefix())).tempdir();
        let folder = folder.context("failed to make a temporary folder")?;
        let mut stations = BTreeMap::new();
        for station in Station::ALL {
            stations.insert(station, netns.add(station.name())?);
        }
        let ward = Self { placement, stations, netns, folder };
        cables::connect(&ward)?;
        Ok(ward)
    }

    /// How the segmentation host stands in it.
    #[must_use]
    pub const fn placement(&self) -> Placement {
        self.placement
    }

    /// An address of a station.
    #[must_use]
    pub fn address(&self, station: Station, version: Version) -> IpAddr {
        let (subnet, host) = self.place(station);
        match version {
            Version::V4 => Ipv4Addr::new(10, subnet, 0, host).into(),
            Version::V6 => {
                let of = |number: u8| u16::from_str_radix(&number.to_string(), 16).unwrap_or(0);
                Ipv6Addr::new(0x2001, 0xdb8, of(subnet), 0, 0, 0, 0, of(host)).into()
            }
        }
    }

    /// A port of a station.
    #[must_use]
    pub fn at(&self, station: Station, version: Version, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(station, version), port)
    }

    /// The devices' gateway.
    #[must_use]
    pub const fn gateway(&self) -> Station {
        match self.placement {
            Placement::Router => Station::Segmentation,
            Placement::Bridge => Station::Core,
        }
    }

    /// Subnet and number in it; of routers, where devices are nearest.
    const fn place(&self, station: Station) -> (u8, u8) {
        let is_router = matches!(self.placement, Placement::Router);
        match station {
            Station::Ct => (40, 11),
            Station::Monitor => (40, 12),
            Station::Pump => (40, 13),
            Station::Laptop => (40, 66),
            Station::Segmentation => (40, 1),
            Station::Core if is_router => (41, 2),
            Station::Core => (40, 1),
            Station::Console if is_router => (41, 50),
            Station::Console => (40, 50),
            Station::Server => (50, 10),
            Station::Stranger => (66, 66),
            Station::Narrow => (61, 2),
            Station::Far => (60, 10),
        }
    }

    /// A folder for its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in its folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The filter on its ports, with the ward's policy and inventory, not started.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn filter(&self, binary: &Path) -> Result<Filter<'_>> {
        let names = Station::DEVICES.map(|device| format!("port-{}", device.name()));
        let device: Vec<_> = names.iter().map(String::as_str).collect();
        let segments = &["10.40.0.0/24", "2001:db8:40::/64"];
        let ports = Ports { device: &device, uplink: "uplink", segments };
        let place = (self.netns.prefix(), self.folder());
        let filter = Filter::install(&self[Station::Segmentation], place, binary, ports)?;
        if self.placement == Placement::Router {
            // The relay's own address lies among the devices', and is none's: what the DHCP server sends it
            // is for the host, as management is.
            let text = fs::read_to_string(filter.config())?;
            let server = self.address(Station::Server, Version::V4);
            let management =
                format!("\n[management]\nallow = [{{ ip = \"{server}\", ports = [\"67/udp\"] }}]\n");
            filter.write("config.toml", text + &management)?;
        }
        filter.write("policy.toml", POLICY)?;
        filter.write("devices.toml", DEVICES)?;
        Ok(filter)
    }
}

impl std::ops::Index<Station> for Ward {
    type Output = Namespace;

    fn index(&self, station: Station) -> &Namespace {
        &self.stations[&station]
    }
}
