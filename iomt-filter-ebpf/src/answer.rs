//! Turns a blocked TCP segment into the reset that answers it, in place.

use aya_ebpf::bindings::xdp_md;
use iomt_filter_common::packet::Kind;
use iomt_filter_common::reset::{self, Segment};
use iomt_filter_common::{Packet, PacketReader as _};

use crate::frame::{self, Frame};

const ETHERNET: u32 = 14;
const TAG: u32 = 4;

/// Whether the frame now is the answer, ready to go back where it came from.
#[inline(always)]
pub(crate) fn answer(context: *mut xdp_md, packet: &Packet) -> bool {
    let start = ETHERNET + TAG * u32::from(packet.vlan_count);
    let is_v4 = packet.kind() as u8 == Kind::Ipv4 as u8;
    let Some(segment) = segment(&Frame::new(context), start, is_v4, packet) else { return false };
    if is_v4 {
        replace(context, start, packet, &reset::ipv4(packet, &segment))
    } else {
        replace(context, start, packet, &reset::ipv6(packet, &segment))
    }
}

#[inline(always)]
fn segment(frame: &Frame, start: u32, is_v4: bool, packet: &Packet) -> Option<Segment> {
    let word = |bytes: [u8; 2]| u32::from(u16::from_be_bytes(bytes));
    let end = if is_v4 {
        start + word(frame.read::<2>(start + 2)?)
    } else {
        start + 40 + word(frame.read::<2>(start + 4)?)
    };
    let at = u32::from(packet.transport_offset);
    let sequence = u32::from_be_bytes(frame.read::<4>(at + 4)?);
    let acknowledged = u32::from_be_bytes(frame.read::<4>(at + 8)?);
    let [offset, _] = frame.read::<2>(at + 12)?;
    let payload = end.wrapping_sub(at + u32::from(offset >> 4) * 4);
    Some(Segment { sequence, acknowledged, payload })
}

/// Puts `headers` in the place of everything behind the tags, and sends the frame back to its sender.
#[inline(always)]
fn replace<const N: usize>(context: *mut xdp_md, start: u32, packet: &Packet, headers: &[u8; N]) -> bool {
    if !frame::cut(context, start + N as u32) {
        return false;
    }
    let frame = Frame::new(context);
    frame.write(0, &packet.source_mac.0)
        && frame.write(6, &packet.destination_mac.0)
        && frame.write(start, headers)
}
