//! A model hospital as data: what an administrator would write down, before any compiler has seen it.
//!
//! One `World` says everything twice over: as it stands to the reference model, and projected
//! ([`text`](World::policy_toml) for the real compiler, [`rows`](World::rows) by a slow one of the
//! harness's own).

use std::net::IpAddr;

use iomt_filter_common::exception::Exception;
use iomt_filter_common::policy::{Mode, Otherwise};
use ipnet::IpNet;

use crate::packet::{End, Frame};

mod hospital;
mod rows;
mod text;

pub use hospital::hospital;

/// Policy, inventory, feeds and countries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// Frames of unknown devices.
    pub unknown_device: Otherwise,
    /// Frames that cannot be understood; `Drop` or `Pass`.
    pub unparsed: Otherwise,
    /// TCP seen without its SYN; `Drop` or `Pass`.
    pub midstream: Otherwise,
    /// Prefixes behind device ports.
    pub segments: Vec<IpNet>,
    /// The filter's own addresses.
    pub own: Vec<IpAddr>,
    /// Named sets of addresses.
    pub endpoints: Vec<Endpoint>,
    /// Profiles; the first is number 1.
    pub profiles: Vec<Profile>,
    /// Inventory; the first is number 1.
    pub devices: Vec<Device>,
    /// Management pairs.
    pub management: Vec<Management>,
    /// Protected pairs.
    pub protected: Vec<Protected>,
    /// Feeds; the first is number 1.
    pub feeds: Vec<Feed>,
    /// The country database; the longest prefix answers.
    pub countries: Vec<(IpNet, CountryCode)>,
    /// Access that ends by itself.
    pub grants: Vec<Grant>,
    /// When the agent was last heard of.
    pub heartbeat: Heartbeat,
    /// What holds by hand, by the name of the device; of every frame without one.
    pub exceptions: Vec<(Option<String>, Exception)>,
}

/// What is known of the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its last sign of life, in nanoseconds; 0 for never.
    pub last: u64,
    /// Seconds without one until it is lost; 0 for never.
    pub loss_after: u16,
}

/// Access for a device that ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The device's name.
    pub device: String,
    /// What it allows.
    pub rule: Rule,
    /// When it ends, in nanoseconds.
    pub expires: u64,
}

/// ISO 3166-1 alpha-2.
pub type CountryCode = [u8; 2];

/// A named set of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Its addresses and prefixes.
    pub addresses: Vec<IpNet>,
}

/// A profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its mode.
    pub mode: Mode,
    /// Score from which list entries block.
    pub block_score: u8,
    /// What it says of countries.
    pub geo: Option<Geo>,
    /// Allow rules in order.
    pub rules: Vec<Rule>,
    /// Whether a blocked TCP connection is reset.
    pub resets: bool,
    /// How much its devices may send and be sent.
    pub limits: Limits,
    /// Whether its devices are open while the agent is lost.
    pub open_on_agent_loss: bool,
    /// Whether its devices are open while the tables hold nothing of it.
    pub fails_open: bool,
    /// Whether the tables hold nothing of it.
    pub is_unset: bool,
}

/// Limits of a profile; `None` for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// What a device sends.
    pub from: Rates,
    /// What is sent to it.
    pub to: Rates,
    /// Its flows in a minute.
    pub flows: Option<u32>,
}

/// Limits of one direction, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Packets.
    pub packets: Option<u32>,
    /// New connections.
    pub connections: Option<u32>,
}

/// What a profile says of countries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geo {
    /// Whether the list says what is allowed, or what is denied.
    pub allow: bool,
    /// The list.
    pub list: Vec<CountryCode>,
    /// Whether addresses without an entry are allowed.
    pub unknown_allowed: bool,
}

/// An allow rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whether the device or the peer opens.
    pub opens: Opens,
    /// Who is at the other end.
    pub peer: Peer,
    /// What is opened; any of these.
    pub services: Vec<Service>,
}

/// Which end opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// `to`: the device.
    Device,
    /// `from`: the peer.
    Peer,
}

/// The other end of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Anybody.
    Any,
    /// An address or a prefix.
    Net(IpNet),
    /// An endpoint by name.
    Endpoint(String),
    /// The devices of a profile by name.
    Profile(String),
}

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Everything.
    Any,
    /// Ports of TCP, UDP or SCTP.
    Ports {
        /// IP protocol number.
        protocol: u8,
        /// First port.
        first: u16,
        /// Last port.
        last: u16,
    },
    /// An IP protocol, whatever its ports.
    Protocol(u8),
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Hardware address; none behind a router.
    pub mac: Option<[u8; 6]>,
    /// VLAN; none for any.
    pub vlan: Option<u16>,
    /// Bound addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether DHCP gives it addresses, beside those.
    pub by_dhcp: bool,
    /// Its profile by name.
    pub profile: String,
}

/// A management peer and the services that it may open anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Management {
    /// The peer.
    pub address: IpAddr,
    /// Its services.
    pub services: Vec<Service>,
}

/// A pair that no feed and no geo rule may cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// A device's name; a `*` at the end stands for the rest.
    pub device: String,
    /// The peer.
    pub peer: IpNet,
}

/// A threat list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Its name.
    pub name: String,
    /// Score of its entries.
    pub score: u8,
    /// Its entries.
    pub entries: Vec<IpNet>,
}

impl Protected {
    /// Whether the pattern covers a device.
    pub fn covers(&self, device: &str) -> bool {
        match self.device.strip_suffix('*') {
            Some(prefix) => device.starts_with(prefix),
            None => self.device == device,
        }
    }
}

impl Service {
    /// One TCP port.
    pub const fn tcp(port: u16) -> Self {
        Self::Ports { protocol: 6, first: port, last: port }
    }

    /// One UDP port.
    pub const fn udp(port: u16) -> Self {
        Self::Ports { protocol: 17, first: port, last: port }
    }

    /// Whether `port` of an IP protocol belongs to it.
    pub fn covers(self, protocol: u8, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Protocol(number) => number == protocol,
            Self::Ports { protocol: number, first, last } => {
                number == protocol && first <= port && port <= last
            }
        }
    }
}

impl Profile {
    /// A profile that blocks what is listed with the highest score, and says nothing else.
    pub fn of(name: &str, mode: Mode, rules: Vec<Rule>) -> Self {
        Self {
            name: name.to_owned(),
            mode,
            block_score: 100,
            geo: None,
            rules,
            resets: false,
            limits: Limits::default(),
            open_on_agent_loss: false,
            fails_open: false,
            is_unset: false,
        }
    }
}

impl Rule {
    /// The device may open `service` to `peer`.
    pub fn to(peer: Peer, service: Service) -> Self {
        Self { opens: Opens::Device, peer, services: vec![service] }
    }

    /// `peer` may open `service` to the device.
    pub fn from(peer: Peer, service: Service) -> Self {
        Self { opens: Opens::Peer, peer, services: vec![service] }
    }
}

impl World {
    /// What holds by hand, by the number of the device.
    pub fn numbered_exceptions(&self) -> impl Iterator<Item = (u32, Exception)> {
        (0..=self.devices.len()).map(|number| {
            let name = number.checked_sub(1).map(|index| self.devices[index].name.as_str());
            (number as u32, self.exception(name))
        })
    }

    /// What holds by hand of a device, or of every frame.
    pub fn exception(&self, device: Option<&str>) -> Exception {
        let found = self.exceptions.iter().find(|(name, _)| name.as_deref() == device);
        found.map(|(_, exception)| *exception).unwrap_or_default()
    }

    /// The profile of this name.
    pub fn profile(&self, name: &str) -> &Profile {
        let found = self.profiles.iter().find(|profile| profile.name == name);
        found.unwrap_or_else(|| unreachable!("no profile `{name}`"))
    }

    /// The same world with another mode for a profile.
    pub fn with_mode(mut self, profile: &str, mode: Mode) -> Self {
        for candidate in &mut self.profiles {
            if candidate.name == profile {
                candidate.mode = mode;
            }
        }
        self
    }

    /// A device's end, with its first IPv4 address.
    pub fn v4(&self, device: &str) -> End {
        self.end(device, IpAddr::is_ipv4)
    }

    /// A device's end, with its first IPv6 address.
    pub fn v6(&self, device: &str) -> End {
        self.end(device, IpAddr::is_ipv6)
    }

    /// A frame from a device's first IPv4 address.
    pub fn from(&self, device: &str) -> Frame {
        Frame::from(self.v4(device))
    }

    fn end(&self, name: &str, family: fn(&IpAddr) -> bool) -> End {
        let device = self.devices.iter().find(|device| device.name == name);
        let device = device.unwrap_or_else(|| unreachable!("no device `{name}`"));
        let address = device.addresses.iter().copied().find(family);
        let address = address.unwrap_or_else(|| unreachable!("`{name}` has no address of that family"));
        End { mac: device.mac.unwrap_or(crate::packet::ROUTER), address, vlan: device.vlan }
    }
}

/// A prefix or an address, as it is usually written.
pub fn net(text: &str) -> IpNet {
    let parsed = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    parsed.unwrap_or_else(|_| unreachable!("no prefix: `{text}`"))
}
