//! Line 2 of the order: what keeps a link alive, and what would take it over.

use super::{DEVICE, Story, UPLINK};
use crate::packet::{Frame, Internet, Transport};
use crate::world::{World, hospital};

stories![
    line_2_link_protocols_pass,
    line_2_what_would_take_a_link_over_drops,
    discovery_is_no_way_out,
    arp_that_claims_another_device_is_spoofed,
];

fn line_2_link_protocols_pass(story: &mut Story) {
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
        story.once(&world, what, DEVICE, &frame, "pass link");
        story.once(&world, what, UPLINK, &frame, "pass link");
    }
}

fn world_v6(world: &World, device: &str) -> Frame {
    Frame::from(world.v6(device)).to("2001:db8:10::1")
}

fn line_2_what_would_take_a_link_over_drops(story: &mut Story) {
    let world = hospital();
    let advertisement = world_v6(&world, "ct-1").icmp(134, 0, 0).hop_limit(255);
    story.once(&world, "a router advertisement from a device port", DEVICE, &advertisement, "drop rogue-ra");
    story.once(&world, "a router advertisement from the network", UPLINK, &advertisement, "pass link");
    let routed = world_v6(&world, "ct-1").icmp(136, 0, 0).hop_limit(254);
    story.once(&world, "neighbour discovery that came through a router", DEVICE, &routed, "drop malformed");
    let cut = world_v6(&world, "ct-1").icmp(136, 0, 0).hop_limit(255).fragment(1, 0, true);
    story.once(&world, "neighbour discovery in fragments", UPLINK, &cut, "drop malformed");

    let offer = world.from("pump-1").to("255.255.255.255").udp(67, 68);
    story.once(&world, "a DHCP offer from a device port", DEVICE, &offer, "drop rogue-dhcp");
    let relayed = world.from("pump-1").to("10.10.0.1").udp(67, 67);
    story.once(&world, "a DHCP answer to a relay", DEVICE, &relayed, "drop rogue-dhcp");
    let v6 = Frame::from(world.v6("pump-1")).to("fe80::1").udp(547, 546);
    story.once(&world, "a DHCPv6 answer from a device port", DEVICE, &v6, "drop rogue-dhcp");
    let request = world.from("pump-1").to("10.0.0.1").udp(68, 67);
    story.once(&world, "a DHCP request", DEVICE, &request, "pass allowed pump-1");
}

fn arp_that_claims_another_device_is_spoofed(story: &mut Story) {
    let world = hospital();
    let liar = Frame::arp(world.v4("pump-1"), "10.10.0.1").source_mac([2, 0, 0, 0, 1, 0x11]);
    story.once(&world, "the frame's own source differs", DEVICE, &liar, "drop spoofed pump-1");
    story.once(&world, "from the network as well", UPLINK, &liar, "drop spoofed pump-1");
    let mut inside = Frame::arp(world.v4("pump-1"), "10.10.0.1");
    if let Internet::Arp(arp) = &mut inside.internet {
        arp.sender_mac = [2, 0, 0, 0, 1, 0x11];
    }
    story.once(&world, "the sender inside differs", DEVICE, &inside, "drop spoofed pump-1");
    let ieee_802 = |mut frame: Frame| {
        if let Internet::Arp(arp) = &mut frame.internet {
            arp.hardware = 6;
        }
        frame
    };
    let honest = ieee_802(Frame::arp(world.v4("pump-1"), "10.10.0.1"));
    story.once(&world, "an honest one by the number of IEEE 802", DEVICE, &honest, "pass link");
    for (what, lie) in [("the frame's own source differs, by that number", liar), ("and inside", inside)] {
        story.once(&world, what, DEVICE, &ieee_802(lie), "drop spoofed pump-1");
    }
    let vlan = Frame::arp(world.v4("ct-1"), "10.10.0.1").vlan(111);
    story.once(&world, "another VLAN", DEVICE, &vlan, "drop spoofed ct-1").tags_matter();
}

fn discovery_is_no_way_out(story: &mut Story) {
    let world = hospital();
    let advert = |to: &str| Frame::from(world.v6("ct-1")).to(to).icmp(136, 0, 0).hop_limit(255);
    story.once(&world, "to all nodes", DEVICE, &advert("ff02::1"), "pass link");
    story.once(&world, "to a neighbour", DEVICE, &advert("2001:db8:10::99"), "pass link");
    story
        .once(&world, "far away", DEVICE, &advert("2001:db8:20::10"), "drop not-allowed ct-1")
        .family_matters();
    story.once(&world, "far away, and listed", DEVICE, &advert("2001:db8:bad::9"), "drop blocklist ct-1");
    let large = advert("ff02::1").transport(|transport| {
        if let Transport::Icmp(icmp) = transport {
            icmp.body = vec![0; 400];
        }
    });
    story.once(&world, "with a payload", DEVICE, &large, "drop not-allowed ct-1");
    let redirect = Frame::from(world.v6("ct-1")).to("ff02::1").icmp(137, 0, 0).hop_limit(255);
    story.once(&world, "a redirect", DEVICE, &redirect, "drop rogue-ra");
    story.once(&world, "a redirect from the network", UPLINK, &redirect, "pass link");
}
