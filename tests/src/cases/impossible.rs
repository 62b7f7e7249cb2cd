//! Packets that no honest host sends: addresses, ports and flags that cannot be.

use std::net::{Ipv4Addr, Ipv6Addr};

use iomt_filter_common::policy::Otherwise;

use super::{DEVICE, Story, UPLINK};
use crate::packet::{ACK, FIN, Frame, PSH, RST, SYN};
use crate::world::{World, hospital};

stories![
    sources_and_destinations_that_cannot_be,
    addresses_that_look_alike,
    ipv4_addresses_in_ipv6_headers,
    port_0,
    flags_that_make_no_sense,
    flags_that_make_no_sense_in_a_connection,
];

const URG: u8 = 0x20;
const ECE: u8 = 0x40;
const CWR: u8 = 0x80;

fn lenient() -> World {
    World { unparsed: Otherwise::Pass, ..hospital() }
}

fn malformed(story: &mut Story, what: &str, frame: &Frame) {
    for port in [DEVICE, UPLINK] {
        story.once(&hospital(), what, port, frame, "drop malformed");
        story.once(&lenient(), what, port, frame, "pass malformed");
    }
}

fn sources_and_destinations_that_cannot_be(story: &mut Story) {
    let world = hospital();
    let ct = || world.from("ct-1");
    let ct6 = || Frame::from(world.v6("ct-1"));
    let cases = [
        ("to its own sender", ct().to("10.10.0.11")),
        ("to its own sender, IPv6", ct6().to("2001:db8:10::11")),
        ("from a multicast group", Frame::from("224.0.0.5").to("10.20.0.10")),
        ("from the last multicast group", Frame::from("239.255.255.255").to("10.20.0.10")),
        ("from a multicast group, IPv6", Frame::from("ff02::1").to("2001:db8:20::10")),
        ("from everybody", Frame::from("255.255.255.255").to("10.20.0.10")),
        ("from the loopback", Frame::from("127.0.0.1").to("10.20.0.10")),
        ("from the end of the loopback", Frame::from("127.255.255.255").to("10.20.0.10")),
        ("from the loopback, IPv6", Frame::from("::1").to("2001:db8:20::10")),
        ("to the loopback", ct().to("127.0.0.1")),
        ("to the loopback, IPv6", ct6().to("::1")),
        ("to nobody", ct().to("0.0.0.0")),
        ("to nobody, IPv6", ct6().to("::")),
    ];
    for (what, frame) in cases {
        malformed(story, &format!("{what}, TCP"), &frame.clone().tcp(1_000, 104).syn());
        malformed(story, &format!("{what}, UDP"), &frame.clone().udp(1_000, 53));
        malformed(story, &format!("{what}, ICMP"), &frame.clone().ping(1));
        malformed(story, &format!("{what}, unknown"), &frame.clone().protocol(253, &[]));
        malformed(story, &format!("{what}, a fragment"), &frame.udp(1_000, 53).fragment(9, 1_480, false));
    }
}

/// Next to what cannot be: these are judged like any other.
fn addresses_that_look_alike(story: &mut Story) {
    let world = hospital();
    for address in ["126.255.255.255", "128.0.0.0", "223.255.255.255", "240.0.0.1", "255.255.255.254"] {
        let frame = Frame::from(address).to(world.v4("pump-1")).udp(1, 5_000);
        story.once(&world, address, UPLINK, &frame, "drop not-allowed pump-1");
    }
    for address in ["::2", "fe80::1", "fec0::1", "fdff::1", "100::1", "64:ff9b::1"] {
        let frame = Frame::from(address).to(world.v6("pump-1")).udp(1, 5_000);
        story.once(&world, address, UPLINK, &frame, "drop not-allowed pump-1");
    }
}

fn ipv4_addresses_in_ipv6_headers(story: &mut Story) {
    let world = hospital();
    let pump = || Frame::from(world.v6("pump-1")).to("fe80::1").ping(1);
    let server = || Frame::from("2001:db8:20::10").to(world.v6("pump-1")).ping(1);
    for address in [[10, 10, 0, 21], [10, 20, 0, 10], [0, 0, 0, 0], [255, 255, 255, 255]] {
        let mapped = Ipv4Addr::from(address).to_ipv6_mapped();
        malformed(story, &format!("from {mapped}"), &pump().v6(|v6| v6.source = mapped));
        malformed(story, &format!("to {mapped}"), &pump().v6(|v6| v6.destination = mapped));
        malformed(story, &format!("from {mapped}"), &server().v6(|v6| v6.source = mapped));
    }
    // The compatible and the translated form are addresses of IPv6.
    for address in
        [Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0x0a0a, 0x15), Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0x0a0a, 0x15)]
    {
        let from = pump().v6(|v6| v6.source = address);
        story.once(&world, &format!("from {address}"), DEVICE, &from, "drop spoofed pump-1");
        let to = server().v6(|v6| v6.destination = address);
        story.once(&world, &format!("to {address}"), UPLINK, &to, "pass no-device");
    }
}

fn port_0(story: &mut Story) {
    let world = hospital();
    for end in [world.v4("ct-1"), world.v6("ct-1")] {
        let is_v4 = end.address.is_ipv4();
        let (pacs, dns) =
            if is_v4 { ("10.20.0.10", "10.0.0.53") } else { ("2001:db8:20::10", "2001:db8:20::53") };
        let to = |address: &str| Frame::from(end).to(address);
        malformed(story, "TCP to port 0", &to(pacs).tcp(1_000, 0).syn());
        malformed(story, "TCP from port 0", &to(pacs).tcp(0, 104).syn());
        malformed(story, "SCTP to port 0", &to(pacs).sctp(1_000, 0));
        malformed(story, "SCTP from port 0", &to(pacs).sctp(0, 1_000));
        malformed(story, "UDP to port 0", &to(dns).udp(1_000, 0));
        story.once(
            &world,
            "UDP from port 0 wants no answer",
            DEVICE,
            &to(dns).udp(0, 53),
            "pass allowed ct-1",
        );
        story.once(&world, "the same, not allowed", DEVICE, &to(dns).udp(0, 54), "drop not-allowed ct-1");
        let back = to(dns).udp(0, 53).reversed().untagged();
        malformed(story, "and no answer can come", &back);
        let ping = if is_v4 { "pass allowed ct-1" } else { "drop not-allowed ct-1" };
        story.once(&world, "an echo's 0 is no port", DEVICE, &to(pacs).ping(0), ping).family_matters();
    }
}

/// SYN without ACK opens, whatever else is set; everything else needs a flow.
fn flags_that_make_no_sense(story: &mut Story) {
    let world = hospital();
    for end in [world.v4("ct-1"), world.v6("ct-1")] {
        let to = if end.address.is_ipv4() { "10.20.0.10" } else { "2001:db8:20::10" };
        for (what, flags, opens) in [
            ("null", 0, false),
            ("FIN alone", FIN, false),
            ("xmas", FIN | PSH | URG, false),
            ("everything", 0xff, false),
            ("SYN and FIN", SYN | FIN, true),
            ("SYN and RST", SYN | RST, true),
            ("SYN, FIN, RST and PSH", SYN | FIN | RST | PSH, true),
            ("SYN, ECE and CWR, as ECN asks", SYN | ECE | CWR, true),
            ("SYN and ACK", SYN | ACK, false),
            ("SYN, ACK and FIN", SYN | ACK | FIN, false),
            ("RST", RST, false),
            ("RST and ACK", RST | ACK, false),
            ("URG", URG, false),
            ("ECE and CWR", ECE | CWR, false),
        ] {
            let tcp = |port| Frame::from(end).to(to).tcp(1_000, port).flags(flags);
            let allowed = if opens { "pass allowed ct-1" } else { "drop no-flow ct-1" };
            story.once(&world, &format!("{what}, an allowed port"), DEVICE, &tcp(104), allowed);
            let refused = if opens { "drop not-allowed ct-1" } else { "drop no-flow ct-1" };
            story.once(&world, &format!("{what}, another port"), DEVICE, &tcp(105), refused);
            let back = tcp(104).reversed().untagged();
            let received = if opens { "drop not-allowed ct-1" } else { "drop no-flow ct-1" };
            story.once(&world, &format!("{what}, received"), UPLINK, &back, received);
        }
    }
}

fn flags_that_make_no_sense_in_a_connection(story: &mut Story) {
    let world = hospital();
    for end in [world.v4("ct-1"), world.v6("ct-1")] {
        let to = if end.address.is_ipv4() { "10.20.0.10" } else { "2001:db8:20::10" };
        let out = Frame::from(end).to(to).tcp(1_000, 104);
        let back = out.reversed().untagged();
        for (what, flags) in [("null", 0), ("xmas", FIN | PSH | URG), ("everything", 0xff), ("URG", URG)] {
            story
                .once(&world, "opening", DEVICE, &out.clone().syn(), "pass allowed ct-1")
                .frame(what, UPLINK, &back.clone().flags(flags), "pass established ct-1")
                .frame(what, DEVICE, &out.clone().flags(flags), "pass established ct-1");
        }
        story.once(&world, "opening", DEVICE, &out.clone().syn(), "pass allowed ct-1").frame(
            "SYN and FIN backwards opens",
            UPLINK,
            &back.flags(SYN | FIN),
            "drop not-allowed ct-1",
        );
    }
}
