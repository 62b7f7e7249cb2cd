//! ARP, IPv4 and IPv6 headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum;
use super::transport::Transport;

/// What a frame carries.
#[derive(Clone, Debug)]
pub enum Internet {
    /// ARP.
    Arp(Arp),
    /// IPv4.
    V4(Ipv4),
    /// IPv6.
    V6(Ipv6),
    /// Anything, with its EtherType.
    Raw(u16, Vec<u8>),
}

/// An ARP packet (RFC 826).
#[derive(Clone, Debug)]
pub struct Arp {
    /// Hardware type, 1 for Ethernet.
    pub hardware: u16,
    /// Protocol type, 0x0800 for IPv4.
    pub protocol: u16,
    /// Lengths of the two kinds of address.
    pub lengths: (u8, u8),
    /// 1 asks, 2 answers.
    pub operation: u16,
    /// Sender's hardware address.
    pub sender_mac: [u8; 6],
    /// Sender's address.
    pub sender: Ipv4Addr,
    /// Target's hardware address.
    pub target_mac: [u8; 6],
    /// Target's address.
    pub target: Ipv4Addr,
}

/// An IPv4 header (RFC 791). `None` is the right value.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    /// Version.
    pub version: u8,
    /// Header length in words.
    pub header_words: Option<u8>,
    /// Length of the packet.
    pub total_length: Option<u16>,
    /// Identification.
    pub identification: u16,
    /// Do not fragment.
    pub dont_fragment: bool,
    /// More fragments.
    pub more_fragments: bool,
    /// Offset of the fragment in bytes; the three lowest bits are lost.
    pub fragment_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol number.
    pub protocol: Option<u8>,
    /// Header checksum.
    pub checksum: Option<u16>,
    /// Source.
    pub source: Ipv4Addr,
    /// Destination.
    pub destination: Ipv4Addr,
    /// Options; should fill words.
    pub options: Vec<u8>,
}

/// An IPv6 header (RFC 8200). `None` is the right value.
#[derive(Clone, Debug)]
pub struct Ipv6 {
    /// Version.
    pub version: u8,
    /// Length behind this header.
    pub payload_length: Option<u16>,
    /// Next header of this header.
    pub next_header: Option<u8>,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source.
    pub source: Ipv6Addr,
    /// Destination.
    pub destination: Ipv6Addr,
    /// Extension headers in order.
    pub extensions: Vec<Extension>,
}

/// An IPv6 extension header.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Its number.
    pub kind: u8,
    /// Second byte where it is not what the length of `body` says.
    pub length: Option<u8>,
    /// What follows the first two bytes; should fill eight bytes with them.
    pub body: Vec<u8>,
}

impl Extension {
    /// Hop-by-hop options that say nothing.
    pub fn hop_by_hop() -> Self {
        Self { kind: 0, length: None, body: vec![1, 4, 0, 0, 0, 0] }
    }

    /// Destination options that say nothing.
    pub fn destination_options() -> Self {
        Self { kind: 60, length: None, body: vec![1, 4, 0, 0, 0, 0] }
    }

    /// A routing header of a type, with no segment left.
    pub fn routing(kind: u8) -> Self {
        Self { kind: 43, length: None, body: vec![kind, 0, 0, 0, 0, 0] }
    }

    /// An authentication header with four words behind its fixed part.
    pub fn authentication() -> Self {
        Self { kind: 51, length: Some(4), body: vec![7; 22] }
    }

    /// A fragment header.
    pub fn fragment(identification: u32, offset: u16, more: bool) -> Self {
        let mut body = ((offset & !7) | u16::from(more)).to_be_bytes().to_vec();
        body.extend(identification.to_be_bytes());
        Self { kind: 44, length: Some(0), body }
    }

    fn write(&self, next: u8, bytes: &mut Vec<u8>) {
        let right = ((self.body.len() + 2) / 8).saturating_sub(1) as u8;
        bytes.extend([next, self.length.unwrap_or(right)]);
        bytes.extend(&self.body);
    }
}

impl Arp {
    pub(super) fn request(sender_mac: [u8; 6], sender: IpAddr, target: &str) -> Self {
        let sender = match sender {
            IpAddr::V4(v4) => v4,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        let target = target.parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
        Self {
            hardware: 1,
            protocol: 0x0800,
            lengths: (6, 4),
            operation: 1,
            sender_mac,
            sender,
            target_mac: [0; 6],
            target,
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.hardware.to_be_bytes());
        bytes.extend(self.protocol.to_be_bytes());
        bytes.extend([self.lengths.0, self.lengths.1]);
        bytes.extend(self.operation.to_be_bytes());
        bytes.extend(self.sender_mac);
        bytes.extend(self.sender.octets());
        bytes.extend(self.target_mac);
        bytes.extend(self.target.octets());
    }
}

impl Internet {
    pub(super) fn between(source: IpAddr, destination: IpAddr) -> Self {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Self::V4(Ipv4::between(source, destination)),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Self::V6(Ipv6::between(source, destination)),
            _ => unreachable!("one packet, one family"),
        }
    }

    /// Source and destination of an IP packet.
    pub const fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        match self {
            Self::V4(v4) => Some((IpAddr::V4(v4.source), IpAddr::V4(v4.destination))),
            Self::V6(v6) => Some((IpAddr::V6(v6.source), IpAddr::V6(v6.destination))),
            Self::Arp(_) | Self::Raw(..) => None,
        }
    }

    pub(super) const fn ethertype(&self) -> u16 {
        match self {
            Self::Arp(_) => 0x0806,
            Self::V4(_) => 0x0800,
            Self::V6(_) => 0x86dd,
            Self::Raw(ethertype, _) => *ethertype,
        }
    }

    pub(super) fn reverse(&mut self) {
        match self {
            Self::V4(v4) => std::mem::swap(&mut v4.source, &mut v4.destination),
            Self::V6(v6) => std::mem::swap(&mut v6.source, &mut v6.destination),
            Self::Arp(_) | Self::Raw(..) => {}
        }
    }

    pub(super) fn write(&self, transport: &Transport, bytes: &mut Vec<u8>) {
        match self {
            Self::Arp(arp) => arp.write(bytes),
            Self::V4(v4) => v4.write(transport, bytes),
            Self::V6(v6) => v6.write(transport, bytes),
            Self::Raw(_, payload) => bytes.extend(payload),
        }
    }
}

impl Ipv4 {
    fn between(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            version: 4,
            header_words: None,
            total_length: None,
            identification: 0x1234,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: None,
            checksum: None,
            source,
            destination,
            options: Vec::new(),
        }
    }

    fn write(&self, transport: &Transport, bytes: &mut Vec<u8>) {
        let payload = transport.bytes(self.source.into(), self.destination.into());
        let header_length = 20 + self.options.len();
        let words = self.header_words.unwrap_or((header_length / 4) as u8);
        let total_length = self.total_length.unwrap_or((header_length + payload.len()) as u16);
        let flags = (u16::from(self.dont_fragment) << 1) | u16::from(self.more_fragments);
        let fragment = (flags << 13) | (self.fragment_offset / 8);
        let mut header = vec![(self.version << 4) | (words & 0x0f), 0];
        header.extend(total_length.to_be_bytes());
        header.extend(self.identification.to_be_bytes());
        header.extend(fragment.to_be_bytes());
        header.extend([self.ttl, self.protocol.unwrap_or(transport.number(false)), 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(&self.options);
        let checksum = self.checksum.unwrap_or_else(|| checksum::internet(&[&header]));
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes.extend(header);
        bytes.extend(payload);
    }
}

impl Ipv6 {
    fn between(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            version: 6,
            payload_length: None,
            next_header: None,
            hop_limit: 64,
            source,
            destination,
            extensions: Vec::new(),
        }
    }

    fn write(&self, transport: &Transport, bytes: &mut Vec<u8>) {
        let mut payload = Vec::new();
        for (index, extension) in self.extensions.iter().enumerate() {
            let next = self.extensions.get(index + 1).map_or(transport.number(true), |next| next.kind);
            extension.write(next, &mut payload);
        }
        payload.extend(transport.bytes(self.source.into(), self.destination.into()));
        let first = self.extensions.first().map_or(transport.number(true), |first| first.kind);
        bytes.extend([self.version << 4, 0, 0, 0]);
        bytes.extend(self.payload_length.unwrap_or(payload.len() as u16).to_be_bytes());
        bytes.extend([self.next_header.unwrap_or(first), self.hop_limit]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        bytes.extend(payload);
    }
}
