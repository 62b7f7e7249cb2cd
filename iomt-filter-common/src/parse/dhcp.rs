//! DHCP (RFC 2131, RFC 2132) and DHCPv6 (RFC 8415), as far as it says who asks for an address and who gets one.
//!
//! Never an error: a message that cannot be read asks and gives nothing, and is judged by its ports.

use super::{u16_at, u32_at};
use crate::addr::{Address, Mac};
use crate::packet::Packet;
use crate::reader::PacketReader;

/// Ports of IPv4 and of IPv6 (RFC 2131 §4.1, RFC 8415 §7.2): those that are sent to are fixed.
pub(super) const SERVER: u16 = 67;
pub(super) const CLIENT: u16 = 68;
pub(super) const V6_SERVER: u16 = 547;
pub(super) const V6_CLIENT: u16 = 546;

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const ETHERNET: u8 = 1;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
const MAGIC_OFFSET: u32 = 236;
const OPTIONS_OFFSET: u32 = 240;
/// Options that are walked of a message.
const MAX_OPTIONS: usize = 32;

const PAD: u8 = 0;
const LEASE_TIME: u8 = 51;
const MESSAGE_TYPE: u8 = 53;
const END: u8 = 255;
const DISCOVER: u8 = 1;
const DHCP_REQUEST: u8 = 3;
const ACK: u8 = 5;
/// What a lease is believed for of which the server does not say how long it is.
const A_DAY: u32 = 86_400;

const V6_SOLICIT: u8 = 1;
const V6_REQUEST: u8 = 3;
const V6_RENEW: u8 = 5;
const V6_REBIND: u8 = 6;
const V6_REPLY: u8 = 7;
const V6_IA_NA: u16 = 3;
const V6_IA_ADDRESS: u16 = 5;
/// Tells the transactions of both families apart: those of DHCPv6 have 24 bits.
const V6_TRANSACTION: u32 = 1 << 24;

/// Reads the message in `start..end` of UDP.
#[inline(always)]
pub(super) fn read<R: PacketReader + ?Sized>(frame: &R, start: u32, end: u32, packet: &mut Packet) -> u32 {
    if start + OPTIONS_OFFSET > end || frame.read::<4>(start + MAGIC_OFFSET) != Some(MAGIC) {
        return end;
    }
    let Some(head) = frame.read::<8>(start) else { return end };
    let Some(given) = frame.read::<4>(start + 16) else { return end };
    let Some(client) = frame.read::<6>(start + 28) else { return end };
    if head[1] != ETHERNET || head[2] != 6 {
        return end;
    }
    let is_server = packet.destination_port == CLIENT || packet.source_port == SERVER;
    if head[0] != if is_server { REPLY } else { REQUEST } {
        return end;
    }
    packet.sender_mac = Mac(client);
    let mut at = start + OPTIONS_OFFSET;
    for _ in 0..MAX_OPTIONS {
        if at + 2 > end {
            break;
        }
        let Ok(next) = frame.run(super::Part::DhcpOption, at, end, packet) else { break };
        at = next;
    }
    let kind = packet.dhcp_transaction;
    packet.dhcp_transaction = 0;
    let seconds = packet.lease_seconds;
    packet.lease_seconds = 0;
    if is_server && kind == ACK as u32 {
        packet.lease_seconds = if seconds == 0 { A_DAY } else { seconds };
        packet.quoted_destination = Address::from_v4(given);
    } else if is_server || (kind != DISCOVER as u32 && kind != DHCP_REQUEST as u32) {
        return end;
    }
    packet.dhcp_transaction = u32_at(&head, 4);
    end
}

/// Reads the option at `start`; the offset of the next. Until all of them are read, the message type waits in
/// [`Packet::dhcp_transaction`], and in [`Packet::lease_seconds`] 0 stands for a time that was not said: one of
/// 0 is read as a second.
#[inline(always)]
pub(super) fn option<R: PacketReader + ?Sized>(frame: &R, start: u32, end: u32, packet: &mut Packet) -> u32 {
    let Some([kind, length]) = frame.read::<2>(start) else { return end };
    match kind {
        PAD => return start + 1,
        END => return end,
        _ => {}
    }
    let next = start + 2 + u32::from(length);
    if next > end {
        return end;
    }
    if kind == MESSAGE_TYPE
        && length == 1
        && let Some([_, _, message]) = frame.read::<3>(start)
    {
        packet.dhcp_transaction = u32::from(message);
    }
    if kind == LEASE_TIME
        && length == 4
        && let Some(option) = frame.read::<6>(start)
    {
        packet.lease_seconds = u32_at(&option, 2).max(1);
    }
    next
}

/// Reads the DHCPv6 message in `start..end` of UDP.
#[inline(always)]
pub(super) fn read_v6<R: PacketReader + ?Sized>(frame: &R, start: u32, end: u32, packet: &mut Packet) -> u32 {
    if start + 4 > end {
        return end;
    }
    let Some(head) = frame.read::<4>(start) else { return end };
    let transaction = V6_TRANSACTION | (u32_at(&head, 0) & (V6_TRANSACTION - 1));
    let is_server = packet.destination_port == V6_CLIENT;
    if !is_server {
        if matches!(head[0], V6_SOLICIT | V6_REQUEST | V6_RENEW | V6_REBIND) {
            packet.sender_mac = packet.source_mac;
            packet.dhcp_transaction = transaction;
        }
        return end;
    }
    if head[0] != V6_REPLY {
        return end;
    }
    let mut at = start + 4;
    for _ in 0..MAX_OPTIONS {
        if at + 4 > end || packet.lease_seconds != 0 {
            break;
        }
        let Ok(next) = frame.run(super::Part::Dhcpv6Option, at, end, packet) else { break };
        at = next;
    }
    if packet.lease_seconds != 0 {
        packet.sender_mac = packet.destination_mac;
        packet.dhcp_transaction = transaction;
    }
    end
}

/// Reads the option at `start`: of an IA_NA (RFC 8415 §21.4) the address that stands first in it.
#[inline(always)]
pub(super) fn option_v6<R: PacketReader + ?Sized>(
    frame: &R,
    start: u32,
    end: u32,
    packet: &mut Packet,
) -> u32 {
    let Some(head) = frame.read::<4>(start) else { return end };
    let next = start + 4 + u32::from(u16_at(&head, 2));
    if next > end || u16_at(&head, 0) != V6_IA_NA || start + 44 > next {
        return if next > end { end } else { next };
    }
    let Some(inner) = frame.read::<4>(start + 16) else { return end };
    let Some(address) = frame.read::<16>(start + 20) else { return end };
    let Some(valid) = frame.read::<4>(start + 40) else { return end };
    if u16_at(&inner, 0) == V6_IA_ADDRESS && u16_at(&inner, 2) >= 24 {
        packet.quoted_destination = Address::from_v6(address);
        packet.lease_seconds = u32_at(&valid, 0);
    }
    next
}
