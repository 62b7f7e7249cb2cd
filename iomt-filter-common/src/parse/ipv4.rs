//! IPv4 (RFC 791), options skipped by the header's own length.

use super::{Part, Unparsed, u16_at};
use crate::addr::Address;
use crate::packet::{Fragment, Kind, Packet};
use crate::reader::PacketReader;

const MIN_HEADER: u32 = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;
/// The longest packet that fragments may add up to (RFC 791 §3.1).
const LONGEST: u32 = 65_535;
const OPTION_END: u8 = 0;
const OPTION_NOTHING: u8 = 1;
/// Loose and strict source routes (RFC 791 §3.1): the sender would choose the way, past the filter.
const OPTION_LOOSE_ROUTE: u8 = 0x83;
const OPTION_STRICT_ROUTE: u8 = 0x89;
/// Options that a header can have: its 40 bytes, each a padding.
const MAX_OPTIONS: usize = 40;

#[inline(always)]
pub(super) fn parse<R: PacketReader + ?Sized>(
    frame: &R,
    start: u32,
    packet: &mut Packet,
) -> Result<u32, Unparsed> {
    let header = frame.read::<20>(start).ok_or(Unparsed::Malformed)?;
    if header[0] >> 4 != 4 {
        return Err(Unparsed::Malformed);
    }
    packet.set_kind(Kind::Ipv4);
    packet.source = Address::from_v4([header[12], header[13], header[14], header[15]]);
    packet.destination = Address::from_v4([header[16], header[17], header[18], header[19]]);
    packet.hop_limit = header[8];
    packet.protocol = header[9];

    let header_length = u32::from(header[0] & 0x0f) * 4;
    let total_length = u32::from(u16_at(&header, 2));
    if header_length < MIN_HEADER || total_length < header_length || start + total_length > frame.length() {
        return Err(Unparsed::Malformed);
    }

    let fragment = u16_at(&header, 6);
    let offset = fragment & OFFSET_MASK;
    if offset != 0 || fragment & MORE_FRAGMENTS != 0 {
        let end = u32::from(offset) * 8 + total_length - header_length;
        packet.fragment_id = u32::from(u16_at(&header, 4));
        packet.fragment_offset = offset * 8;
        packet.set_fragment(if offset == 0 { Fragment::First } else { Fragment::Later });
        if end > LONGEST {
            return Err(Unparsed::Malformed);
        }
        packet.fragment_end = end as u16;
    }
    if header_length > MIN_HEADER {
        options(frame, start + MIN_HEADER, start + header_length, packet)?;
    }
    let end = start + total_length;
    if offset != 0 { Ok(end) } else { frame.run(Part::Transport, start + header_length, end, packet) }
}

/// Walks the options in `start..end`.
#[inline(always)]
fn options<R: PacketReader + ?Sized>(
    frame: &R,
    start: u32,
    end: u32,
    packet: &mut Packet,
) -> Result<(), Unparsed> {
    let mut at = start;
    for _ in 0..MAX_OPTIONS {
        if at >= end {
            break;
        }
        at = frame.run(Part::Ipv4Option, at, end, packet)?;
    }
    Ok(())
}

/// Reads the option at `start`, which must end before `end` and be no source route; the offset of the next.
#[inline(always)]
pub(super) fn option<R: PacketReader + ?Sized>(frame: &R, start: u32, end: u32) -> Result<u32, Unparsed> {
    // With the byte before: the verifier does not follow a check for one byte.
    let [_, kind] = frame.read::<2>(start - 1).ok_or(Unparsed::Malformed)?;
    match kind {
        OPTION_END => return Ok(end),
        OPTION_NOTHING => return Ok(start + 1),
        OPTION_LOOSE_ROUTE | OPTION_STRICT_ROUTE => return Err(Unparsed::Malformed),
        _ => {}
    }
    let [_, length] = frame.read::<2>(start).ok_or(Unparsed::Malformed)?;
    let next = start + u32::from(length);
    if length < 2 || next > end { Err(Unparsed::Malformed) } else { Ok(next) }
}
