//! A packet as the invariants see it: who to whom, with which ports, and what an error is about.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::judge::Observed;

/// Ends, ports and protocol, from the sender's side; of an ICMP query the identifier twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tuple {
    pub(super) source: (IpAddr, u16),
    pub(super) destination: (IpAddr, u16),
    pub(super) protocol: u8,
}

impl Tuple {
    /// What an answer looks like.
    pub(super) const fn reversed(self) -> Self {
        Self { source: self.destination, destination: self.source, protocol: self.protocol }
    }
}

/// A packet that was read to its ports, or a later fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) tuple: Tuple,
    /// TCP with SYN alone, or an echo request: it answers nothing.
    pub(super) opens: bool,
    /// Identification and offset of a fragment.
    pub(super) fragment: Option<(u32, u16)>,
    /// What an ICMP error is about, where it was sent by whoever is told.
    pub(super) quoted: Option<Tuple>,
    /// Router and neighbour discovery.
    pub(super) is_discovery: bool,
}

impl Seen {
    /// Of an IP packet; nothing of all that is none, or was not read.
    pub(super) fn of(frame: &[u8], observed: &Observed) -> Option<Self> {
        let fields = &observed.fields;
        let (source, destination) = fields.addresses.filter(|_| fields.version != 0)?;
        let (source_port, destination_port) = fields.ports;
        let tuple = Tuple {
            source: (source, source_port),
            destination: (destination, destination_port),
            protocol: fields.protocol,
        };
        let is_icmp = matches!((fields.version, fields.protocol), (4, 1) | (6, 58));
        let opens = match fields.protocol {
            6 => fields.tcp_flags & 0x12 == 0x02,
            _ => is_icmp && matches!((fields.version, fields.icmp.0), (4, 8 | 13) | (6, 128)),
        };
        let is_error = is_icmp && matches!((fields.version, fields.icmp.0), (4, 3 | 11 | 12) | (6, 1..=4));
        let quoted = if is_error { quoted(frame, fields.vlan.len(), fields.version) } else { None };
        let is_discovery = is_icmp && fields.version == 6 && matches!(fields.icmp.0, 133..=137);
        let is_later = fields.fragment.is_some_and(|(_, offset)| offset != 0);
        Some(Self {
            tuple,
            opens,
            fragment: fields.fragment,
            quoted: quoted.filter(|_| !is_later),
            is_discovery: is_discovery && !is_later,
        })
    }

    pub(super) fn is_later(&self) -> bool {
        self.fragment.is_some_and(|(_, offset)| offset != 0)
    }
}

/// The packet behind the header of an ICMP error, in a frame with so many tags.
fn quoted(frame: &[u8], tags: usize, version: u8) -> Option<Tuple> {
    let packet = frame.get(14 + 4 * tags..)?;
    let message = match version {
        4 => packet.get(usize::from(packet.first()? & 0x0f) * 4..)?,
        _ => behind_extensions(packet)?.1,
    };
    tuple(message.get(8..)?, version)
}

fn tuple(packet: &[u8], version: u8) -> Option<Tuple> {
    let (source, destination, protocol, transport) = match version {
        4 => (
            IpAddr::from(Ipv4Addr::from(array::<4>(packet.get(12..)?)?)),
            IpAddr::from(Ipv4Addr::from(array::<4>(packet.get(16..)?)?)),
            *packet.get(9)?,
            packet.get(usize::from(packet.first()? & 0x0f) * 4..)?,
        ),
        _ => {
            let source = Ipv6Addr::from(array::<16>(packet.get(8..)?)?);
            let destination = Ipv6Addr::from(array::<16>(packet.get(24..)?)?);
            let (protocol, transport) = behind_extensions(packet)?;
            (source.into(), destination.into(), protocol, transport)
        }
    };
    let word = |at: usize| Some(u16::from_be_bytes(array::<2>(transport.get(at..)?)?));
    let ports = match protocol {
        6 | 17 | 132 => (word(0)?, word(2)?),
        1 | 58 => (word(4)?, word(4)?),
        _ => (0, 0),
    };
    Some(Tuple { source: (source, ports.0), destination: (destination, ports.1), protocol })
}

/// The protocol of an IPv6 packet, and what follows its extension headers.
fn behind_extensions(packet: &[u8]) -> Option<(u8, &[u8])> {
    let (mut next, mut rest) = (*packet.get(6)?, packet.get(40..)?);
    while matches!(next, 0 | 43 | 44 | 51 | 60) {
        let length = usize::from(*rest.get(1)?);
        let length = match next {
            44 => 8,
            51 => 4 * length + 8,
            _ => 8 * length + 8,
        };
        next = *rest.first()?;
        rest = rest.get(length..)?;
    }
    Some((next, rest))
}

fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk().copied()
}
