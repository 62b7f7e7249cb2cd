//! What ICMP carries of others: the packet that an error is about (RFC 792, RFC 4443 §2.4), the target of
//! neighbour discovery.

use super::u16_at;
use crate::addr::{Address, Mac};
use crate::packet::{Kind, Packet, protocol};
use crate::reader::PacketReader;

const IPV4_HEADER: u32 = 20;
const IPV6_HEADER: u32 = 40;
const OFFSET_MASK: u16 = 0x1fff;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;

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
        (Address::from_v6(address), header[6], start + IPV6_HEADER)
    };
    if source != packet.destination || transport + 8 > end {
        return end;
    }
    let Some(header) = frame.read::<8>(transport) else { return end };
    let query = if is_v4 { ECHO_REQUEST } else { ECHO_REQUEST_V6 };
    let (source_port, destination_port) = match number {
        protocol::TCP | protocol::UDP | protocol::SCTP => (u16_at(&header, 0), u16_at(&header, 2)),
        protocol::ICMP | protocol::ICMPV6 if header[0] == query => (u16_at(&header, 4), u16_at(&header, 4)),
        _ => return end,
    };
    packet.quoted_source_port = source_port;
    packet.quoted_destination_port = destination_port;
    packet.quoted_protocol = number;
    end
}

/// Reads what a neighbour solicitation or advertisement is about: its target, and the hardware address
/// of its first option (RFC 4861 §4.3, §4.4, §4.6.1).
#[inline(always)]
pub(super) fn neighbour<R: PacketReader + ?Sized>(frame: &R, start: u32, end: u32, packet: &mut Packet) {
    packet.sender_mac = packet.source_mac;
    if start + 16 > end {
        return;
    }
    let Some(target) = frame.read::<16>(start) else { return };
    packet.quoted_destination = Address::from_v6(target);
    if start + 24 > end {
        return;
    }
    let Some(option) = frame.read::<8>(start + 16) else { return };
    if matches!(option[0], 1 | 2) && option[1] == 1 {
        packet.sender_mac = Mac([option[2], option[3], option[4], option[5], option[6], option[7]]);
    }
}
