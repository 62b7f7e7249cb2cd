//! The model's own reading of a frame: slices that get shorter, layer by layer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use iomt_filter_common::Reason;

use super::dhcp::{self, Dhcp};
use super::quoted;
use crate::judge::Fields;

/// What a frame is.
#[derive(Clone, Debug)]
pub(super) enum What {
    Unreadable(Reason),
    LaterFragment(Piece),
    Link,
    Arp { sender_mac: [u8; 6], sender: IpAddr },
    Ip(Ip),
}

/// An IP packet that was read to its transport header.
#[derive(Clone, Debug)]
pub(super) struct Ip {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) hop_limit: u8,
    pub(super) is_whole: bool,
    pub(super) first_piece: Option<Piece>,
    pub(super) quoted: Option<Quoted>,
    /// Of neighbour discovery: the target, and the hardware address that it names.
    pub(super) neighbour: Option<(IpAddr, [u8; 6])>,
    pub(super) dhcp: Option<Dhcp>,
    transport: Transport,
}

/// A fragment: which packet it belongs to, and which bytes of it it holds.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) packet: (IpAddr, IpAddr, u32, u8),
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) hop_limit: u8,
}

/// The packet that an ICMP error is about: who it went to, and its protocol and ports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted {
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) ports: (u16, u16),
}

#[derive(Clone, Copy, Debug)]
enum Transport {
    Ports { source: u16, destination: u16, tcp_flags: u8 },
    Icmp { kind: u8, code: u8, identifier: u16 },
    None,
}

impl Ip {
    /// Ports; of ICMP the identifier twice.
    pub(super) const fn ports(&self) -> (u16, u16) {
        match self.transport {
            Transport::Ports { source, destination, .. } => (source, destination),
            Transport::Icmp { identifier, .. } => (identifier, identifier),
            Transport::None => (0, 0),
        }
    }

    pub(super) const fn is_tcp(&self) -> bool {
        self.protocol == 6
    }

    /// A later fragment as its first one was read.
    pub(super) fn continued(&self, piece: &Piece) -> Self {
        Self {
            hop_limit: piece.hop_limit,
            is_whole: false,
            first_piece: None,
            quoted: None,
            dhcp: None,
            ..self.clone()
        }
    }

    /// Whether it is a later fragment.
    pub(super) const fn is_rest(&self) -> bool {
        !self.is_whole && self.first_piece.is_none()
    }

    /// SYN without ACK.
    pub(super) fn opens_tcp(&self) -> bool {
        self.is_tcp() && self.flags() & 0x12 == 0x02
    }

    pub(super) const fn has_fin(&self) -> bool {
        self.flags() & 0x01 != 0
    }

    pub(super) const fn has_rst(&self) -> bool {
        self.flags() & 0x04 != 0
    }

    /// ACK without RST and SYN.
    pub(super) const fn goes_on(&self) -> bool {
        self.flags() & 0x16 == 0x10
    }

    const fn flags(&self) -> u8 {
        match self.transport {
            Transport::Ports { tcp_flags, .. } => tcp_flags,
            Transport::Icmp { .. } | Transport::None => 0,
        }
    }

    pub(super) const fn icmp_kind(&self) -> Option<u8> {
        match self.transport {
            Transport::Icmp { kind, .. } => Some(kind),
            Transport::Ports { .. } | Transport::None => None,
        }
    }

    /// Of ICMP only what asks for an echo or the time opens a conversation.
    pub(super) fn may_open(&self) -> bool {
        let asks: &[u8] = if self.source.is_ipv4() { &[8, 13] } else { &[128] };
        self.icmp_kind().is_none_or(|kind| asks.contains(&kind))
    }

    /// Of ICMP only the answer to that answers; TCP that opens answers nothing.
    pub(super) fn may_answer(&self) -> bool {
        let answers: &[u8] = if self.source.is_ipv4() { &[0, 14] } else { &[129] };
        self.icmp_kind().is_none_or(|kind| answers.contains(&kind)) && !self.opens_tcp()
    }
}

const MALFORMED: What = What::Unreadable(Reason::Malformed);
const UNSUPPORTED: What = What::Unreadable(Reason::Unsupported);

/// Reads a frame.
pub(super) fn read(bytes: &[u8]) -> (Fields, What) {
    let mut fields = Fields { length: bytes.len() as u32, ..Fields::default() };
    let what = ethernet(bytes, &mut fields);
    match &what {
        What::Ip(ip) => {
            fields.protocol = ip.protocol;
            fields.ports = ip.ports();
            fields.tcp_flags = ip.flags();
            if let Transport::Icmp { kind, code, .. } = ip.transport {
                fields.icmp = (kind, code);
            }
        }
        What::Unreadable(_) | What::Link => {
            let Fields { length, macs, vlan, fragment, .. } = fields;
            fields = Fields { length, macs, vlan, fragment, ..Fields::default() };
        }
        What::LaterFragment(_) | What::Arp { .. } => {}
    }
    (fields, what)
}

fn ethernet(bytes: &[u8], fields: &mut Fields) -> What {
    let Some((header, mut rest)) = bytes.split_at_checked(14) else { return MALFORMED };
    fields.macs = (six(&header[6..]), six(header));
    let mut kind = u16_of(&header[12..]);
    while matches!(kind, 0x8100 | 0x88a8 | 0x9100) {
        if fields.vlan.len() == 2 {
            return UNSUPPORTED;
        }
        let Some((tag, behind)) = rest.split_at_checked(4) else { return MALFORMED };
        fields.vlan.push(u16_of(tag) % 4096);
        kind = u16_of(&tag[2..]);
        rest = behind;
    }
    match kind {
        0x0800 => ipv4(rest, fields),
        0x86dd => ipv6(rest, fields),
        0x0806 => arp(rest, fields),
        0x888e | 0x88cc | 0x88f7 => What::Link,
        0x8809 if matches!(rest.first(), Some(1 | 2)) => What::Link,
        0..0x0600 if header[..6] == [1, 0x80, 0xc2, 0, 0, 0] && rest.starts_with(&[0x42, 0x42, 3]) => {
            What::Link
        }
        _ => What::Unreadable(Reason::NotIp),
    }
}

fn arp(rest: &[u8], fields: &mut Fields) -> What {
    // Ethernet by its own number or by that of all IEEE 802 networks.
    if rest.len() < 28 || !matches!(rest[..6], [0, 1 | 6, 8, 0, 6, 4]) {
        return MALFORMED;
    }
    let sender = v4(&rest[14..]);
    fields.addresses = Some((sender, v4(&rest[24..])));
    What::Arp { sender_mac: six(&rest[8..]), sender }
}

fn ipv4(rest: &[u8], fields: &mut Fields) -> What {
    if rest.len() < 20 || rest[0] >> 4 != 4 {
        return MALFORMED;
    }
    let header = usize::from(rest[0] % 16) * 4;
    let total = usize::from(u16_of(&rest[2..]));
    if header < 20 || total < header || total > rest.len() {
        return MALFORMED;
    }
    let (source, destination) = (v4(&rest[12..]), v4(&rest[16..]));
    fields.version = 4;
    fields.addresses = Some((source, destination));
    fields.hop_limit = rest[8];
    fields.protocol = rest[9];
    let (more, offset) = (rest[6] & 0x20 != 0, u16_of(&rest[6..]) % 0x2000 * 8);
    let identification = u32::from(u16_of(&rest[4..]));
    let piece = Piece {
        packet: (source, destination, identification, rest[9]),
        start: u32::from(offset),
        end: u32::from(offset) + (total - header) as u32,
        hop_limit: rest[8],
    };
    if more || offset != 0 {
        fields.fragment = Some((identification, offset));
        if piece.end > 65_535 {
            return MALFORMED;
        }
    }
    if let Some(reason) = bad_options(&rest[20..header]) {
        return What::Unreadable(reason);
    }
    if offset != 0 {
        return possible(What::LaterFragment(piece), source, destination);
    }
    let ip = Ip {
        source,
        destination,
        protocol: rest[9],
        hop_limit: rest[8],
        is_whole: !more,
        first_piece: more.then_some(piece),
        quoted: None,
        neighbour: None,
        dhcp: None,
        transport: Transport::None,
    };
    possible(transport(&rest[header..total], ip, fields.macs.0), source, destination)
}

fn ipv6(rest: &[u8], fields: &mut Fields) -> What {
    if rest.len() < 40 || rest[0] >> 4 != 6 {
        return MALFORMED;
    }
    let Some(mut payload) = rest.get(40..40 + usize::from(u16_of(&rest[4..]))) else { return MALFORMED };
    let (source, destination) = (v6(&rest[8..]), v6(&rest[24..]));
    if [source, destination].iter().any(|address| address.to_ipv4_mapped().is_some()) {
        return MALFORMED;
    }
    let (source, destination) = (IpAddr::V6(source), IpAddr::V6(destination));
    fields.version = 6;
    fields.addresses = Some((source, destination));
    fields.hop_limit = rest[7];
    let mut next = rest[6];
    if next == 0 && payload.is_empty() {
        return UNSUPPORTED;
    }
    let mut first_piece = None;
    let mut walked = 0;
    while matches!(next, 0 | 43 | 44 | 51 | 60) {
        if walked == 8 {
            return UNSUPPORTED;
        }
        // Every header of a packet belongs into its first fragment.
        let cut_off = if first_piece.is_some() { Reason::Fragment } else { Reason::Malformed };
        let [following, length, ..] = *payload else { return What::Unreadable(cut_off) };
        let length = match next {
            44 => 8,
            51 => usize::from(length) * 4 + 8,
            _ => usize::from(length) * 8 + 8,
        };
        if length > payload.len() {
            return What::Unreadable(cut_off);
        }
        if (next == 0 && walked > 0) || (next == 43 && payload[2] == 0) {
            return MALFORMED;
        }
        if next == 43 && payload[3] != 0 {
            return UNSUPPORTED;
        }
        if next == 44 {
            let (offset, more) = (u16_of(&payload[2..]) / 8 * 8, payload[3] & 1 == 1);
            if more || offset != 0 {
                let identification = u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]);
                fields.fragment = Some((identification, offset));
                let piece = Piece {
                    packet: (source, destination, identification, 0),
                    start: u32::from(offset),
                    end: u32::from(offset) + payload.len() as u32 - 8,
                    hop_limit: rest[7],
                };
                if piece.end > 65_535 {
                    return MALFORMED;
                }
                if offset != 0 {
                    fields.protocol = following;
                    return possible(What::LaterFragment(piece), source, destination);
                }
                first_piece = Some(piece);
            }
        }
        next = following;
        payload = &payload[length..];
        walked += 1;
    }
    let ip = Ip {
        source,
        destination,
        protocol: next,
        hop_limit: rest[7],
        is_whole: first_piece.is_none(),
        first_piece,
        quoted: None,
        neighbour: None,
        dhcp: None,
        transport: Transport::None,
    };
    possible(transport(payload, ip, fields.macs.0), source, destination)
}

/// Refuses what nobody honest sends: from a group, loopback, to nobody, to oneself, port 0.
fn possible(what: What, source: IpAddr, destination: IpAddr) -> What {
    let from_group = source.is_multicast() || source == IpAddr::from([255; 4]);
    let looped = source.is_loopback() || destination.is_loopback();
    let bad_ports = match &what {
        What::Ip(ip) => match (ip.protocol, ip.transport) {
            (6 | 132, Transport::Ports { source, destination, .. }) => source == 0 || destination == 0,
            (17, Transport::Ports { destination, .. }) => destination == 0,
            _ => false,
        },
        _ => false,
    };
    let impossible =
        from_group || looped || destination.is_unspecified() || source == destination || bad_ports;
    match what {
        What::Ip(_) | What::LaterFragment(_) if impossible => MALFORMED,
        what => what,
    }
}

/// What is wrong with options: lengths that do not add up, source routes.
fn bad_options(mut options: &[u8]) -> Option<Reason> {
    loop {
        match *options {
            [] | [0, ..] => return None,
            [1, ..] => options = &options[1..],
            [0x83 | 0x89, ..] => return Some(Reason::Malformed),
            [_, length, ..] if length >= 2 && usize::from(length) <= options.len() => {
                options = &options[usize::from(length)..];
            }
            _ => return Some(Reason::Malformed),
        }
    }
}

/// Reads the transport header from the packet's own bytes; padding is not among them.
fn transport(bytes: &[u8], mut ip: Ip, own_mac: [u8; 6]) -> What {
    let is_first = ip.first_piece.is_some();
    let cut_short = What::Unreadable(if is_first { Reason::Fragment } else { Reason::Malformed });
    let minimum = match (ip.protocol, ip.source.is_ipv4()) {
        (6, _) => 20,
        (132, _) => 12,
        (17, _) | (1, true) | (58, false) => 8,
        _ => return What::Ip(ip),
    };
    if bytes.len() < minimum {
        return cut_short;
    }
    let ports =
        |tcp_flags| Transport::Ports { source: u16_of(bytes), destination: u16_of(&bytes[2..]), tcp_flags };
    let mut datagram: &[u8] = &[];
    ip.transport = match ip.protocol {
        6 => {
            let header = usize::from(bytes[12] / 16) * 4;
            if header < 20 {
                return MALFORMED;
            }
            if header > bytes.len() {
                return cut_short;
            }
            ports(bytes[13])
        }
        17 => {
            let length = usize::from(u16_of(&bytes[4..]));
            if length < 8 || (length > bytes.len() && !is_first) {
                return MALFORMED;
            }
            datagram = bytes.get(8..length).unwrap_or_default();
            ports(0)
        }
        132 => ports(0),
        _ => Transport::Icmp { kind: bytes[0], code: bytes[1], identifier: u16_of(&bytes[4..]) },
    };
    ip.quoted = quoted::read(&ip, &bytes[8..]);
    ip.neighbour = quoted::neighbour(&ip, &bytes[8..], own_mac);
    ip.dhcp = dhcp::read(&ip, datagram);
    What::Ip(ip)
}

pub(super) fn u16_of(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

fn six(bytes: &[u8]) -> [u8; 6] {
    std::array::from_fn(|index| bytes[index])
}

pub(super) fn v4(bytes: &[u8]) -> IpAddr {
    Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()
}

pub(super) fn v6(bytes: &[u8]) -> Ipv6Addr {
    Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(|index| bytes[index]))
}
