//! TCP, UDP, SCTP, ICMP and ICMPv6 headers.

use std::net::IpAddr;

use super::checksum;

/// FIN.
pub const FIN: u8 = 0x01;
/// SYN.
pub const SYN: u8 = 0x02;
/// RST.
pub const RST: u8 = 0x04;
/// PSH.
pub const PSH: u8 = 0x08;
/// ACK.
pub const ACK: u8 = 0x10;

/// What an IP packet carries.
#[derive(Clone, Debug)]
pub enum Transport {
    /// TCP.
    Tcp(Tcp),
    /// UDP.
    Udp(Udp),
    /// SCTP.
    Sctp(Sctp),
    /// ICMP in IPv4, ICMPv6 in IPv6.
    Icmp(Icmp),
    /// Another protocol by its number.
    Raw(u8, Vec<u8>),
    /// Nothing; the frame is no IP packet.
    None,
}

/// A TCP segment (RFC 9293). `None` is the right value.
#[derive(Clone, Debug)]
pub struct Tcp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number.
    pub sequence: u32,
    /// What is acknowledged.
    pub acknowledged: u32,
    /// Window.
    pub window: u16,
    /// Header length in words.
    pub offset: Option<u8>,
    /// Flags.
    pub flags: u8,
    /// Checksum.
    pub checksum: Option<u16>,
    /// Options; should fill words.
    pub options: Vec<u8>,
    /// Data.
    pub body: Vec<u8>,
}

/// A UDP datagram (RFC 768). `None` is the right value.
#[derive(Clone, Debug)]
pub struct Udp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Length with the header.
    pub length: Option<u16>,
    /// Checksum.
    pub checksum: Option<u16>,
    /// Data.
    pub body: Vec<u8>,
}

/// An SCTP packet (RFC 9260).
#[derive(Clone, Debug)]
pub struct Sctp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Chunks.
    pub body: Vec<u8>,
}

/// An ICMP or ICMPv6 message in the shape of an echo.
#[derive(Clone, Debug)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Identifier.
    pub identifier: u16,
    /// Sequence number.
    pub sequence: u16,
    /// What follows.
    pub body: Vec<u8>,
}

impl Tcp {
    pub(super) const fn between(source: u16, destination: u16) -> Self {
        Self {
            source,
            destination,
            sequence: 1,
            acknowledged: 2,
            window: 0xffff,
            offset: None,
            flags: 0,
            checksum: None,
            options: Vec::new(),
            body: Vec::new(),
        }
    }
}

impl Udp {
    pub(super) fn between(source: u16, destination: u16) -> Self {
        Self { source, destination, length: None, checksum: None, body: vec![0x55; 4] }
    }
}

impl Transport {
    /// The IP protocol number.
    pub const fn number(&self, is_v6: bool) -> u8 {
        match self {
            Self::Tcp(_) => 6,
            Self::Udp(_) => 17,
            Self::Sctp(_) => 132,
            Self::Icmp(_) if is_v6 => 58,
            Self::Icmp(_) => 1,
            Self::Raw(number, _) => *number,
            Self::None => 59,
        }
    }

    pub(super) fn reverse(&mut self) {
        match self {
            Self::Tcp(tcp) => std::mem::swap(&mut tcp.source, &mut tcp.destination),
            Self::Udp(udp) => std::mem::swap(&mut udp.source, &mut udp.destination),
            Self::Sctp(sctp) => std::mem::swap(&mut sctp.source, &mut sctp.destination),
            Self::Icmp(_) | Self::Raw(..) | Self::None => {}
        }
    }

    /// Header and data, with the checksum that goes with these addresses.
    pub fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        match self {
            Self::Tcp(tcp) => tcp.bytes(source, destination),
            Self::Udp(udp) => udp.bytes(source, destination),
            Self::Sctp(sctp) => sctp.bytes(),
            Self::Icmp(icmp) => icmp.bytes(source, destination),
            Self::Raw(_, payload) => payload.clone(),
            Self::None => Vec::new(),
        }
    }
}

impl Tcp {
    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let words = self.offset.unwrap_or(((20 + self.options.len()) / 4) as u8);
        let mut bytes = self.source.to_be_bytes().to_vec();
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledged.to_be_bytes());
        bytes.extend([words << 4, self.flags]);
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0, 0, 0, 0]);
        bytes.extend(&self.options);
        bytes.extend(&self.body);
        let sum = self.checksum.unwrap_or_else(|| with_pseudo_header(source, destination, 6, &bytes));
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

impl Udp {
    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let length = self.length.unwrap_or((8 + self.body.len()) as u16);
        let mut bytes = self.source.to_be_bytes().to_vec();
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(&self.body);
        let sum = self.checksum.unwrap_or_else(|| {
            let sum = with_pseudo_header(source, destination, 17, &bytes);
            if sum == 0 { 0xffff } else { sum }
        });
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

impl Sctp {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.source.to_be_bytes().to_vec();
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend([0, 0, 0, 9, 0, 0, 0, 0]);
        bytes.extend(&self.body);
        let sum = checksum::crc32c(&bytes);
        bytes[8..12].copy_from_slice(&sum.to_le_bytes());
        bytes
    }
}

impl Icmp {
    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let mut bytes = vec![self.kind, self.code, 0, 0];
        bytes.extend(self.identifier.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(&self.body);
        let sum = match source {
            IpAddr::V4(_) => checksum::internet(&[&bytes]),
            IpAddr::V6(_) => with_pseudo_header(source, destination, 58, &bytes),
        };
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

fn with_pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, bytes: &[u8]) -> u16 {
    let mut pseudo = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(v4) => pseudo.extend(v4.octets()),
            IpAddr::V6(v6) => pseudo.extend(v6.octets()),
        }
    }
    pseudo.extend((bytes.len() as u32).to_be_bytes());
    pseudo.extend(u32::from(protocol).to_be_bytes());
    checksum::internet(&[&pseudo, bytes])
}
