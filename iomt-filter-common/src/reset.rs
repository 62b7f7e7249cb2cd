//! The TCP reset that answers a blocked segment (RFC 9293 §3.5.2).
//!
//! Headers only: whoever has the frame swaps its hardware addresses, keeps its tags, and puts these behind.

use crate::addr::Address;
use crate::packet::{Packet, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, protocol};

const TCP_HEADER: u16 = 20;
const HOP_LIMIT: u8 = 64;
const DO_NOT_FRAGMENT: u8 = 0x40;

/// What an answer needs to know of the segment beside its packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Its sequence number.
    pub sequence: u32,
    /// What it acknowledges; good only with the flag ACK.
    pub acknowledged: u32,
    /// Bytes of its payload.
    pub payload: u32,
}

/// Headers of IPv4 (RFC 791 §3.1) and TCP that answer `segment` of `packet`.
#[inline(always)]
pub fn ipv4(packet: &Packet, segment: &Segment) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[0] = 0x45;
    bytes[3] = 40;
    bytes[6] = DO_NOT_FRAGMENT;
    bytes[8] = HOP_LIMIT;
    bytes[9] = protocol::TCP;
    let (source, destination) = (packet.destination.v4(), packet.source.v4());
    bytes[12..16].copy_from_slice(&source);
    bytes[16..20].copy_from_slice(&destination);
    let header_sum = sum::<0, 20>(&bytes);
    bytes[10..12].copy_from_slice(&fold(header_sum).to_be_bytes());
    tcp::<40, 20>(&mut bytes, packet, segment);
    // The pseudo header (RFC 9293 §3.1): both addresses, protocol, length.
    let pseudo = sum::<12, 20>(&bytes) + protocol::TCP as u32 + TCP_HEADER as u32;
    let checksum = fold(pseudo + sum::<20, 40>(&bytes));
    bytes[36..38].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// Headers of IPv6 (RFC 8200 §3) and TCP that answer `segment` of `packet`.
#[inline(always)]
pub fn ipv6(packet: &Packet, segment: &Segment) -> [u8; 60] {
    let mut bytes = [0; 60];
    bytes[0] = 0x60;
    bytes[5] = TCP_HEADER as u8;
    bytes[6] = protocol::TCP;
    bytes[7] = HOP_LIMIT;
    bytes[8..24].copy_from_slice(&packet.destination.octets());
    bytes[24..40].copy_from_slice(&packet.source.octets());
    tcp::<60, 40>(&mut bytes, packet, segment);
    // The pseudo header (RFC 8200 §8.1): both addresses, length, next header.
    let pseudo = sum::<8, 40>(&bytes) + protocol::TCP as u32 + TCP_HEADER as u32;
    let checksum = fold(pseudo + sum::<40, 60>(&bytes));
    bytes[56..58].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// Fills in the TCP header at `AT`, without its checksum.
#[inline(always)]
fn tcp<const N: usize, const AT: usize>(bytes: &mut [u8; N], packet: &Packet, segment: &Segment) {
    let has_ack = packet.tcp_flags & TCP_ACK != 0;
    let counted = (packet.tcp_flags & TCP_SYN != 0) as u32 + (packet.tcp_flags & TCP_FIN != 0) as u32;
    let expected = segment.sequence.wrapping_add(segment.payload).wrapping_add(counted);
    // What acknowledges is answered where it expects to go on; anything else is acknowledged.
    let (sequence, acknowledged, flags) =
        if has_ack { (segment.acknowledged, 0, TCP_RST) } else { (0, expected, TCP_RST | TCP_ACK) };
    bytes[AT..AT + 2].copy_from_slice(&packet.destination_port.to_be_bytes());
    bytes[AT + 2..AT + 4].copy_from_slice(&packet.source_port.to_be_bytes());
    bytes[AT + 4..AT + 8].copy_from_slice(&sequence.to_be_bytes());
    bytes[AT + 8..AT + 12].copy_from_slice(&acknowledged.to_be_bytes());
    bytes[AT + 12] = 0x50;
    bytes[AT + 13] = flags;
}

/// The sum of the 16-bit words of `FROM..TO`.
#[inline(always)]
fn sum<const FROM: usize, const TO: usize>(bytes: &[u8]) -> u32 {
    let mut total = 0;
    let mut at = FROM;
    while at + 1 < TO {
        total += u32::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        at += 2;
    }
    total
}

/// The Internet checksum of a sum (RFC 1071).
#[inline(always)]
const fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    !((once & 0xffff) + (once >> 16)) as u16
}

impl Address {
    /// The last four bytes: those of an IPv4 address.
    #[inline(always)]
    const fn v4(self) -> [u8; 4] {
        let octets = self.octets();
        [octets[12], octets[13], octets[14], octets[15]]
    }
}
