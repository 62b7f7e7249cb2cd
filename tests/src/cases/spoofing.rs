//! Who a frame is believed to come from.

use super::{DEVICE, Story, UPLINK};
use crate::packet::Frame;
use crate::world::{hospital, net};

stories![
    hardware_address_vlan_and_address_belong_together,
    the_wrong_vlan_where_one_is_bound,
    modes_soften_spoofing_but_not_what_comes_behind_it,
    a_borrowed_address_buys_no_lenience,
    a_spoofed_frame_to_a_strict_device_is_not_softened,
    a_device_without_a_hardware_address_is_not_behind_anothers,
    sources_that_nobody_is_bound_to_go_by_hardware_address,
    a_link_local_flow_is_good_for_the_device_that_opened_it,
    an_ipv4_address_in_an_ipv6_header_is_nobodys,
    the_longest_prefix_of_ipv6_does_not_reach_into_ipv4,
];

const CT_1: [u8; 6] = [2, 0, 0, 0, 1, 0x11];
const LOCKED: [u8; 6] = [2, 0, 0, 0, 1, 0x51];

fn hardware_address_vlan_and_address_belong_together(story: &mut Story) {
    let world = hospital();
    let ct = || world.from("ct-1").to("10.20.0.10").tcp(1, 104).syn();
    story.once(&world, "all three right", DEVICE, &ct(), "pass allowed ct-1");
    story.once(
        &world,
        "another device's hardware address",
        DEVICE,
        &ct().source_mac([2, 0, 0, 0, 1, 0x12]),
        "drop spoofed ct-1",
    );
    story.once(&world, "nobody's hardware address", DEVICE, &ct().source_mac([9; 6]), "drop spoofed ct-1");
    story.once(&world, "another VLAN", DEVICE, &ct().vlan(111), "drop spoofed ct-1").tags_matter();
    story.once(&world, "no tag", DEVICE, &ct().untagged(), "drop spoofed ct-1").tags_matter();
    story
        .once(
            &world,
            "the right VLAN outside, another inside",
            DEVICE,
            &ct().vlan(111).outer_tag(0x88a8, 110),
            "drop spoofed ct-1",
        )
        .tags_matter();
    let unbound = Frame::from("10.10.0.99").to("10.20.0.10").source_mac(CT_1).vlan(110).tcp(1, 104).syn();
    story.once(&world, "an address that it is not bound to", DEVICE, &unbound, "drop spoofed ct-1");
    let v6 =
        Frame::from("2001:db8:10::99").to("2001:db8:20::10").source_mac(CT_1).vlan(110).tcp(1, 104).syn();
    story.once(&world, "IPv6: an address that it is not bound to", DEVICE, &v6, "drop spoofed ct-1");
}

/// Every device bound to a VLAN or to none, seen in the right one, in another, in none, behind two tags.
fn the_wrong_vlan_where_one_is_bound(story: &mut Story) {
    let devices = [
        ("ct-1", "drop spoofed ct-1", "drop not-allowed ct-1"),
        ("pump-1", "drop spoofed pump-1", "drop not-allowed pump-1"),
        ("monitor-1", "would-drop spoofed monitor-1", "would-drop not-allowed monitor-1"),
        ("learner-1", "pass learned learner-1", "pass learned learner-1"),
        ("locked-1", "drop spoofed locked-1", "drop quarantine locked-1"),
    ];
    let mut any = hospital();
    any.devices.iter_mut().for_each(|device| device.vlan = None);
    let mut bound = any.clone();
    bound.devices.iter_mut().for_each(|device| device.vlan = Some(110));
    for (device, spoofed, believed) in devices {
        let frame = any.from(device).to("10.20.0.10").udp(1, 9);
        let with_two = |inner, outer| frame.clone().vlan(inner).outer_tag(0x88a8, outer);
        for (what, tagged, is_right) in [
            ("the VLAN", frame.clone().vlan(110), true),
            ("the VLAN and a priority", frame.clone().vlan(0xe000 | 110), true),
            ("the VLAN behind another tag", with_two(110, 111), true),
            ("another VLAN", frame.clone().vlan(111), false),
            ("no tag", frame.clone(), false),
            ("a priority", frame.clone().vlan(0xe000), false),
            ("the VLAN in front of another", with_two(111, 110), false),
            ("the VLAN in front of a priority", with_two(0, 110), true),
        ] {
            let answer = if is_right { believed } else { spoofed };
            story.once(&bound, &format!("{device}, {what}"), DEVICE, &tagged, answer).tags_matter();
            let what = format!("{device} without a VLAN, {what}");
            story.once(&any, &what, DEVICE, &tagged, believed).tags_matter();
        }
    }
}

fn modes_soften_spoofing_but_not_what_comes_behind_it(story: &mut Story) {
    let world = hospital();
    let lie = |device: &str, to: &str| world.from(device).to(to).source_mac([9; 6]).udp(1, 1);
    story.once(&world, "monitor", DEVICE, &lie("monitor-1", "10.20.0.10"), "would-drop spoofed monitor-1");
    story.once(&world, "learn", DEVICE, &lie("learner-1", "10.20.0.10"), "pass learned learner-1");
    story.once(
        &world,
        "learn, to a listed address",
        DEVICE,
        &lie("learner-1", "203.0.113.9"),
        "drop blocklist learner-1",
    );
    story.once(
        &world,
        "learn, to a device in quarantine",
        DEVICE,
        &lie("learner-1", "10.10.0.51"),
        "drop quarantine locked-1",
    );
}

/// Guards: a device in quarantine or enforce sent from the address of one in learn mode, and passed.
fn a_borrowed_address_buys_no_lenience(story: &mut Story) {
    let world = hospital();
    let borrowed = world.from("learner-1").to("10.20.0.10").udp(1, 1).source_mac(LOCKED);
    story.once(
        &world,
        "the quarantined owner of the hardware address answers",
        DEVICE,
        &borrowed,
        "drop spoofed locked-1",
    );
    let arp = Frame::arp(world.v4("learner-1"), "10.10.0.1").source_mac(LOCKED);
    story.once(&world, "the same by ARP", DEVICE, &arp, "drop spoofed locked-1");
}

/// Guards: a frame with a lenient device's address reached a strict one without meeting its rules.
fn a_spoofed_frame_to_a_strict_device_is_not_softened(story: &mut Story) {
    let world = hospital();
    let frame = world.from("learner-1").to(world.v4("pump-1")).source_mac([9; 6]).udp(1, 1);
    story.once(&world, "from a learner's address to a pump", DEVICE, &frame, "drop spoofed pump-1");
}

/// Guards: a known hardware address was believed behind the address of a device that has none.
fn a_device_without_a_hardware_address_is_not_behind_anothers(story: &mut Story) {
    let world = hospital();
    let lab = world.from("lab-1").to("10.20.0.10").udp(1, 1);
    story.once(&world, "behind the router", DEVICE, &lab, "pass allowed lab-1");
    let lie = lab.source_mac([2, 0, 0, 0, 1, 0x21]);
    story.once(&world, "behind a pump", DEVICE, &lie, "drop spoofed lab-1");
}

fn sources_that_nobody_is_bound_to_go_by_hardware_address(story: &mut Story) {
    let world = hospital();
    let pump = |from: &str, to: &str| Frame::from(from).to(to).source_mac([2, 0, 0, 0, 1, 0x21]);
    story.once(
        &world,
        "DHCP",
        DEVICE,
        &pump("0.0.0.0", "255.255.255.255").udp(68, 67),
        "pass allowed pump-1",
    );
    story.once(&world, "link-local", DEVICE, &pump("fe80::21", "fe80::1").ping(1), "pass allowed pump-1");
    story
        .once(
            &world,
            "IPv4 link-local is a source like any other",
            DEVICE,
            &pump("169.254.1.1", "10.0.0.1").udp(68, 67),
            "drop spoofed pump-1",
        )
        .family_matters();
    let nobody = Frame::from("0.0.0.0").to("255.255.255.255").source_mac([9; 6]).udp(68, 67);
    story.once(&world, "of nobody", DEVICE, &nobody, "drop unknown-device");
}

/// Guards: two devices that use one link-local address, or 0.0.0.0, shared a flow; what was allowed to
/// one passed for the other.
fn a_link_local_flow_is_good_for_the_device_that_opened_it(story: &mut Story) {
    let world = hospital();
    let play = story.play(&world);
    let pump = Frame::from("fe80::7").to("fe80::1").source_mac([2, 0, 0, 0, 1, 0x21]).ping(1);
    let ct = Frame::from("fe80::7").to("fe80::1").source_mac(CT_1).vlan(110).ping(1);
    play.frame("the pump opens", DEVICE, &pump, "pass allowed pump-1");
    play.frame("the pump goes on", DEVICE, &pump, "pass established pump-1");
    play.frame("a scanner uses the same addresses", DEVICE, &ct, "drop not-allowed ct-1");

    let discover = Frame::from("0.0.0.0").to("255.255.255.255").udp(68, 67);
    play.frame(
        "the pump's DHCP",
        DEVICE,
        &discover.clone().source_mac([2, 0, 0, 0, 1, 0x21]),
        "pass allowed pump-1",
    );
    let other = discover.source_mac(CT_1).vlan(110);
    play.frame("a scanner without a DHCP rule", DEVICE, &other, "drop not-allowed ct-1");
}

fn an_ipv4_address_in_an_ipv6_header_is_nobodys(story: &mut Story) {
    let world = hospital();
    let mapped = std::net::Ipv4Addr::new(10, 10, 0, 21).to_ipv6_mapped();
    let frame = Frame::from(world.v6("pump-1")).to("fe80::1").ping(1).v6(|v6| v6.source = mapped);
    story.once(&world, "as source", DEVICE, &frame, "drop malformed");
    let frame = Frame::from(world.v6("pump-1")).to("fe80::1").ping(1).v6(|v6| v6.destination = mapped);
    story.once(&world, "as destination", DEVICE, &frame, "drop malformed");
}

fn the_longest_prefix_of_ipv6_does_not_reach_into_ipv4(story: &mut Story) {
    let mut world = hospital();
    world.segments = vec![net("::/0")];
    let frame = Frame::from("10.20.0.10").to("10.30.0.1").udp(1, 1);
    story.once(&world, "`::/0` as a segment", UPLINK, &frame, "pass no-device").family_matters();
}
