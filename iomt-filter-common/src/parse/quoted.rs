//! What ICMP carries of others: the packet that an error is about (RFC 792, RFC 4443 §2.4), the target of
//! neighbour discovery.

use super::{ipv6, u16_at};
use crate::addr::{Address, Mac};
use crate::packet::{Kind, Packet, protocol};
use crate::reader::PacketReader;

const IPV4_HEADER: u32 = 20;
const IPV6_HEADER: u32 = 40;
const OFFSET_MASK: u16 = 0x1fff;
const ROUTER_SOLICITATION: u8 = 133;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_ADDRESS: u8 = 1;
const TARGET_ADDRESS: u8 = 2;

/// Whether an ICMP type reports what became of another packet: unreachable, time exceeded, parameter
/// problem, and packet too big, without which path MTU discovery fails. A redirect is none of them.
#[inline(always)]
pub(super) const fn is_error(is_v4: bool, icmp_type: u8) -> bool {
    if is_v4 { matches!(icmp_type, 3 | 11 | 12) } else { matches!(icmp_type, 1..=4) }
}

/// Reads the packet quoted in `start..end` as far as a flow needs it. Nothing is noted of one that did
/// not come from where the error goes to, or whose ports cannot be read.
#[inline(always)]
pub(super) fn read<R: PacketReader + ?Sized>(frame: &R, start: u32, end: u32, packet: &mut Packet) -> u32 {
    let is_v4 = packet.kind() as u8 == Kind::Ipv4 as u8;
    let (source, number, transport) = if is_v4 {
        let Some(header) = frame.read::<20>(start) else { return end };
        if header[0] >> 4 != 4 || u16_at(&header, 6) & OFFSET_MASK != 0 {
            return end;
        }
        let source = Address::from_v4([header[12], header[13], header[14], header[15]]);
        packet.quoted_destination = Address::from_v4([header[16], header[17], header[18], header[19]]);
        let length = u32::from(header[0] & 0x0f) * 4;
        if length < IPV4_HEADER {
            return end;
        }
        (source, header[9], start + length)
    } else {
        let Some(header) = frame.read::<40>(start) else { return end };
        if header[0] >> 4 != 6 {
            return end;
        }
        let mut address = [0; 16];
        address.copy_from_slice(&header[24..40]);
        packet.quoted_destination = Address::from_v6(address);
        address.copy_from_slice(&header[8..24]);
        let source = Address::from_v6(address);
        let Some((number, transport)) = behind_extensions(frame, header[6], start + IPV6_HEADER) else {
            return end;
        };
        (source, number, transport)
    };
    if source != packet.destination || transport + 8 > end {
        return end;
    }
    let Some(header) = frame.read::<8>(transport) else { return end };
    let is_echo = if is_v4 { matches!(header[0], 0 | 8) } else { matches!(header[0], 128 | 129) };
    let (source_port, destination_port) = match number {
        protocol::TCP | protocol::UDP | protocol::SCTP => (u16_at(&header, 0), u16_at(&header, 2)),
        protocol::ICMP | protocol::ICMPV6 if is_echo => (u16_at(&header, 4), u16_at(&header, 4)),
        protocol::ICMP | protocol::ICMPV6 => return end,
        _ => (0, 0),
    };
    packet.quoted_source_port = source_port;
    packet.quoted_destination_port = destination_port;
    packet.quoted_protocol = number;
    end
}

/// Extension headers of a quoted packet that are walked over.
const EXTENSIONS: u32 = 3;

/// The upper-layer protocol of a quoted packet of IPv6, and where its header begins; nothing of a later fragment.
#[inline(always)]
fn behind_extensions<R: PacketReader + ?Sized>(frame: &R, first: u8, start: u32) -> Option<(u8, u32)> {
    let (mut number, mut at) = (first, start);
    for _ in 0..EXTENSIONS {
        if !ipv6::is_extension(number) {
            break;
        }
        let header = frame.read::<8>(at)?;
        if number == ipv6::FRAGMENT && u16_at(&header, 2) & !7 != 0 {
            return None;
        }
        at += ipv6::extension_length(number, header[1]);
        number = header[0];
    }
    if ipv6::is_extension(number) { None } else { Some((number, at)) }
}

/// Options of neighbour discovery that are looked at. Who sends more is believed nothing.
const OPTIONS: u32 = 12;

/// Reads what neighbour discovery is about: its target, where it has one, and the hardware address in its
/// options, of which any other than the frame's own counts (RFC 4861 §4.1, §4.3, §4.4, §4.6.1).
#[inline(always)]
pub(super) fn neighbour<R: PacketReader + ?Sized>(
    frame: &R,
    start: u32,
    end: u32,
    packet: &mut Packet,
) -> u32 {
    packet.sender_mac = packet.source_mac;
    let mut at = start;
    if matches!(packet.icmp_type, SOLICITATION | ADVERTISEMENT) {
        at += 16;
        if at > end {
            return end;
        }
        let Some(target) = frame.read::<16>(start) else { return end };
        packet.quoted_destination = Address::from_v6(target);
    }
    for _ in 0..OPTIONS {
        if at + 8 > end {
            return end;
        }
        let Some(option) = frame.read::<8>(at) else { return end };
        let mac = Mac([option[2], option[3], option[4], option[5], option[6], option[7]]);
        if matches!(option[0], SOURCE_ADDRESS | TARGET_ADDRESS) && mac != packet.source_mac {
            packet.sender_mac = mac;
        }
        if option[1] == 0 {
            return end; // to be discarded by whoever receives it (RFC 4861 §4.6)
        }
        at += u32::from(option[1]) * 8;
    }
    if at + 8 <= end {
        packet.sender_mac = Mac::UNSET;
    }
    end
}

/// Whether an ICMPv6 type says at which hardware address somebody is.
#[inline(always)]
pub(crate) const fn is_neighbour(icmp_type: u8) -> bool {
    matches!(icmp_type, ROUTER_SOLICITATION | SOLICITATION | ADVERTISEMENT)
}
