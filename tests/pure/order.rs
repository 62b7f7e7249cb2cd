//! The order of judgement, line by line: what each line drops, what it lets through, and which line
//! comes first where two apply.

use iomt_filter_common::policy::{Mode, Otherwise};
use iomt_filter_tests::packet::{Frame, Internet, ROUTER, TPID_8021AD};
use iomt_filter_tests::world::{Management, Peer, Rule, Service, World, hospital, net};

use crate::cases::{DEVICE, Play, UPLINK, once};

#[test]
fn line_1_what_cannot_be_parsed_goes_by_unparsed() {
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
            once(&world, what, port, &frame, &format!("drop {reason}"));
            once(&lenient, what, port, &frame, &format!("pass {reason}"));
        }
    }
}

fn tiny_fragment(frame: Frame) -> Frame {
    frame.fragment(7, 0, true).v4(|v4| v4.total_length = Some(28))
}

#[test]
fn line_2_link_protocols_pass() {
    let world = hospital();
    let stp = Frame::ethernet(0x0026, &[0x42, 0x42, 0x03, 0, 0]).destination_mac([1, 0x80, 0xc2, 0, 0, 0]);
    let cases = [
        ("EAPOL", Frame::ethernet(0x888e, &[1])),
        ("LLDP", Frame::ethernet(0x88cc, &[1])),
        ("PTP", Frame::ethernet(0x88f7, &[1])),
        ("LACP", Frame::ethernet(0x8809, &[1])),
        ("spanning tree", stp),
        ("ARP of a device for itself", Frame::arp(world.v4("ct-1"), "10.10.0.1")),
        ("ARP probe of an address that nobody has yet", Frame::arp("0.0.0.0", "10.10.0.77")),
        ("neighbour solicitation", world_v6(&world, "ct-1").icmp(135, 0, 0).hop_limit(255)),
    ];
    for (what, frame) in cases {
        once(&world, what, DEVICE, &frame, "pass link");
        once(&world, what, UPLINK, &frame, "pass link");
    }
}

fn world_v6(world: &World, device: &str) -> Frame {
    Frame::from(world.v6(device)).to("2001:db8:10::1")
}

#[test]
fn line_2_what_would_take_a_link_over_drops() {
    let world = hospital();
    let advertisement = world_v6(&world, "ct-1").icmp(134, 0, 0).hop_limit(255);
    once(&world, "a router advertisement from a device port", DEVICE, &advertisement, "drop rogue-ra");
    once(&world, "a router advertisement from the network", UPLINK, &advertisement, "pass link");
    let routed = world_v6(&world, "ct-1").icmp(136, 0, 0).hop_limit(254);
    once(&world, "neighbour discovery that came through a router", DEVICE, &routed, "drop malformed");
    let cut = world_v6(&world, "ct-1").icmp(136, 0, 0).hop_limit(255).fragment(1, 0, true);
    once(&world, "neighbour discovery in fragments", UPLINK, &cut, "drop malformed");

    let offer = world.from("pump-1").to("255.255.255.255").udp(67, 68);
    once(&world, "a DHCP offer from a device port", DEVICE, &offer, "drop rogue-dhcp");
    let relayed = world.from("pump-1").to("10.10.0.1").udp(67, 67);
    once(&world, "a DHCP answer to a relay", DEVICE, &relayed, "drop rogue-dhcp");
    let v6 = Frame::from(world.v6("pump-1")).to("fe80::1").udp(547, 546);
    once(&world, "a DHCPv6 answer from a device port", DEVICE, &v6, "drop rogue-dhcp");
    let request = world.from("pump-1").to("10.0.0.1").udp(68, 67);
    once(&world, "a DHCP request", DEVICE, &request, "pass allowed pump-1");
}

#[test]
fn line_3_management_passes_whatever_policy_says() {
    let mut world = hospital();
    world.feeds[0].entries.push(net("10.0.0.5"));
    let to_locked = Frame::from("10.0.0.5").to(world.v4("locked-1")).tcp(5000, 22).syn();
    once(&world, "to a device in quarantine, from a listed address", UPLINK, &to_locked, "pass management");
    let answer = to_locked.reversed().source_mac([2, 0, 0, 0, 1, 0x51]).syn_ack();
    once(&world, "its answer", DEVICE, &answer, "pass management");
    let opens = answer.syn();
    once(&world, "a device that opens from the service's port", DEVICE, &opens, "drop quarantine locked-1");
    let other = Frame::from("10.0.0.5").to(world.v4("locked-1")).tcp(5000, 23).syn();
    once(&world, "another service of the peer", UPLINK, &other, "drop quarantine locked-1");
    let stranger = Frame::from("10.0.0.6").to(world.v4("locked-1")).tcp(5000, 22).syn();
    once(&world, "the service from another address", UPLINK, &stranger, "drop quarantine locked-1");

    world.management =
        vec![Management { address: net("2001:db8::5").addr(), services: vec![Service::udp(161)] }];
    let v6 = Frame::from("2001:db8::5").to(world.v6("pump-1")).udp(9, 161);
    once(&world, "IPv6, UDP", UPLINK, &v6, "pass management");
}

#[test]
fn line_4_unknown_devices_and_what_is_not_ours() {
    let world = hospital();
    let unknown = Frame::from("10.10.0.99").to("10.20.0.10").source_mac([9; 6]).tcp(1, 104).syn();
    once(&world, "an unknown source on a device port", DEVICE, &unknown, "drop unknown-device");
    for (choice, verdict) in [(Otherwise::Monitor, "would-drop"), (Otherwise::Pass, "pass")] {
        let world = World { unknown_device: choice, ..hospital() };
        once(&world, "the same, softened", DEVICE, &unknown, &format!("{verdict} unknown-device"));
    }
    let inside = Frame::from("10.20.0.10").to("10.10.0.99").tcp(1, 104).syn();
    once(&world, "to an address in a segment that no device has", UPLINK, &inside, "drop unknown-device");
    let outside = Frame::from("10.20.0.10").to("10.30.0.1").tcp(1, 104).syn();
    once(&world, "between others", UPLINK, &outside, "pass no-device");
    let v6 = Frame::from("2001:db8:20::10").to("2001:db8:10::99").tcp(1, 104).syn();
    once(&world, "IPv6, in a segment", UPLINK, &v6, "drop unknown-device");
}

#[test]
fn line_5_quarantine() {
    let world = hospital();
    let out = world.from("locked-1").to("10.20.0.10").tcp(1, 104).syn();
    once(
        &world,
        "a device in quarantine sends what its rules allow",
        DEVICE,
        &out,
        "drop quarantine locked-1",
    );
    let to_it = Frame::from("203.0.113.9").to(world.v4("locked-1")).tcp(1, 104).syn();
    once(&world, "quarantine is said before the list", UPLINK, &to_it, "drop quarantine locked-1");
    let from_other = world.from("ct-1").to(world.v4("locked-1")).tcp(1, 104).syn();
    once(&world, "another device sends to it", DEVICE, &from_other, "drop quarantine locked-1");
}

#[test]
fn line_6_protected_pairs_skip_lists_and_countries() {
    let world = hospital();
    let listed = world.from("monitor-1").to("203.0.113.77").udp(1, 1);
    once(&world, "a listed peer of a protected pair", DEVICE, &listed, "would-drop not-allowed monitor-1");
    let other = world.from("learner-1").to("203.0.113.77").udp(1, 1);
    once(&world, "the same peer with another device", DEVICE, &other, "drop blocklist learner-1");

    let mut geo = hospital();
    geo.feeds.clear();
    geo.profiles[0].rules.push(Rule::to(Peer::Any, Service::Any));
    let russian = geo.from("ct-1").to("203.0.113.1").udp(1, 1);
    once(&geo, "a country that is not allowed", DEVICE, &russian, "drop geo ct-1");
    geo.protected[0] =
        iomt_filter_tests::world::Protected { device: "ct-1".into(), peer: net("203.0.113.0/24") };
    once(&geo, "the same in a protected pair", DEVICE, &russian, "pass allowed ct-1");
}

#[test]
fn line_7_reputation_of_the_far_end_both_ways_in_every_mode() {
    for mode in [Mode::Learn, Mode::Monitor, Mode::Enforce] {
        let world = hospital().with_mode("infusion-pump", mode);
        let out = world.from("pump-1").to("203.0.113.9").udp(1, 443);
        let told = once(&world, "to a listed address", DEVICE, &out, "drop blocklist pump-1");
        let listed = told.listing.unwrap();
        assert_eq!(
            (listed.feed.as_str(), listed.entry.as_str(), listed.score),
            ("threatfox", "203.0.113.9/32", 90)
        );
        let back = Frame::from("203.0.113.9").to(world.v4("pump-1")).udp(1, 443);
        once(&world, "from a listed address", UPLINK, &back, "drop blocklist pump-1");
        let v6 = Frame::from(world.v6("pump-1")).to("2001:db8:bad::7").udp(1, 443);
        once(&world, "IPv6, in a listed prefix", DEVICE, &v6, "drop blocklist pump-1");
    }
    let world = hospital();
    let low = world.from("pump-1").to("203.0.113.10").udp(1, 443);
    once(&world, "listed below the profile's score", DEVICE, &low, "drop not-allowed pump-1");
    let mut strict = hospital();
    strict.profiles[1].block_score = 30;
    once(&strict, "listed at the profile's score", DEVICE, &low, "drop blocklist pump-1");
    let named = world.from("ct-1").to("203.0.113.9").udp(1, 1);
    once(&world, "listed and in a country that is not allowed", DEVICE, &named, "drop blocklist ct-1");
}

#[test]
fn line_8_countries_both_ways() {
    let world = hospital();
    let vendor = world.from("ct-1").to("198.51.100.7").tcp(1, 443).syn();
    once(&world, "an allowed country", DEVICE, &vendor, "pass allowed ct-1");
    let abroad = world.from("ct-1").to("198.51.100.200").tcp(1, 443).syn();
    let told = once(&world, "the narrower entry says another", DEVICE, &abroad, "drop geo ct-1");
    assert_eq!(told.country.as_deref(), Some("other"));
    let back = Frame::from("198.51.100.200").to(world.v4("ct-1")).tcp(443, 1).ack();
    once(&world, "from there", UPLINK, &back, "drop geo ct-1");
    let nowhere = world.from("ct-1").to("192.0.2.1").tcp(1, 443).syn();
    let told = once(&world, "no entry, unknown denied", DEVICE, &nowhere, "drop geo ct-1");
    assert_eq!(told.country.as_deref(), Some("unknown"));
    let v6 = Frame::from(world.v6("ct-1")).to("2001:db8:a::1").tcp(1, 443).syn();
    once(&world, "IPv6, allowed", DEVICE, &v6, "pass allowed ct-1");
    let v6 = Frame::from(world.v6("ct-1")).to("2001:db8:b::1").tcp(1, 443).syn();
    once(&world, "IPv6, not allowed", DEVICE, &v6, "drop geo ct-1");
}

#[test]
fn line_9_tcp_without_a_flow() {
    let cases = [
        (Mode::Enforce, "drop no-flow pump-1"),
        (Mode::Monitor, "would-drop no-flow pump-1"),
        (Mode::Learn, "pass learned pump-1"),
    ];
    for (mode, answer) in cases {
        let world = hospital().with_mode("infusion-pump", mode);
        let middle = Frame::from("10.20.1.5").to(world.v4("pump-1")).tcp(1, 8443).ack();
        once(&world, "the middle of a connection that nobody opened", UPLINK, &middle, answer);
    }
    let world = World { midstream: Otherwise::Pass, ..hospital() };
    let middle = Frame::from("10.20.1.5").to(world.v4("pump-1")).tcp(1, 8443).ack();
    once(&world, "picked up from the opener", UPLINK, &middle, "pass allowed pump-1");
    let answer = middle.reversed().source_mac([2, 0, 0, 0, 1, 0x21]);
    let mut play = Play::of(&world);
    play.frame("picked up from the responder", DEVICE, &answer, "pass allowed pump-1");
    play.frame("and remembered the right way round", UPLINK, &middle, "pass established pump-1");
    let other = Frame::from("10.20.1.5").to(world.v4("pump-1")).tcp(1, 8444).ack();
    once(&world, "picked up, and allowed by nothing", UPLINK, &other, "drop not-allowed pump-1");
}

#[test]
fn line_10_rules_allow_what_they_name() {
    let world = hospital();
    let ct = |to: &str| world.from("ct-1").to(to);
    let told = once(&world, "an endpoint", DEVICE, &ct("10.20.0.11").tcp(1, 104).syn(), "pass allowed ct-1");
    assert_eq!(told.rule.as_deref(), Some("ct-scanner[1]"));
    let dns = once(
        &world,
        "the second of two services",
        DEVICE,
        &ct("10.0.0.53").tcp(1, 53).syn(),
        "pass allowed ct-1",
    );
    assert_eq!(dns.rule.as_deref(), Some("ct-scanner[2]"));
    let ping = once(&world, "a protocol", DEVICE, &ct("10.20.0.10").ping(9), "pass allowed ct-1");
    assert_eq!(ping.rule.as_deref(), Some("ct-scanner[9]"));
    once(&world, "another port", DEVICE, &ct("10.20.0.10").tcp(104, 105).syn(), "drop not-allowed ct-1");
    once(&world, "another protocol", DEVICE, &ct("10.20.0.10").udp(1, 104), "drop not-allowed ct-1");
    once(&world, "another peer", DEVICE, &ct("10.20.0.12").tcp(1, 104).syn(), "drop not-allowed ct-1");
    let from = Frame::from("10.20.0.10").to(world.v4("ct-1")).tcp(1, 11112).syn();
    let told = once(&world, "a peer opens", UPLINK, &from, "pass allowed ct-1");
    assert_eq!(told.rule.as_deref(), Some("ct-scanner[3]"));
    let wrong_way = ct("10.20.0.10").tcp(1, 11112).syn();
    once(&world, "a rule says nothing of the other direction", DEVICE, &wrong_way, "drop not-allowed ct-1");
    let v6 = Frame::from(world.v6("ct-1")).to("2001:db8:20::10").tcp(1, 104).syn();
    once(&world, "IPv6", DEVICE, &v6, "pass allowed ct-1");
    let qinq = ct("10.20.0.10").outer_tag(TPID_8021AD, 7).tcp(1, 104).syn();
    once(&world, "two tags: the innermost is the VLAN", DEVICE, &qinq, "pass allowed ct-1");
}

#[test]
fn line_10_between_two_devices_both_must_allow() {
    let world = hospital();
    let both = world.from("ct-1").to(world.v4("pump-1")).udp(1, 5000);
    once(&world, "the sender's `to` and the receiver's `from`", DEVICE, &both, "pass allowed ct-1");
    let back = world.from("pump-1").to(world.v4("ct-1")).udp(1, 5000);
    once(&world, "neither", DEVICE, &back, "drop not-allowed pump-1");
    let only_to = world.from("ct-1").to(world.v4("learner-1")).udp(1, 5000);
    once(
        &world,
        "only the sender's: the receiver's mode decides",
        DEVICE,
        &only_to,
        "pass learned learner-1",
    );
    let neither = world.from("learner-1").to(world.v4("ct-1")).udp(1, 1);
    once(&world, "neither: the stricter mode decides", DEVICE, &neither, "drop not-allowed ct-1");
    let uplink = world.from("ct-1").to(world.v4("pump-1")).source_mac(ROUTER).udp(1, 5000);
    once(&world, "a device of another place, through the uplink", UPLINK, &uplink, "pass allowed ct-1");
}

#[test]
fn line_11_nothing_matched() {
    for (mode, answer) in [
        (Mode::Enforce, "drop not-allowed pump-1"),
        (Mode::Monitor, "would-drop not-allowed pump-1"),
        (Mode::Learn, "pass learned pump-1"),
    ] {
        let world = hospital().with_mode("infusion-pump", mode);
        let out = world.from("pump-1").to("10.20.0.10").udp(1, 9);
        once(&world, "sent", DEVICE, &out, answer);
        once(&world, "received", UPLINK, &Frame::from("10.20.0.10").to(world.v4("pump-1")).udp(1, 9), answer);
    }
}

#[test]
fn arp_that_claims_another_device_is_spoofed() {
    let world = hospital();
    let liar = Frame::arp(world.v4("pump-1"), "10.10.0.1").source_mac([2, 0, 0, 0, 1, 0x11]);
    once(&world, "the frame's own source differs", DEVICE, &liar, "drop spoofed pump-1");
    once(&world, "from the network it is not ours to say", UPLINK, &liar, "pass link");
    let mut inside = Frame::arp(world.v4("pump-1"), "10.10.0.1");
    if let Internet::Arp(arp) = &mut inside.internet {
        arp.sender_mac = [2, 0, 0, 0, 1, 0x11];
    }
    once(&world, "the sender inside differs", DEVICE, &inside, "drop spoofed pump-1");
    let vlan = Frame::arp(world.v4("ct-1"), "10.10.0.1").vlan(111);
    once(&world, "another VLAN", DEVICE, &vlan, "drop spoofed ct-1");
}
