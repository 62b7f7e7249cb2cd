//! What is asked, and what it means here: names become addresses and ports, and those a packet.
//!
//! A question and what is known of devices and names come in, the packet that opens goes out, or why there
//! is none. Never judges anything.

use std::net::IpAddr;

use iomt_filter_common::Mac;
use iomt_filter_common::device::Port;
use iomt_filter_common::packet::{TCP_SYN, protocol};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::events::tcp_flags;
use crate::frame::{self, Host, Sent, group_mac};
use crate::nearest::did_you_mean;
use crate::policy::Vocabulary;
use crate::policy::builtin;
use crate::policy::service::{PortRange, Services, has_ports};
use crate::rows::Rows;

/// May this device speak with that peer?
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// A device of the inventory.
    pub device: String,
    /// An address, a device, or an endpoint of the policy.
    pub peer: String,
    /// Whether the peer opens, and not the device.
    #[serde(default)]
    pub is_from: bool,
    /// What is opened, as rules name it.
    pub service: String,
    /// The port of whoever opens.
    pub source_port: Option<u16>,
    /// Which of the device's addresses.
    pub address: Option<IpAddr>,
    /// Letters of the TCP flags.
    pub flags: Option<String>,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QuestionError {
    /// Not in the inventory.
    #[error("no device `{name}`; {help}")]
    UnknownDevice {
        /// As asked.
        name: String,
        /// What to do next.
        help: String,
    },
    /// Neither an address nor a name that stands for one.
    #[error("`{name}` is no address, device or endpoint; {help}")]
    UnknownPeer {
        /// As asked.
        name: String,
        /// What to do next.
        help: String,
    },
    /// No service of that name.
    #[error("{message}; {help}")]
    UnknownService {
        /// What is wrong.
        message: String,
        /// What to do next.
        help: String,
    },
    /// A service that is no single one.
    #[error("`{0}` is every port there is; name one, as in `443/tcp`")]
    TooWide(String),
    /// ICMP of the other family.
    #[error("`{service}` is not what `{peer}` speaks; ask for `{other}`")]
    OtherFamily {
        /// As asked.
        service: String,
        /// Whom.
        peer: IpAddr,
        /// What that family has.
        other: &'static str,
    },
    /// The device has none that could speak with the peer.
    #[error(
        "`{device}` has no address of the family of `{peer}`; give it one in the inventory, or ask about another peer"
    )]
    NoAddress {
        /// The device.
        device: String,
        /// The peer.
        peer: IpAddr,
    },
    /// An address of somebody else.
    #[error("`{address}` is no address of `{device}`; it has {known}")]
    NotItsAddress {
        /// The device.
        device: String,
        /// As asked.
        address: IpAddr,
        /// Those that it has.
        known: String,
    },
    /// Not letters of TCP flags.
    #[error("`{0}` are no TCP flags; write letters of `FSRPAUEC`, as in `S` or `SA`")]
    BadFlags(String),
    /// What the protocol does not have.
    #[error("`{0}` has no `{1}`; leave it out")]
    Superfluous(String, &'static str),
}

/// What a question is understood by.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The devices.
    pub rows: &'a Rows,
    /// The names of the policy.
    pub vocabulary: &'a Vocabulary,
    /// Addresses behind the device ports.
    pub segments: &'a [IpNet],
}

/// A question with everything filled in.
#[derive(Clone, Debug)]
pub struct Scene {
    pub(super) opening: Sent,
    /// What was chosen where the question left a choice.
    pub(super) notes: Vec<String>,
}

impl Surroundings<'_> {
    /// The number of a device.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn device(&self, name: &str) -> Result<u32, QuestionError> {
        let names = &self.rows.names.devices;
        let found = names
            .iter()
            .find(|(number, known)| known.as_str() == name && self.rows.devices.contains_key(number));
        let known = || self.device_names();
        found.map(|(&number, _)| number).ok_or_else(|| QuestionError::UnknownDevice {
            name: name.to_owned(),
            help: did_you_mean(name, known()),
        })
    }

    /// The addresses that a peer's name may stand for, the most likely first.
    ///
    /// # Errors
    /// When it is no name that is known.
    pub fn peers(&self, name: &str) -> Result<Vec<IpAddr>, QuestionError> {
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(vec![address.to_canonical()]);
        }
        if let Some(networks) = self.vocabulary.endpoints.get(name) {
            return Ok(networks.iter().map(first_host).collect());
        }
        match self.device(name) {
            Ok(device) => Ok(self.bound(device)),
            Err(_) => {
                let endpoints = self.vocabulary.endpoints.keys().map(String::as_str);
                let known = self.device_names().into_iter().chain(endpoints);
                let help = did_you_mean(name, known.collect::<Vec<_>>());
                Err(QuestionError::UnknownPeer { name: name.to_owned(), help })
            }
        }
    }

    /// The packet that opens, where these addresses are `leased` beside those of the inventory.
    ///
    /// # Errors
    /// When something in the question means nothing here.
    pub fn understand(&self, question: &Question, leased: &[(u32, IpAddr)]) -> Result<Scene, QuestionError> {
        let mut notes = Vec::new();
        let device = self.device(&question.device)?;
        let mut peers = self.peers(&question.peer)?;
        let known_peer = self.device(&question.peer).ok();
        peers.extend(leased.iter().filter(|(number, _)| Some(*number) == known_peer).map(|(_, at)| *at));
        let mut own = self.bound(device);
        own.extend(leased.iter().filter(|(number, _)| *number == device).map(|(_, address)| *address));
        let (own, peer) = choose(question, &own, &peers)?;
        if question.peer.parse::<IpAddr>().is_err() {
            notes.push(format!("`{}` is taken as {peer}", question.peer));
        }
        let service = self.service(question, peer, &mut notes)?;

        let holder = |address: IpAddr| {
            let bound = self.rows.device_addresses.get(&address.into()).copied();
            bound.or_else(|| leased.iter().find(|(_, known)| *known == address).map(|(number, _)| *number))
        };
        let device_end = self.host(own, Some(device), 1);
        let peer_end = self.host(peer, holder(peer), 2);
        let (from, to) = if question.is_from { (peer_end, device_end) } else { (device_end, peer_end) };
        let source_port = source_port(question, &service)?;
        let destination_port = match service.protocol {
            // An echo and its answer carry one identifier.
            protocol::ICMP | protocol::ICMPV6 => source_port,
            _ => service.first,
        };
        let opening = Sent {
            from,
            to,
            protocol: service.protocol,
            source_port,
            destination_port,
            flags: flags(question, &service)?,
            is_answer: false,
        };
        Ok(Scene { opening, notes })
    }

    fn device_names(&self) -> Vec<&str> {
        self.rows.names.devices.values().map(String::as_str).collect()
    }

    fn bound(&self, device: u32) -> Vec<IpAddr> {
        let bound = self.rows.device_addresses.iter().filter(|(_, number)| **number == device);
        bound.map(|(&address, _)| address.into()).collect()
    }

    /// One port of one protocol.
    fn service(
        &self,
        question: &Question,
        peer: IpAddr,
        notes: &mut Vec<String>,
    ) -> Result<PortRange, QuestionError> {
        let text = question.service.as_str();
        let named = &self.vocabulary.services;
        let ranges = match named
            .get(text)
            .map(|services| services.ranges.clone())
            .or_else(|| builtin::service(text))
        {
            Some(ranges) => ranges,
            None => {
                let parsed = Services::parse(text, named).map_err(|error| QuestionError::UnknownService {
                    message: error.to_string(),
                    help: error.help(named),
                })?;
                parsed.ranges
            }
        };
        let range = *ranges.first().ok_or_else(|| QuestionError::TooWide(text.to_owned()))?;
        if has_ports(range.protocol) && range.first == 0 {
            return Err(QuestionError::TooWide(text.to_owned()));
        }
        let other = match (range.protocol, peer) {
            (protocol::ICMP, IpAddr::V6(_)) => Some("icmpv6"),
            (protocol::ICMPV6, IpAddr::V4(_)) => Some("icmp"),
            _ => None,
        };
        if let Some(other) = other {
            return Err(QuestionError::OtherFamily { service: text.to_owned(), peer, other });
        }
        let one = PortRange { last: range.first, ..range };
        if ranges.len() > 1 || range.last != range.first {
            let all: Vec<_> = ranges.iter().map(ToString::to_string).collect();
            notes.push(format!("`{text}` is {}; this is about {one}", all.join(", ")));
        }
        Ok(one)
    }

    fn host(&self, address: IpAddr, device: Option<u32>, seed: u8) -> Host {
        let row = device.and_then(|device| self.rows.devices.get(&device)).copied().unwrap_or_default();
        let group = group_mac(address);
        let is_inside = device.is_some() || self.segments.iter().any(|segment| segment.contains(&address));
        let is_taken = |mac| self.rows.device_macs.keys().any(|(taken, _)| *taken == mac);
        let stranger = || frame::stranger(seed, is_taken);
        let own = if row.mac == Mac::UNSET { stranger() } else { row.mac };
        Host {
            address,
            mac: group.unwrap_or(own),
            vlan: row.vlan,
            port: if is_inside && group.is_none() { Port::Device } else { Port::Uplink },
        }
    }
}

/// An address of the device and one of the peer that can speak with each other.
fn choose(question: &Question, own: &[IpAddr], peers: &[IpAddr]) -> Result<(IpAddr, IpAddr), QuestionError> {
    let device = question.device.clone();
    let first = *peers.first().ok_or_else(|| QuestionError::UnknownPeer {
        name: question.peer.clone(),
        help: "it has no address now; name one".into(),
    })?;
    if let Some(address) = question.address.map(|address| address.to_canonical()) {
        if !address.is_unspecified() && !own.contains(&address) {
            let known: Vec<_> = own.iter().map(|address| format!("`{address}`")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(QuestionError::NotItsAddress { device, address, known });
        }
        let peer = peers.iter().find(|peer| peer.is_ipv4() == address.is_ipv4());
        return peer.map(|&peer| (address, peer)).ok_or(QuestionError::NoAddress { device, peer: first });
    }
    let pairs = peers.iter().find_map(|&peer| {
        let own = own.iter().find(|own| own.is_ipv4() == peer.is_ipv4())?;
        Some((*own, peer))
    });
    pairs.ok_or(QuestionError::NoAddress { device, peer: first })
}

fn source_port(question: &Question, service: &PortRange) -> Result<u16, QuestionError> {
    match (question.source_port, has_ports(service.protocol)) {
        (Some(_), false) => Err(QuestionError::Superfluous(question.service.clone(), "--source-port")),
        (Some(port), true) => Ok(port),
        (None, _) => Ok(frame::source_port(service.protocol, service.first)),
    }
}

fn flags(question: &Question, service: &PortRange) -> Result<u8, QuestionError> {
    let is_tcp = service.protocol == protocol::TCP;
    let Some(text) = &question.flags else { return Ok(if is_tcp { TCP_SYN } else { 0 }) };
    if !is_tcp {
        return Err(QuestionError::Superfluous(question.service.clone(), "--flags"));
    }
    tcp_flags::bits(text).ok_or_else(|| QuestionError::BadFlags(text.clone()))
}

/// The first address that a host of the network can have.
fn first_host(network: &IpNet) -> IpAddr {
    network.hosts().next().unwrap_or_else(|| network.addr())
}
