//! IPv6 (RFC 8200) with a bounded walk of its extension headers.

use super::{MAX_EXTENSION_HEADERS, Part, Unparsed, u16_at, u32_at};
use crate::addr::Address;
use crate::packet::{Fragment, Kind, Packet};
use crate::reader::PacketReader;

const HEADER: u32 = 40;
/// No extension header is shorter.
const SHORTEST: u32 = 8;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
pub(super) const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
/// Deprecated by RFC 5095: nodes must not process it.
const ROUTING_TYPE_SOURCE: u8 = 0;
/// The longest payload that fragments may add up to (RFC 8200 §4.5).
const LONGEST: u32 = 65_535;

#[inline(always)]
pub(super) fn parse<R: PacketReader + ?Sized>(
    frame: &R,
    start: u32,
    packet: &mut Packet,
) -> Result<u32, Unparsed> {
    let header = frame.read::<40>(start).ok_or(Unparsed::Malformed)?;
    if header[0] >> 4 != 6 {
        return Err(Unparsed::Malformed);
    }
    packet.set_kind(Kind::Ipv6);
    let mut address = [0; 16];
    address.copy_from_slice(&header[8..24]);
    packet.source = Address::from_v6(address);
    address.copy_from_slice(&header[24..40]);
    packet.destination = Address::from_v6(address);
    packet.hop_limit = header[7];
    packet.protocol = header[6];

    let payload_length = u32::from(u16_at(&header, 4));
    let end = start + HEADER + payload_length;
    if end > frame.length() || packet.source.is_v4() || packet.destination.is_v4() {
        return Err(Unparsed::Malformed);
    }
    if payload_length == 0 && packet.protocol == HOP_BY_HOP {
        return Err(Unparsed::Unsupported); // a jumbogram, RFC 2675
    }
    let mut offset = start + HEADER;
    if is_extension(packet.protocol) {
        offset = frame.run(Part::Ipv6Extensions, offset, end, packet)?;
    }
    if packet.fragment() as u8 == Fragment::Later as u8 {
        return Ok(end);
    }
    frame.run(Part::Transport, offset, end, packet)
}

/// Walks to the upper-layer header, whose number `packet.protocol` then holds, and returns its offset.
#[inline(always)]
pub(super) fn extension_headers<R: PacketReader + ?Sized>(
    frame: &R,
    start: u32,
    end: u32,
    packet: &mut Packet,
) -> Result<u32, Unparsed> {
    let mut offset = start;
    for index in 0..MAX_EXTENSION_HEADERS {
        let kind = packet.protocol;
        if !is_extension(kind) {
            return Ok(offset);
        }
        // A first fragment must hold the whole chain (RFC 7112).
        let is_first = packet.fragment() as u8 == Fragment::First as u8;
        let cut_short = if is_first { Unparsed::Fragment } else { Unparsed::Malformed };
        if offset + SHORTEST > end {
            return Err(cut_short);
        }
        // It is there, but out of reach.
        let header = frame.read::<8>(offset).ok_or(Unparsed::Unsupported)?;
        let length = extension_length(kind, header[1]);
        let misplaced = kind == HOP_BY_HOP && index != 0;
        let source_route = kind == ROUTING && header[2] == ROUTING_TYPE_SOURCE;
        if offset + length > end {
            return Err(cut_short);
        }
        if misplaced || source_route {
            return Err(Unparsed::Malformed);
        }
        if kind == ROUTING && header[3] != 0 {
            return Err(Unparsed::Unsupported); // on its way to somewhere else than it says
        }
        offset += length;
        packet.protocol = header[0];
        if kind == FRAGMENT {
            let field = u16_at(&header, 2);
            let first = field & !7 == 0;
            if !(first && field & 1 == 0) {
                let end = u32::from(field & !7) + (end - offset);
                packet.fragment_id = u32_at(&header, 4);
                packet.fragment_offset = field & !7;
                packet.set_fragment(if first { Fragment::First } else { Fragment::Later });
                if end > LONGEST {
                    return Err(Unparsed::Malformed);
                }
                packet.fragment_end = end as u16;
            }
            if !first {
                return Ok(offset);
            }
        }
    }
    if is_extension(packet.protocol) { Err(Unparsed::Unsupported) } else { Ok(offset) }
}

/// Bytes of an extension header of a kind that says so of its length (RFC 8200 §4, RFC 4302 §2.2).
#[inline(always)]
pub(super) const fn extension_length(kind: u8, said: u8) -> u32 {
    match kind {
        FRAGMENT => 8,
        AUTHENTICATION => (said as u32 + 2) * 4,
        _ => (said as u32 + 1) * 8,
    }
}

#[inline(always)]
pub(super) const fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}
