//! IPv4 (RFC 791), options skipped by the header's own length.

use super::{Unparsed, transport, u16_at};
use crate::addr::Address;
use crate::packet::{Fragment, Kind, Packet};
use crate::reader::PacketReader;

const MIN_HEADER: u32 = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

#[inline(always)]
pub(super) fn parse<R: PacketReader + ?Sized>(
    frame: &R,
    start: u32,
    packet: &mut Packet,
) -> Result<(), Unparsed> {
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
        packet.fragment_id = u32::from(u16_at(&header, 4));
        packet.fragment_offset = offset * 8;
        packet.set_fragment(if offset == 0 { Fragment::First } else { Fragment::Later });
    }
    if offset != 0 {
        return Ok(());
    }
    transport::parse(frame, start + header_length, start + total_length, packet)
}
