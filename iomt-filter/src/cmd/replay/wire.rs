//! What the program gets to see of a captured frame.
//!
//! A capture made with a snap length holds the beginning of a frame and its true length. The program
//! compares lengths, so the beginning alone would look malformed though the packet was not. Therefore:
//! where the headers are all there, zeros stand in for the payload that was not captured, which the
//! program never reads; where the capture ends within the headers, nothing is made up, and the frame is
//! judged as it was captured, which makes it `malformed`. The record tells both by its field `captured`.

use std::borrow::Cow;
use std::cell::Cell;

use iomt_filter_common::parse::{self as parts, Part, Unparsed};
use iomt_filter_common::{Packet, PacketReader, parse};

use crate::capture::Frame;
use crate::datapath::replay::LONGEST_TEST_FRAME;

/// The bytes to judge.
pub(super) fn of(frame: &Frame) -> Cow<'_, [u8]> {
    let captured = frame.bytes.len();
    if frame.length as usize <= captured {
        return Cow::Borrowed(&frame.bytes);
    }
    let mut whole = frame.bytes.clone();
    whole.resize((frame.length as usize).min(LONGEST_TEST_FRAME).max(captured), 0);
    let watched = Watched { bytes: &whole, furthest: Cell::new(0) };
    let _ = parse(&watched, &mut Packet::default());
    if watched.furthest.get() <= captured { Cow::Owned(whole) } else { Cow::Borrowed(&frame.bytes) }
}

/// Remembers how far it was read. What DHCP carries is payload: the program has a look at it, and a frame is
/// none the worse without.
struct Watched<'b> {
    bytes: &'b [u8],
    furthest: Cell<usize>,
}

impl PacketReader for Watched<'_> {
    fn length(&self) -> u32 {
        self.bytes.length()
    }

    fn run(&self, part: Part, start: u32, end: u32, packet: &mut Packet) -> Result<u32, Unparsed> {
        match part {
            Part::Dhcp | Part::Dhcpv6 => Ok(end),
            _ => parts::run(part, self, start, end, packet),
        }
    }

    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.furthest.set(self.furthest.get().max(offset as usize + N));
        self.bytes.read(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(captured: usize, length: u32) -> Frame {
        let mut bytes = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0];
        bytes.extend([0x45, 0, 0, 128, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([0, 53, 0, 53, 0, 108, 0, 0]);
        bytes.resize(142, 7);
        bytes.truncate(captured);
        Frame { time: None, length, bytes }
    }

    #[test]
    fn a_payload_that_was_not_captured_becomes_zeros() {
        let frame = udp(42, 142);
        let bytes = of(&frame);
        assert_eq!(bytes.len(), 142);
        assert_eq!((&bytes[..42], bytes[42..].iter().any(|&byte| byte != 0)), (&frame.bytes[..], false));
        assert_eq!(parse(&*bytes, &mut Packet::default()), Ok(()));
    }

    #[test]
    fn dhcp_needs_no_more_than_its_header() {
        let mut frame = udp(96, 142);
        frame.bytes[34..38].copy_from_slice(&[0, 68, 0, 67]);
        assert_eq!(of(&frame).len(), 142);
    }

    #[test]
    fn headers_that_were_not_captured_are_not_made_up() {
        let frame = udp(41, 142);
        assert_eq!(*of(&frame), frame.bytes);
    }

    #[test]
    fn a_whole_frame_is_judged_as_it_is() {
        let frame = udp(142, 142);
        assert!(matches!(of(&frame), Cow::Borrowed(bytes) if bytes == frame.bytes));
    }

    #[test]
    fn a_length_that_no_frame_has_costs_no_memory() {
        assert!(of(&udp(42, u32::MAX)).len() <= LONGEST_TEST_FRAME);
    }
}
