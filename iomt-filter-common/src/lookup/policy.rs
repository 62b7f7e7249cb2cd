//! What policy and inventory say of addresses, ports and rules.

use super::known::{Cells, Kind, Known};
use super::ranges::Ranges;
use super::{Lines, PrefixesV6, QUARTERS, quarter};
use crate::abi::{PEER_ANY, PEER_PROFILE, PeerClass, SERVICE_ANY};
use crate::addr::{Address, Mac};
use crate::packet::protocol;
use crate::policy::{RuleDirection, Service};

/// Protocols whose ports have a table of their own.
pub const WITH_PORTS: [u8; 3] = [protocol::TCP, protocol::UDP, protocol::SCTP];
/// Lines of a table of ports: a class of 16 bits for each.
pub const PORT_LINES: u32 = 65_536 / QUARTERS;
/// Lines of the table of protocols.
pub const PROTOCOL_LINES: u32 = 256 / QUARTERS;
/// Words in a line, of which each is a peer class.
const CLASSES: u32 = 8;

/// The tables of policy and inventory: 80 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Prefixes of IPv4, with the number of a peer class.
    pub peers_v4: Ranges,
    /// Prefixes of IPv6, likewise.
    pub peers_v6: PrefixesV6,
    /// First line of the peer classes, one a word; number 0 is none.
    pub classes: u32,
    /// First lines of the classes of ports, of the protocols in the order of [`WITH_PORTS`]; 0 where no rule names
    /// one.
    pub ports: [u32; WITH_PORTS.len()],
    /// First line of the classes of other protocols; 0 where no rule names one.
    pub protocols: u32,
    /// Devices and rules.
    pub known: Known,
}

/// The key of a hardware address.
#[inline(always)]
pub const fn hardware(mac: Mac, vlan: u16) -> [u64; 2] {
    [0, mac.number() << 16 | vlan as u64]
}

/// The key of a cell of the rule matrix.
#[inline(always)]
pub const fn cell(profile: u16, direction: RuleDirection, peer: u16, service: u16) -> [u64; 2] {
    [profile as u64, (direction as u64) << 32 | (peer as u64) << 16 | service as u64]
}

/// The key of the cells of a profile in a direction.
#[inline(always)]
pub const fn cells(profile: u16, direction: RuleDirection) -> [u64; 2] {
    cell(profile, direction, 0, 0)
}

/// A question to the rule matrix: who asks, and the classes of peer and service; `peer_profile` is 0 for a peer that
/// is no device.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Profile of the device that the rule belongs to.
    pub profile: u16,
    /// Whether the device or the peer opens.
    pub direction: RuleDirection,
    /// Class of the peer.
    pub peer: u16,
    /// Profile of the peer.
    pub peer_profile: u16,
    /// Class of the service.
    pub service: u16,
}

impl Asked {
    /// As two words, for functions that are verified on their own: the device's side, and the peer's.
    #[inline(always)]
    pub const fn words(&self) -> [u64; 2] {
        let device = (self.direction as u64) << 16 | self.profile as u64;
        [device, (self.peer_profile as u64) << 32 | (self.peer as u64) << 16 | self.service as u64]
    }

    /// As [`words`](Self::words) says.
    #[inline(always)]
    pub const fn from_words([device, peer]: [u64; 2]) -> Self {
        let is_to = device >> 16 == RuleDirection::To as u64;
        Self {
            profile: device as u16,
            direction: if is_to { RuleDirection::To } else { RuleDirection::From },
            peer: (peer >> 16) as u16,
            peer_profile: (peer >> 32) as u16,
            service: peer as u16,
        }
    }
}

/// The lowest rule in any of the cells that a question meets, 0 for none. `find` looks for a key.
#[inline(always)]
pub fn first_rule(asked: &Asked, find: impl Fn(Kind, [u64; 2]) -> u32) -> u32 {
    let Asked { profile, direction, peer, peer_profile, service } = *asked;
    let there = find(Kind::Cells, cells(profile, direction));
    let mut first = u32::MAX;
    let of_profile = if peer_profile == 0 { 0 } else { there & Cells::OF_PROFILES };
    for (sort, peer) in [
        (there & Cells::OF_CLASSES, peer),
        (there & Cells::OF_ANY, PEER_ANY),
        (of_profile, PEER_PROFILE | peer_profile),
    ] {
        if sort == 0 {
            continue;
        }
        if there & Cells::OF_SERVICES != 0 {
            let rule = find(Kind::Rule, cell(profile, direction, peer, service));
            first = first.min(rule.wrapping_sub(1));
        }
        if there & Cells::OF_ANY_SERVICE != 0 {
            let rule = find(Kind::Rule, cell(profile, direction, peer, SERVICE_ANY));
            first = first.min(rule.wrapping_sub(1));
        }
    }
    first.wrapping_add(1)
}

impl Policy {
    /// What rules know of an address, as [`PeerClass::word`].
    #[inline(always)]
    pub fn peer<L: Lines>(&self, lines: &L, address: Address) -> u64 {
        let number = if address.is_v4() {
            self.peers_v4.find(lines, address.low())
        } else {
            self.peers_v6.find(lines, address.words())
        };
        if number == 0 {
            return PeerClass::default().word();
        }
        let number = u32::from(number);
        lines.line(self.classes + number / CLASSES).map_or(0, |line| line[(number % CLASSES) as usize & 7])
    }

    /// The class of a service, 0 for none.
    #[inline(always)]
    pub fn service<L: Lines>(&self, lines: &L, service: Service) -> u16 {
        let (first, index) = match service.protocol {
            protocol::TCP => (self.ports[0], u32::from(service.port)),
            protocol::UDP => (self.ports[1], u32::from(service.port)),
            protocol::SCTP => (self.ports[2], u32::from(service.port)),
            other => (self.protocols, u32::from(other)),
        };
        if first == 0 {
            return 0;
        }
        lines.line(first + index / QUARTERS).map_or(0, |line| quarter(line, index % QUARTERS))
    }
}
