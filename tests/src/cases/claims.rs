//! Who may say that an address is at a hardware address.

use std::net::{IpAddr, Ipv6Addr};

use super::{DEVICE, Story, UPLINK};
use crate::packet::{End, Frame, Transport};
use crate::world::{Peer, Rule, Service, World, hospital, net};

stories![
    every_option_of_neighbour_discovery_counts,
    link_local_addresses_have_owners_too,
    nobody_poses_as_a_router,
    strangers_leave_alone_what_rules_name,
    devices_are_safe_from_the_other_side,
    a_lie_is_one_wherever_it_goes,
    nobody_is_at_no_hardware_address,
    nobody_poses_as_a_host_of_the_other_side,
];

const STRANGER: [u8; 6] = [2, 0, 0, 0, 9, 9];
const ADVERTISEMENT: u8 = 136;
const SOLICITATION: u8 = 135;
const ROUTER_SOLICITATION: u8 = 133;

/// An option of a hardware address: its source's (1) or a target's (2).
fn at(kind: u8, mac: [u8; 6]) -> Vec<u8> {
    [&[kind, 1][..], &mac].concat()
}

const NONCE: [u8; 8] = [14, 1, 1, 2, 3, 4, 5, 6];

fn discovery(from: &str, mac: [u8; 6], kind: u8, target: Option<&str>, options: &[u8]) -> Frame {
    let target = target.map(|target| target.parse::<Ipv6Addr>().unwrap_or(Ipv6Addr::UNSPECIFIED).octets());
    let body = [&target.iter().flatten().copied().collect::<Vec<_>>(), options].concat();
    Frame::from(from).source_mac(mac).to("ff02::1").hop_limit(255).icmp(kind, 0, 0).transport(|transport| {
        if let Transport::Icmp(icmp) = transport {
            icmp.body = body;
        }
    })
}

fn every_option_of_neighbour_discovery_counts(story: &mut Story) {
    let world = hospital();
    let pump = world.v6("pump-1").mac;
    let own = "2001:db8:10::21";
    let told = |frame: &Frame, answer: &str, story: &mut Story| {
        story.once(&world, "discovery", DEVICE, frame, answer).family_matters();
    };
    for honest in [vec![], at(2, pump), [&NONCE[..], &at(2, pump)].concat()] {
        told(&discovery(own, pump, ADVERTISEMENT, Some(own), &honest), "pass link", story);
    }
    for lie in [
        at(2, STRANGER),
        [&NONCE[..], &at(2, STRANGER)].concat(),
        [at(2, pump), at(2, STRANGER)].concat(),
        [at(1, pump), at(2, STRANGER)].concat(),
        [&NONCE[..], &NONCE[..], &NONCE[..], &at(2, STRANGER)].concat(),
    ] {
        told(&discovery(own, pump, ADVERTISEMENT, Some(own), &lie), "drop spoofed pump-1", story);
    }
    for (lie, answer) in [
        (at(1, pump), "pass link"),
        (at(1, STRANGER), "drop spoofed pump-1"),
        ([&NONCE[..], &at(1, STRANGER)].concat(), "drop spoofed pump-1"),
    ] {
        told(&discovery(own, pump, SOLICITATION, Some("2001:db8:10::1"), &lie), answer, story);
        told(&discovery(own, pump, ROUTER_SOLICITATION, None, &lie), answer, story);
    }
    let foreign = discovery("2001:db8:10::11", pump, ADVERTISEMENT, Some(own), &at(2, pump));
    told(&foreign, "drop spoofed ct-1", story);
}

fn link_local_addresses_have_owners_too(story: &mut Story) {
    let mut world = hospital();
    world.own = vec!["fe80::aa".parse().unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))];
    let pump = world.v6("pump-1").mac;
    for (what, frame, answer) in [
        ("its own", discovery("fe80::21", pump, ADVERTISEMENT, Some("fe80::21"), &at(2, pump)), "pass link"),
        (
            "at another's hardware address",
            discovery("fe80::21", pump, ADVERTISEMENT, Some("fe80::21"), &at(2, STRANGER)),
            "drop spoofed pump-1",
        ),
        (
            "this host's",
            discovery("fe80::21", pump, ADVERTISEMENT, Some("fe80::aa"), &at(2, pump)),
            "drop spoofed pump-1",
        ),
        (
            "this host's, by a stranger",
            discovery("fe80::99", STRANGER, ADVERTISEMENT, Some("fe80::aa"), &at(2, STRANGER)),
            "drop spoofed",
        ),
        (
            "a stranger's own",
            discovery("fe80::99", STRANGER, ADVERTISEMENT, Some("fe80::99"), &at(2, STRANGER)),
            "pass link",
        ),
    ] {
        story.once(&world, what, DEVICE, &frame, answer).family_matters();
    }
}

fn nobody_poses_as_a_router(story: &mut Story) {
    let world = hospital();
    let pump = world.v6("pump-1").mac;
    let router = [2, 0, 0, 0, 0, 0xfe];
    let advertised = discovery("fe80::1", router, 134, None, &[0; 8]);
    let claim = discovery("fe80::21", pump, ADVERTISEMENT, Some("fe80::1"), &at(2, pump));
    let by_stranger = discovery("fe80::1", STRANGER, ADVERTISEMENT, Some("fe80::1"), &at(2, STRANGER));
    story
        .once(&world, "nobody knows the router yet", DEVICE, &claim, "pass link")
        .frame("it advertises itself", UPLINK, &advertised, "pass link")
        .frame("a device says it is it", DEVICE, &claim, "drop spoofed pump-1")
        .frame("a stranger says it is it", DEVICE, &by_stranger, "drop spoofed")
        .frame("a device advertises itself", DEVICE, &advertised, "drop rogue-ra")
        .family_matters();
}

fn named() -> World {
    let mut world = hospital();
    world.profiles[1].rules.push(Rule::to(Peer::Net(net("10.30.0.0/16")), Service::udp(9)));
    world
}

fn strangers_leave_alone_what_rules_name(story: &mut Story) {
    for (choice, answer) in [
        (iomt_filter_common::policy::Otherwise::Drop, "drop unknown-device"),
        (iomt_filter_common::policy::Otherwise::Monitor, "would-drop unknown-device"),
        (iomt_filter_common::policy::Otherwise::Pass, "pass unknown-device"),
    ] {
        let world = World { unknown_device: choice, ..named() };
        let arp = |claimed: &str| Frame::arp(claimed, "10.10.0.31").source_mac(STRANGER);
        story.once(&world, "the PACS", DEVICE, &arp("10.20.0.10"), answer);
        story.once(&world, "a management peer", DEVICE, &arp("10.0.0.5"), answer);
        story.once(&world, "one of a network that a rule names", DEVICE, &arp("10.30.0.9"), "pass link");
        story.once(&world, "a router that devices are behind", DEVICE, &arp("10.10.9.1"), "pass link");
        story.once(&world, "the PACS itself, on its side", UPLINK, &arp("10.20.0.10"), "pass link");
        let neighbour =
            discovery("2001:db8:20::10", STRANGER, ADVERTISEMENT, Some("2001:db8:20::10"), &at(2, STRANGER));
        story.once(&world, "the PACS by IPv6", DEVICE, &neighbour, answer).family_matters();
    }
}

fn devices_are_safe_from_the_other_side(story: &mut Story) {
    let world = hospital();
    let pump = world.v4("pump-1");
    for (what, frame, answer) in [
        ("a pump's address", Frame::arp(pump, "10.10.0.31").source_mac(STRANGER), "drop spoofed pump-1"),
        ("a pump's own frame that comes back", Frame::arp(pump, "10.10.0.31"), "pass link"),
        (
            "a device that has no hardware address",
            Frame::arp("10.10.9.61", "10.10.0.31").source_mac(STRANGER),
            "pass link",
        ),
        ("nobody's address", Frame::arp("10.10.0.200", "10.10.0.31").source_mac(STRANGER), "pass link"),
    ] {
        story.once(&world, what, UPLINK, &frame, answer);
    }
    let target = "2001:db8:10::21";
    let lie = discovery("fe80::99", STRANGER, ADVERTISEMENT, Some(target), &at(2, STRANGER));
    story.once(&world, "by IPv6", UPLINK, &lie, "drop spoofed pump-1").family_matters();
}

fn a_lie_is_one_wherever_it_goes(story: &mut Story) {
    let mut world = hospital();
    world.profiles[1].rules.push(Rule::to(Peer::Any, Service::Protocol(58)));
    let pump = world.v6("pump-1").mac;
    let own = "2001:db8:10::21";
    let stolen = "2001:db8:10::11";
    let far = "2001:db8:20::10";
    let (honest, lie) = (at(2, pump), at(2, STRANGER));
    let long = |option: &[u8]| [NONCE.repeat(10), option.to_vec()].concat();
    let longest = |option: &[u8]| [NONCE.repeat(12), option.to_vec()].concat();
    for (what, to, target, options, port, answer) in [
        ("far", far, own, honest.clone(), DEVICE, "pass allowed pump-1"),
        ("far, of another's address", far, stolen, honest.clone(), DEVICE, "drop spoofed ct-1"),
        ("far, a lie", far, own, lie.clone(), DEVICE, "drop spoofed pump-1"),
        ("long, to all", "ff02::1", own, long(&honest), DEVICE, "pass allowed pump-1"),
        ("long, a lie", "ff02::1", own, long(&lie), DEVICE, "drop spoofed pump-1"),
        ("longer than is read", "ff02::1", own, longest(&honest), DEVICE, "drop spoofed pump-1"),
        ("on an uplink", "ff02::1", own, long(&honest), UPLINK, "pass link"),
        ("on an uplink, a lie", "ff02::1", own, long(&lie), UPLINK, "drop spoofed pump-1"),
        ("on an uplink, longer than is read", "ff02::1", own, longest(&lie), UPLINK, "drop spoofed pump-1"),
    ] {
        let frame = discovery(own, pump, ADVERTISEMENT, Some(target), &options).to(to).hop_limit(255);
        story.once(&world, what, port, &frame, answer).family_matters().bytes_matter();
    }
}

fn nobody_is_at_no_hardware_address(story: &mut Story) {
    let world = hospital();
    let pump = world.v4("pump-1").mac;
    for port in [DEVICE, UPLINK] {
        let frame = Frame::arp(End { mac: [0; 6], ..world.v4("pump-1") }, "10.10.0.1").source_mac(pump);
        story.once(&world, "ARP", port, &frame, "drop spoofed pump-1");
        let own = "2001:db8:10::21";
        let frame = discovery(own, pump, ADVERTISEMENT, Some(own), &at(2, [0; 6]));
        story.once(&world, "an advertisement", port, &frame, "drop spoofed pump-1").family_matters();
    }
}

fn nobody_poses_as_a_host_of_the_other_side(story: &mut Story) {
    let world = hospital();
    let claim = |mac| Frame::arp(End { mac, ..End::from("10.10.0.254") }, "10.10.0.11");
    story
        .once(&world, "a router that devices are behind", DEVICE, &claim(STRANGER), "pass link")
        .frame("the gateway, on the other side", UPLINK, &claim([2, 0, 0, 0, 9, 1]), "pass link")
        .frame("a stranger at its address", DEVICE, &claim(STRANGER), "drop spoofed")
        .frame("the gateway again", UPLINK, &claim([2, 0, 0, 0, 9, 1]), "pass link");
}
