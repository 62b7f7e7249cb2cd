//! What stands between Ethernet and IP: other protocols, tags, frames that are long or short.

use iomt_filter_common::policy::Otherwise;

use super::{DEVICE, Story, UPLINK};
use crate::packet::{Frame, Internet, TPID_8021AD, TPID_8021Q, TPID_QINQ, Tag, Transport};
use crate::world::{World, hospital};

stories![
    neither_ip_nor_a_link_protocol,
    ip_behind_another_header_is_not_ip,
    tags_of_each_kind,
    three_tags,
    a_tag_that_ends_the_frame,
    jumbo_frames,
    padding_is_no_part_of_a_packet,
    group_destinations,
];

const PPPOE_DISCOVERY: u16 = 0x8863;
const PPPOE_SESSION: u16 = 0x8864;
const MPLS: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;

fn lenient() -> World {
    World { unparsed: Otherwise::Pass, ..hospital() }
}

/// The packet of a frame, without its Ethernet header.
fn packet(frame: Frame) -> Vec<u8> {
    frame.untagged().bytes().split_off(14)
}

fn neither_ip_nor_a_link_protocol(story: &mut Story) {
    let kinds = [
        ("PPPoE discovery", PPPOE_DISCOVERY),
        ("PPPoE session", PPPOE_SESSION),
        ("MPLS", MPLS),
        ("MPLS multicast", MPLS_MULTICAST),
        ("a tag inside a service provider's (802.1ah)", 0x88e7),
        ("MACsec", 0x88e5),
        ("HSR", 0x892f),
        ("PROFINET", 0x8892),
        ("EtherCAT", 0x88a4),
        ("AVTP", 0x22f0),
        ("Wake-on-LAN", 0x0842),
        ("reverse ARP", 0x8035),
        ("FCoE", 0x8906),
        ("the lowest EtherType", 0x0600),
        ("the highest EtherType", 0xffff),
        ("trailer encapsulation", 0x1000),
        ("a loopback test", 0x9000),
        ("LLC: the length of an 802.3 frame", 46),
        ("802.3 with length 0", 0),
        ("the longest 802.3 frame", 1_500),
        ("between lengths and EtherTypes", 0x05ff),
    ];
    for (what, ethertype) in kinds {
        let frame = Frame::ethernet(ethertype, &[0xaa; 46]).source_mac([2, 0, 0, 0, 1, 0x21]);
        for port in [DEVICE, UPLINK] {
            story.once(&hospital(), what, port, &frame, "drop not-ip");
            story.once(&lenient(), what, port, &frame, "pass not-ip");
        }
    }
}

/// A packet that its rule allows, inside of what is not IP.
fn ip_behind_another_header_is_not_ip(story: &mut Story) {
    let world = hospital();
    for end in [world.v4("ct-1"), world.v6("ct-1")] {
        let to = if end.address.is_ipv4() { "10.20.0.10" } else { "2001:db8:20::10" };
        let allowed = || Frame::from(end).to(to).tcp(1, 104).syn();
        story.once(&world, "the packet alone", DEVICE, &allowed(), "pass allowed ct-1");
        let inner = packet(allowed());
        let ppp = if end.address.is_ipv4() { [0x00, 0x21] } else { [0x00, 0x57] };
        let ethertype = if end.address.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] };
        let session = [&[0x11, 0, 0, 1, 0, inner.len() as u8 + 2][..], &ppp, &inner].concat();
        let label = [&[0, 1, 0x11, 64][..], &inner].concat();
        let snap = [&[0xaa, 0xaa, 3, 0, 0, 0][..], &ethertype, &inner].concat();
        let length = snap.len() as u16;
        for (what, kind, payload) in
            [("PPPoE", PPPOE_SESSION, session), ("MPLS", MPLS, label), ("LLC and SNAP", length, snap)]
        {
            let mut frame = allowed();
            frame.internet = Internet::Raw(kind, payload);
            frame.transport = Transport::None;
            for port in [DEVICE, UPLINK] {
                story.once(&world, &format!("behind {what}"), port, &frame, "drop not-ip");
                story.once(&lenient(), &format!("behind {what}"), port, &frame, "pass not-ip");
            }
        }
    }
}

/// Both families of a pump's server: allowed, and to another port of it.
fn tags_of_each_kind(story: &mut Story) {
    let world = hospital();
    let frames = [
        (world.from("pump-1").to("10.0.0.1").udp(68, 67), "pass allowed pump-1"),
        (world.from("pump-1").to("10.0.0.1").udp(68, 69), "drop not-allowed pump-1"),
        (Frame::from(world.v6("pump-1")).to("2001:db8:20::1").udp(68, 67), "pass allowed pump-1"),
        (Frame::from(world.v6("pump-1")).to("2001:db8:20::1").udp(68, 69), "drop not-allowed pump-1"),
    ];
    for (frame, answer) in &frames {
        for inner in [TPID_8021Q, TPID_8021AD, TPID_QINQ] {
            for tci in [0, 1, 30, 4_094, 4_095, 0xf01e] {
                let what = format!("{inner:#06x} with {tci:#06x}");
                let tagged = Frame { tags: vec![Tag { tpid: inner, tci }], ..frame.clone() };
                story.once(&world, &what, DEVICE, &tagged, answer).tags_matter();
                for outer in [TPID_8021Q, TPID_8021AD, TPID_QINQ] {
                    let both = tagged.clone().outer_tag(outer, 99);
                    let what = format!("{outer:#06x} in front of {what}");
                    story.once(&world, &what, DEVICE, &both, answer).tags_matter();
                }
            }
        }
    }
    let ct = || world.from("ct-1").to("10.20.0.10").tcp(1, 104).syn();
    let priority = Frame { tags: vec![Tag { tpid: TPID_8021Q, tci: 0xe06e }], ..ct() };
    story.once(&world, "VLAN 110 with a priority", DEVICE, &priority, "pass allowed ct-1").tags_matter();
    let only = ct().vlan(0);
    story.once(&world, "a priority alone is no VLAN", DEVICE, &only, "drop spoofed ct-1").tags_matter();
    let hidden = ct().vlan(0).outer_tag(TPID_8021AD, 110);
    story.once(&world, "the VLAN outside a priority", DEVICE, &hidden, "pass allowed ct-1").tags_matter();
}

fn three_tags(story: &mut Story) {
    let world = hospital();
    for frame in [
        world.from("ct-1").to("10.20.0.10").tcp(1, 104).syn(),
        Frame::from(world.v6("ct-1")).to("2001:db8:20::10").tcp(1, 104).syn(),
        Frame::arp(world.v4("ct-1"), "10.10.0.1"),
    ] {
        let two = frame.outer_tag(TPID_8021AD, 1);
        for tpid in [TPID_8021Q, TPID_8021AD, TPID_QINQ] {
            let three = two.clone().outer_tag(tpid, 2);
            for port in [DEVICE, UPLINK] {
                story.once(&world, "three tags", port, &three, "drop unsupported");
                story.once(&lenient(), "three tags", port, &three, "pass unsupported");
                let four = three.clone().outer_tag(tpid, 3);
                story.once(&world, "four tags", port, &four, "drop unsupported");
            }
        }
    }
}

fn a_tag_that_ends_the_frame(story: &mut Story) {
    let frame = hospital().from("ct-1").to("10.20.0.10").tcp(1, 104).outer_tag(TPID_8021AD, 1);
    for (what, length, reason) in [
        ("nothing behind the first tag's type", 14, "malformed"),
        ("half of the first tag", 16, "malformed"),
        ("nothing behind the second tag's type", 18, "malformed"),
        ("half of the second tag", 21, "malformed"),
        ("nothing behind two tags", 22, "malformed"),
    ] {
        for port in [DEVICE, UPLINK] {
            let cut = frame.clone().truncate(length);
            story.once(&hospital(), what, port, &cut, &format!("drop {reason}")).bytes_matter();
            story.once(&lenient(), what, port, &cut, &format!("pass {reason}")).bytes_matter();
        }
    }
}

/// A frame with `length` bytes of TCP data.
fn long(frame: Frame, length: usize) -> Frame {
    frame.transport(|transport| {
        if let Transport::Tcp(tcp) = transport {
            tcp.body = vec![0x5a; length];
        }
    })
}

/// The kernel takes what is behind the first page in pieces, as drivers do for jumbo frames.
fn jumbo_frames(story: &mut Story) {
    let world = hospital();
    for (frame, other) in [
        (world.from("ct-1").to("10.20.0.10").tcp(1, 104), world.from("ct-1").to("10.20.0.10").tcp(1, 105)),
        (
            Frame::from(world.v6("ct-1")).to("2001:db8:20::10").tcp(1, 104),
            Frame::from(world.v6("ct-1")).to("2001:db8:20::10").tcp(1, 105),
        ),
    ] {
        for length in [1_460, 3_400, 4_000, 4_096, 8_960, 20_000, 65_000] {
            let what = format!("{length} bytes of data");
            let back = long(frame.reversed().untagged().ack(), length);
            story
                .once(&world, &what, DEVICE, &long(frame.clone().syn(), length), "pass allowed ct-1")
                .frame(&what, UPLINK, &back, "pass established ct-1")
                .frame(&what, DEVICE, &long(other.clone().syn(), length), "drop not-allowed ct-1");
            let cut = long(frame.clone().syn(), length).truncate(length);
            story.once(&world, &format!("{what}, and cut"), DEVICE, &cut, "drop malformed");
        }
    }
}

fn padding_is_no_part_of_a_packet(story: &mut Story) {
    let world = hospital();
    for end in [world.v4("ct-1"), world.v6("ct-1")] {
        let to = if end.address.is_ipv4() { "10.20.0.10" } else { "2001:db8:20::10" };
        let frame = Frame::from(end).to(to);
        for padding in [1, 2, 6, 18, 46, 1_400, 8_000] {
            let what = format!("{padding} bytes behind the packet");
            let allowed = frame.clone().tcp(1, 104).syn().padding(padding);
            story.once(&world, &what, DEVICE, &allowed, "pass allowed ct-1");
            let refused = frame.clone().tcp(1, 105).syn().padding(padding);
            story.once(&world, &what, DEVICE, &refused, "drop not-allowed ct-1");
            let empty = frame.clone().protocol(6, &[]).padding(padding);
            story.once(&world, "a TCP header in the padding", DEVICE, &empty, "drop malformed");
            let half = frame.clone().protocol(17, &[0, 1, 0, 53, 0, 8]).padding(padding);
            story.once(&world, "a UDP header that ends in the padding", DEVICE, &half, "drop malformed");
        }
    }
}

fn group_destinations(story: &mut Story) {
    let world = hospital();
    for (what, to) in [("IPv4", "224.0.0.251"), ("IPv6", "ff02::fb"), ("broadcast", "255.255.255.255")] {
        let end = if to.contains(':') { world.v6("pump-1") } else { world.v4("pump-1") };
        let refused = Frame::from(end).to(to).udp(5_353, 5_353);
        story.once(&world, what, DEVICE, &refused, "drop not-allowed pump-1");
        let allowed = Frame::from(end).to(to).udp(68, 67);
        story.once(&world, what, DEVICE, &allowed, "pass allowed pump-1");
    }
}
