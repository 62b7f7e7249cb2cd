//! What must not matter, in more ways than every case is varied in; and what always does.

use super::{DEVICE, Story, UPLINK};
use crate::packet::{Extension, Frame, TPID_8021AD, TPID_8021Q, TPID_QINQ};
use crate::world::{World, hospital};
use iomt_filter_common::device::Port;

stories![
    options_extension_headers_and_checksums_change_nothing,
    kind_priority_and_outer_tags_change_nothing,
    a_frame_that_is_cut_anywhere_is_malformed,
];

fn frames(world: &World) -> Vec<(Port, Frame, &'static str)> {
    let (ct, ct6) = (world.from("ct-1"), Frame::from(world.v6("ct-1")));
    let pump = world.v4("pump-1");
    vec![
        (DEVICE, ct.clone().to("10.20.0.10").tcp(1, 104).syn(), "pass allowed ct-1"),
        (DEVICE, ct.clone().to("10.20.0.10").tcp(1, 105).syn(), "drop not-allowed ct-1"),
        (DEVICE, ct.clone().to("10.20.0.10").tcp(1, 104).ack(), "drop no-flow ct-1"),
        (DEVICE, ct.to("203.0.113.9").tcp(1, 443).syn(), "drop blocklist ct-1"),
        (DEVICE, ct6.clone().to("2001:db8:b::1").tcp(1, 443).syn(), "drop geo ct-1"),
        (DEVICE, ct6.to("2001:db8:a::1").tcp(1, 443).syn(), "pass allowed ct-1"),
        (DEVICE, world.from("pump-1").to("10.20.0.10").udp(68, 67), "pass allowed pump-1"),
        (DEVICE, world.from("monitor-1").to("10.20.0.10").ping(3), "would-drop not-allowed monitor-1"),
        (DEVICE, world.from("learner-1").to("10.20.0.10").ping(3), "pass learned learner-1"),
        (DEVICE, world.from("locked-1").to("10.20.0.10").sctp(1, 2), "drop quarantine locked-1"),
        (UPLINK, Frame::from("10.20.1.5").to(pump).tcp(1, 8443).syn(), "pass allowed pump-1"),
        (UPLINK, Frame::from("10.20.1.6").to(pump).tcp(1, 8443).syn(), "drop not-allowed pump-1"),
        (UPLINK, Frame::from("10.20.1.5").to("10.10.0.99").tcp(1, 8443).syn(), "drop unknown-device"),
        (UPLINK, Frame::from("10.20.1.5").to("10.30.0.1").tcp(1, 8443).syn(), "pass no-device"),
        (UPLINK, Frame::from("10.0.0.5").to(pump).tcp(1, 22).syn(), "pass management"),
    ]
}

fn options_extension_headers_and_checksums_change_nothing(story: &mut Story) {
    let world = hospital();
    for (port, frame, answer) in frames(&world) {
        let filled = frame.clone().v4(|v4| v4.options = vec![1; 40]);
        story.once(&world, "forty bytes of nothing", port, &filled, answer);
        let mut chain = frame.clone().extension(Extension::hop_by_hop()).extension(Extension::routing(2));
        for _ in 0..4 {
            chain = chain.extension(Extension::destination_options());
        }
        chain = chain.extension(Extension::authentication());
        story.once(&world, "seven extension headers", port, &chain, answer);
        let atomic = frame.clone().extension(Extension::fragment(9, 0, false));
        story.once(&world, "an atomic fragment", port, &atomic, answer);
        let wrong = frame.clone().v4(|v4| v4.checksum = Some(0xdead));
        story.once(&world, "a wrong checksum", port, &wrong, answer).family_matters();
        let whole = frame.v4(|v4| v4.dont_fragment = true).hop_limit(1);
        story.once(&world, "not to be fragmented, and at its last hop", port, &whole, answer);
    }
}

fn kind_priority_and_outer_tags_change_nothing(story: &mut Story) {
    let world = hospital();
    for (port, frame, answer) in frames(&world) {
        for tpid in [TPID_8021Q, TPID_8021AD, TPID_QINQ] {
            let vlan = frame.tags.first().map_or(30, |tag| tag.tci);
            let tagged = frame.clone().untagged().outer_tag(tpid, vlan | 0xf000);
            story.once(&world, &format!("a tag of {tpid:#06x}"), port, &tagged, answer).tags_matter();
            let what = format!("two tags of {tpid:#06x}");
            story.once(&world, &what, port, &tagged.outer_tag(tpid, 99), answer).tags_matter();
        }
    }
}

fn a_frame_that_is_cut_anywhere_is_malformed(story: &mut Story) {
    let world = hospital();
    for (port, frame, _) in frames(&world) {
        let whole = frame.bytes().len();
        for length in 0..whole {
            let cut = frame.clone().truncate(length);
            let what = format!("{length} of {whole} bytes");
            story.once(&world, &what, port, &cut, "drop malformed").bytes_matter();
        }
    }
}
