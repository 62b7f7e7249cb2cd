//! The order of judgement, line by line: what each line drops, what it lets through, and which line
//! comes first where two apply.

use iomt_filter_common::policy::{Mode, Otherwise};

use super::{DEVICE, Story, UPLINK};
use crate::packet::{Frame, TPID_8021AD};
use crate::world::{Management, Peer, Protected, Rule, Service, World, hospital, net};

stories![
    line_1_what_cannot_be_parsed_goes_by_unparsed,
    line_3_management_passes_whatever_policy_says,
    line_4_unknown_devices_and_what_is_not_ours,
    line_5_quarantine,
    line_6_protected_pairs_skip_lists_and_countries,
    line_7_reputation_of_the_far_end_both_ways_in_every_mode,
    line_8_countries_both_ways,
];

fn line_1_what_cannot_be_parsed_goes_by_unparsed(story: &mut Story) {
    let world = hospital();
    let lenient = World { unparsed: Otherwise::Pass, ..hospital() };
    let ct = || world.from("ct-1").to("10.20.0.10").tcp(1, 104).syn();
    let cases = [
        ("a header that is longer than the packet", ct().v4(|v4| v4.total_length = Some(19)), "malformed"),
        ("three tags", ct().outer_tag(TPID_8021AD, 1).outer_tag(TPID_8021AD, 2), "unsupported"),
        ("a later fragment without its first", ct().fragment(7, 1480, true), "fragment"),
        ("a first fragment that ends in the TCP header", tiny_fragment(ct()), "fragment"),
        ("an EtherType of somebody else", Frame::ethernet(0x9000, &[0; 46]), "not-ip"),
    ];
    for (what, frame, reason) in cases {
        for port in [DEVICE, UPLINK] {
            story.once(&world, what, port, &frame, &format!("drop {reason}"));
            story.once(&lenient, what, port, &frame, &format!("pass {reason}"));
        }
    }
}

fn tiny_fragment(frame: Frame) -> Frame {
    frame.fragment(7, 0, true).v4(|v4| v4.total_length = Some(28))
}

fn line_3_management_passes_whatever_policy_says(story: &mut Story) {
    let mut world = hospital();
    world.feeds[0].entries.push(net("10.0.0.5"));
    let to_locked = Frame::from("10.0.0.5").to(world.v4("locked-1")).tcp(5000, 22).syn();
    story.once(
        &world,
        "to a device in quarantine, from a listed address",
        UPLINK,
        &to_locked,
        "pass management",
    );
    let answer = to_locked.reversed().source_mac([2, 0, 0, 0, 1, 0x51]).syn_ack();
    story.once(&world, "its answer", DEVICE, &answer, "pass management");
    let opens = answer.syn();
    story.once(
        &world,
        "a device that opens from the service's port",
        DEVICE,
        &opens,
        "drop quarantine locked-1",
    );
    let other = Frame::from("10.0.0.5").to(world.v4("locked-1")).tcp(5000, 23).syn();
    story.once(&world, "another service of the peer", UPLINK, &other, "drop quarantine locked-1");
    let stranger = Frame::from("10.0.0.6").to(world.v4("locked-1")).tcp(5000, 22).syn();
    story.once(&world, "the service from another address", UPLINK, &stranger, "drop quarantine locked-1");

    world.management =
        vec![Management { address: net("2001:db8::5").addr(), services: vec![Service::udp(161)] }];
    let v6 = Frame::from("2001:db8::5").to(world.v6("pump-1")).udp(9, 161);
    story.once(&world, "IPv6, UDP", UPLINK, &v6, "pass management");
}

fn line_4_unknown_devices_and_what_is_not_ours(story: &mut Story) {
    let world = hospital();
    let unknown = Frame::from("10.10.0.99").to("10.20.0.10").source_mac([9; 6]).tcp(1, 104).syn();
    story.once(&world, "an unknown source on a device port", DEVICE, &unknown, "drop unknown-device");
    for (choice, verdict) in [(Otherwise::Monitor, "would-drop"), (Otherwise::Pass, "pass")] {
        let world = World { unknown_device: choice, ..hospital() };
        story.once(&world, "the same, softened", DEVICE, &unknown, &format!("{verdict} unknown-device"));
    }
    let inside = Frame::from("10.20.0.10").to("10.10.0.99").tcp(1, 104).syn();
    story.once(
        &world,
        "to an address in a segment that no device has",
        UPLINK,
        &inside,
        "drop unknown-device",
    );
    let outside = Frame::from("10.20.0.10").to("10.30.0.1").tcp(1, 104).syn();
    story.once(&world, "between others", UPLINK, &outside, "pass no-device");
    let v6 = Frame::from("2001:db8:20::10").to("2001:db8:10::99").tcp(1, 104).syn();
    story.once(&world, "IPv6, in a segment", UPLINK, &v6, "drop unknown-device");
}

fn line_5_quarantine(story: &mut Story) {
    let world = hospital();
    let out = world.from("locked-1").to("10.20.0.10").tcp(1, 104).syn();
    story.once(
        &world,
        "a device in quarantine sends what its rules allow",
        DEVICE,
        &out,
        "drop quarantine locked-1",
    );
    let to_it = Frame::from("203.0.113.9").to(world.v4("locked-1")).tcp(1, 104).syn();
    story.once(&world, "quarantine is said before the list", UPLINK, &to_it, "drop quarantine locked-1");
    let from_other = world.from("ct-1").to(world.v4("locked-1")).tcp(1, 104).syn();
    story.once(&world, "another device sends to it", DEVICE, &from_other, "drop quarantine locked-1");
}

fn line_6_protected_pairs_skip_lists_and_countries(story: &mut Story) {
    let world = hospital();
    let listed = world.from("monitor-1").to("203.0.113.77").udp(1, 1);
    story.once(
        &world,
        "a listed peer of a protected pair",
        DEVICE,
        &listed,
        "would-drop not-allowed monitor-1",
    );
    let other = world.from("learner-1").to("203.0.113.77").udp(1, 1);
    story.once(&world, "the same peer with another device", DEVICE, &other, "drop blocklist learner-1");

    let mut geo = hospital();
    geo.feeds.clear();
    geo.profiles[0].rules.push(Rule::to(Peer::Any, Service::Any));
    let russian = geo.from("ct-1").to("203.0.113.1").udp(1, 1);
    story.once(&geo, "a country that is not allowed", DEVICE, &russian, "drop geo ct-1");
    geo.protected[0] = Protected { device: "ct-1".into(), peer: net("203.0.113.0/24") };
    story.once(&geo, "the same in a protected pair", DEVICE, &russian, "pass allowed ct-1");
}

fn line_7_reputation_of_the_far_end_both_ways_in_every_mode(story: &mut Story) {
    for mode in [Mode::Learn, Mode::Monitor, Mode::Enforce] {
        let world = hospital().with_mode("infusion-pump", mode);
        let out = world.from("pump-1").to("203.0.113.9").udp(1, 443);
        story.once(&world, "to a listed address", DEVICE, &out, "drop blocklist pump-1").listed(
            "threatfox",
            "203.0.113.9/32",
            90,
        );
        let back = Frame::from("203.0.113.9").to(world.v4("pump-1")).udp(1, 443);
        story.once(&world, "from a listed address", UPLINK, &back, "drop blocklist pump-1");
        let v6 = Frame::from(world.v6("pump-1")).to("2001:db8:bad::7").udp(1, 443);
        story.once(&world, "IPv6, in a listed prefix", DEVICE, &v6, "drop blocklist pump-1");
    }
    let world = hospital();
    let low = world.from("pump-1").to("203.0.113.10").udp(1, 443);
    story.once(&world, "listed below the profile's score", DEVICE, &low, "drop not-allowed pump-1");
    let mut strict = hospital();
    strict.profiles[1].block_score = 30;
    story.once(&strict, "listed at the profile's score", DEVICE, &low, "drop blocklist pump-1");
    let named = world.from("ct-1").to("203.0.113.9").udp(1, 1);
    story.once(&world, "listed and in a country that is not allowed", DEVICE, &named, "drop blocklist ct-1");
}

fn line_8_countries_both_ways(story: &mut Story) {
    let world = hospital();
    let vendor = world.from("ct-1").to("198.51.100.7").tcp(1, 443).syn();
    story.once(&world, "an allowed country", DEVICE, &vendor, "pass allowed ct-1");
    let abroad = world.from("ct-1").to("198.51.100.200").tcp(1, 443).syn();
    story
        .once(&world, "the narrower entry says another", DEVICE, &abroad, "drop geo ct-1")
        .in_country("other");
    let back = Frame::from("198.51.100.200").to(world.v4("ct-1")).tcp(443, 1).ack();
    story.once(&world, "from there", UPLINK, &back, "drop geo ct-1");
    let nowhere = world.from("ct-1").to("192.0.2.1").tcp(1, 443).syn();
    story.once(&world, "no entry, unknown denied", DEVICE, &nowhere, "drop geo ct-1").in_country("unknown");
    let v6 = Frame::from(world.v6("ct-1")).to("2001:db8:a::1").tcp(1, 443).syn();
    story.once(&world, "IPv6, allowed", DEVICE, &v6, "pass allowed ct-1");
    let v6 = Frame::from(world.v6("ct-1")).to("2001:db8:b::1").tcp(1, 443).syn();
    story.once(&world, "IPv6, not allowed", DEVICE, &v6, "drop geo ct-1");
}
