//! Who a frame is believed to come from.

use iomt_filter_tests::packet::Frame;
use iomt_filter_tests::world::{hospital, net};

use crate::cases::{DEVICE, Play, once};

const CT_1: [u8; 6] = [2, 0, 0, 0, 1, 0x11];
const LOCKED: [u8; 6] = [2, 0, 0, 0, 1, 0x51];

#[test]
fn hardware_address_vlan_and_address_belong_together() {
    let world = hospital();
    let ct = || world.from("ct-1").to("10.20.0.10").tcp(1, 104).syn();
    once(&world, "all three right", DEVICE, &ct(), "pass allowed ct-1");
    once(
        &world,
        "another device's hardware address",
        DEVICE,
        &ct().source_mac([2, 0, 0, 0, 1, 0x12]),
        "drop spoofed ct-1",
    );
    once(&world, "nobody's hardware address", DEVICE, &ct().source_mac([9; 6]), "drop spoofed ct-1");
    once(&world, "another VLAN", DEVICE, &ct().vlan(111), "drop spoofed ct-1");
    once(&world, "no tag", DEVICE, &ct().untagged(), "drop spoofed ct-1");
    once(
        &world,
        "the right VLAN outside, another inside",
        DEVICE,
        &ct().vlan(111).outer_tag(0x88a8, 110),
        "drop spoofed ct-1",
    );
    let unbound = Frame::from("10.10.0.99").to("10.20.0.10").source_mac(CT_1).vlan(110).tcp(1, 104).syn();
    once(&world, "an address that it is not bound to", DEVICE, &unbound, "drop spoofed ct-1");
    let v6 =
        Frame::from("2001:db8:10::99").to("2001:db8:20::10").source_mac(CT_1).vlan(110).tcp(1, 104).syn();
    once(&world, "IPv6: an address that it is not bound to", DEVICE, &v6, "drop spoofed ct-1");
}

#[test]
fn modes_soften_spoofing_but_not_what_comes_behind_it() {
    let world = hospital();
    let lie = |device: &str, to: &str| world.from(device).to(to).source_mac([9; 6]).udp(1, 1);
    once(&world, "monitor", DEVICE, &lie("monitor-1", "10.20.0.10"), "would-drop spoofed monitor-1");
    once(&world, "learn", DEVICE, &lie("learner-1", "10.20.0.10"), "pass learned learner-1");
    once(
        &world,
        "learn, to a listed address",
        DEVICE,
        &lie("learner-1", "203.0.113.9"),
        "drop blocklist learner-1",
    );
    once(
        &world,
        "learn, to a device in quarantine",
        DEVICE,
        &lie("learner-1", "10.10.0.51"),
        "drop quarantine locked-1",
    );
}

/// Guards: a device in quarantine or enforce sent from the address of one in learn mode, and passed.
#[test]
fn a_borrowed_address_buys_no_lenience() {
    let world = hospital();
    let borrowed = world.from("learner-1").to("10.20.0.10").udp(1, 1).source_mac(LOCKED);
    once(
        &world,
        "the quarantined owner of the hardware address answers",
        DEVICE,
        &borrowed,
        "drop spoofed locked-1",
    );
    let arp = Frame::arp(world.v4("learner-1"), "10.10.0.1").source_mac(LOCKED);
    once(&world, "the same by ARP", DEVICE, &arp, "drop spoofed locked-1");
}

/// Guards: a frame with a lenient device's address reached a strict one without meeting its rules.
#[test]
fn a_spoofed_frame_to_a_strict_device_is_not_softened() {
    let world = hospital();
    let frame = world.from("learner-1").to(world.v4("pump-1")).source_mac([9; 6]).udp(1, 1);
    once(&world, "from a learner's address to a pump", DEVICE, &frame, "drop spoofed pump-1");
}

/// Guards: a known hardware address was believed behind the address of a device that has none.
#[test]
fn a_device_without_a_hardware_address_is_not_behind_anothers() {
    let world = hospital();
    let lab = world.from("lab-1").to("10.20.0.10").udp(1, 1);
    once(&world, "behind the router", DEVICE, &lab, "pass allowed lab-1");
    let lie = lab.source_mac([2, 0, 0, 0, 1, 0x21]);
    once(&world, "behind a pump", DEVICE, &lie, "drop spoofed lab-1");
}

#[test]
fn sources_that_nobody_is_bound_to_go_by_hardware_address() {
    let world = hospital();
    let pump = |from: &str, to: &str| Frame::from(from).to(to).source_mac([2, 0, 0, 0, 1, 0x21]);
    once(&world, "DHCP", DEVICE, &pump("0.0.0.0", "255.255.255.255").udp(68, 67), "pass allowed pump-1");
    once(&world, "link-local", DEVICE, &pump("fe80::21", "fe80::1").ping(1), "pass allowed pump-1");
    once(
        &world,
        "IPv4 link-local is a source like any other",
        DEVICE,
        &pump("169.254.1.1", "10.0.0.1").udp(68, 67),
        "drop spoofed pump-1",
    );
    let nobody = Frame::from("0.0.0.0").to("255.255.255.255").source_mac([9; 6]).udp(68, 67);
    once(&world, "of nobody", DEVICE, &nobody, "drop unknown-device");
}

/// Guards: two devices that use one link-local address, or 0.0.0.0, shared a flow; what was allowed to
/// one passed for the other.
#[test]
fn a_link_local_flow_is_good_for_the_device_that_opened_it() {
    let world = hospital();
    let mut play = Play::of(&world);
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

#[test]
fn an_ipv4_address_in_an_ipv6_header_is_nobodys() {
    let world = hospital();
    let mapped = std::net::Ipv4Addr::new(10, 10, 0, 21).to_ipv6_mapped();
    let frame = Frame::from(world.v6("pump-1")).to("fe80::1").ping(1).v6(|v6| v6.source = mapped);
    once(&world, "as source", DEVICE, &frame, "drop malformed");
    let frame = Frame::from(world.v6("pump-1")).to("fe80::1").ping(1).v6(|v6| v6.destination = mapped);
    once(&world, "as destination", DEVICE, &frame, "drop malformed");
}

#[test]
fn the_longest_prefix_of_ipv6_does_not_reach_into_ipv4() {
    let mut world = hospital();
    world.segments = vec![net("::/0")];
    let frame = Frame::from("10.20.0.10").to("10.30.0.1").udp(1, 1);
    once(&world, "`::/0` as a segment", crate::cases::UPLINK, &frame, "pass no-device");
}
