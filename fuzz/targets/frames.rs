//! Frames one after the other into a hospital: the filter and the reference model say the same, and nothing
//! panics.
#![no_main]

use iomt_filter_common::device::Port;
use iomt_filter_common::packet::{Fragment, Packet};
use iomt_filter_common::parse;
use iomt_filter_fuzz::frames;
use iomt_filter_tests::judge::{Host, Judge};
use iomt_filter_tests::oracle::Oracle;
use iomt_filter_tests::world::hospital;
use libfuzzer_sys::fuzz_target;

/// A second and a bit, so that a long sequence outlives what is remembered.
const STEP: u64 = 1_100_000_000;

fuzz_target!(|data: &[u8]| {
    let world = hospital();
    let (mut filter, mut model) = (Host::of(&world), Oracle::of(&world));
    let mut now = STEP;
    for (port, frame) in frames(data) {
        now += STEP;
        lies_within(frame);
        let port = if port == 0 { Port::Device } else { Port::Uplink };
        assert_eq!(filter.judge(frame, port, now), model.judge(frame, port, now), "{frame:02x?}");
    }
});

/// What was read is not more than there is, and the same a second time.
fn lies_within(frame: &[u8]) {
    let (mut packet, mut again) = (Packet::default(), Packet::default());
    let parsed = parse(frame, &mut packet);
    assert_eq!(parsed, parse(frame, &mut again));
    assert_eq!(packet, again);
    assert_eq!(packet.length as usize, frame.len());
    assert!(usize::from(packet.vlan_count) <= packet.vlan.len());
    if packet.fragment() == Fragment::Whole {
        assert_eq!((packet.fragment_id, packet.fragment_offset), (0, 0));
    } else if parsed.is_ok() {
        let held = packet.fragment_end.checked_sub(packet.fragment_offset);
        assert!(held.is_some_and(|held| usize::from(held) <= frame.len()), "{packet:?}");
    }
}
