//! TCP (RFC 9293), UDP (RFC 768), SCTP (RFC 9260), ICMP (RFC 792) and ICMPv6 (RFC 4443).
//!
//! Other protocols have no ports and pass through as their number.

use super::{Part, Unparsed, dhcp, quoted, u16_at};
use crate::packet::{Fragment, Kind, Packet, protocol};
use crate::reader::PacketReader;

const TCP_MIN_HEADER: u32 = 20;
const UDP_HEADER: u32 = 8;
const ICMP_HEADER: u32 = 8;

/// Reads the header that lies in `start..end`, where `end` is what the IP header says.
#[inline(always)]
pub(super) fn parse<R: PacketReader + ?Sized>(
    frame: &R,
    start: u32,
    end: u32,
    packet: &mut Packet,
) -> Result<u32, Unparsed> {
    let first_fragment = packet.fragment() as u8 == Fragment::First as u8;
    let cut_short = if first_fragment { Unparsed::Fragment } else { Unparsed::Malformed };
    let is_v4 = packet.kind() as u8 == Kind::Ipv4 as u8;
    let needed = match packet.protocol {
        protocol::TCP => TCP_MIN_HEADER,
        protocol::SCTP => 12,
        protocol::UDP => UDP_HEADER,
        protocol::ICMP if is_v4 => ICMP_HEADER,
        protocol::ICMPV6 if !is_v4 => ICMP_HEADER,
        _ => return Ok(end),
    };
    if start + needed > end {
        return Err(cut_short);
    }
    // What the packet holds and cannot be read lies behind a long chain of extension headers.
    let header = frame.read::<8>(start).ok_or(Unparsed::Unsupported)?;
    packet.transport_offset = start as u16;
    match packet.protocol {
        protocol::ICMP | protocol::ICMPV6 => {
            packet.icmp_type = header[0];
            packet.icmp_code = header[1];
            packet.source_port = u16_at(&header, 4);
            packet.destination_port = packet.source_port;
            packet.set_transport();
            return Ok(end);
        }
        _ => {
            packet.source_port = u16_at(&header, 0);
            packet.destination_port = u16_at(&header, 2);
        }
    }
    packet.set_transport();
    if packet.protocol == protocol::UDP {
        let length = u32::from(u16_at(&header, 4));
        if length < UDP_HEADER || (!first_fragment && start + length > end) {
            return Err(Unparsed::Malformed);
        }
    }
    if packet.protocol == protocol::TCP {
        let [offset, flags] = frame.read::<2>(start + 12).ok_or(Unparsed::Unsupported)?;
        packet.tcp_flags = flags;
        let header_length = u32::from(offset >> 4) * 4;
        if header_length < TCP_MIN_HEADER {
            return Err(Unparsed::Malformed);
        }
        if start + header_length > end {
            return Err(cut_short);
        }
    }
    Ok(end)
}

/// Reads what lies behind a transport header that has been read, in a packet that ends before `end`: DHCP, what an ICMP
/// error quotes, what neighbour discovery is about.
#[inline(always)]
pub(super) fn carried<R: PacketReader + ?Sized>(
    frame: &R,
    end: u32,
    packet: &mut Packet,
) -> Result<(), Unparsed> {
    if !packet.has_transport() {
        return Ok(());
    }
    let start = u32::from(packet.transport_offset);
    let is_v4 = packet.kind() as u8 == Kind::Ipv4 as u8;
    match packet.protocol {
        protocol::UDP if packet.fragment() as u8 == Fragment::Whole as u8 => {
            if let Some(part) = dhcp(packet, is_v4) {
                let length = frame.read::<2>(start + 4).ok_or(Unparsed::Unsupported)?;
                frame.run(part, start + UDP_HEADER, start + u32::from(u16_at(&length, 0)), packet)?;
            }
        }
        protocol::ICMP | protocol::ICMPV6 => {
            if !is_v4 && quoted::is_neighbour(packet.icmp_type) {
                frame.run(Part::Neighbour, start + ICMP_HEADER, end, packet)?;
            }
            if quoted::is_error(is_v4, packet.icmp_type) {
                frame.run(Part::Quoted, start + ICMP_HEADER, end, packet)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// How to read what UDP carries, where it is DHCP: what a client is sent, from whatever port, what it sends, and
/// in IPv4 what a server sends to a relay.
#[inline(always)]
const fn dhcp(packet: &Packet, is_v4: bool) -> Option<Part> {
    match (packet.source_port, packet.destination_port, is_v4) {
        (_, dhcp::CLIENT, true) | (dhcp::CLIENT | dhcp::SERVER, dhcp::SERVER, true) => Some(Part::Dhcp),
        (_, dhcp::V6_CLIENT, false) | (dhcp::V6_CLIENT, dhcp::V6_SERVER, false) => Some(Part::Dhcpv6),
        _ => None,
    }
}
