//! Lengths, versions and options that lie: each field too small and too large, and just right.

use iomt_filter_common::policy::Otherwise;

use super::{DEVICE, Story, UPLINK};
use crate::packet::{Extension, Frame, Tcp, Transport, Udp};
use crate::world::{World, hospital};

stories![
    ipv4_lengths,
    ipv4_options,
    ipv6_lengths,
    ipv6_extension_headers,
    versions,
    tcp_lengths,
    udp_lengths,
    short_headers,
    arp_lengths,
];

fn lenient() -> World {
    World { unparsed: Otherwise::Pass, ..hospital() }
}

fn v4() -> Frame {
    hospital().from("ct-1").to("10.0.0.53").udp(1_000, 53)
}

fn v6() -> Frame {
    Frame::from(hospital().v6("ct-1")).to("2001:db8:20::53").udp(1_000, 53)
}

/// Refused on every port, in either setting; or good.
fn is(story: &mut Story, what: &str, frame: &Frame, reason: &str) {
    if reason == "allowed" {
        story.once(&hospital(), what, DEVICE, frame, "pass allowed ct-1");
        return;
    }
    for port in [DEVICE, UPLINK] {
        story.once(&hospital(), what, port, frame, &format!("drop {reason}"));
        story.once(&lenient(), what, port, frame, &format!("pass {reason}"));
    }
}

fn ipv4_lengths(story: &mut Story) {
    let total = |length| v4().v4(|v4| v4.total_length = Some(length));
    for (what, frame, reason) in [
        ("a packet of length 0", total(0), "malformed"),
        ("a packet shorter than any header", total(19), "malformed"),
        ("a packet of a header alone", total(20), "malformed"),
        ("a packet that ends in the UDP header", total(27), "malformed"),
        ("a packet that ends behind the UDP header, whose length says more", total(28), "malformed"),
        ("its own length", total(32), "allowed"),
        ("a byte more than there is", total(33), "malformed"),
        ("a byte more, which is padding", total(33).padding(1), "allowed"),
        ("the longest", total(65_535), "malformed"),
    ] {
        is(story, what, &frame, reason);
    }
    let words = |words| v4().v4(|v4| v4.header_words = Some(words));
    for (what, frame, reason) in [
        ("a header of no words", words(0), "malformed"),
        ("a header of four words", words(4), "malformed"),
        ("a header that takes the UDP header for options", words(6), "malformed"),
        ("a header longer than the packet", words(15), "malformed"),
    ] {
        is(story, what, &frame, reason);
    }
}

fn ipv4_options(story: &mut Story) {
    let options = |options: &[u8]| v4().v4(|v4| v4.options = options.to_vec());
    for (what, bytes, reason) in [
        ("a record of the route", &[7, 7, 4, 0, 0, 0, 0, 0][..], "allowed"),
        ("a time stamp", &[68, 8, 5, 0, 0, 0, 0, 0], "allowed"),
        ("router alert", &[148, 4, 0, 0], "allowed"),
        ("basic security", &[130, 4, 0, 0], "allowed"),
        ("nothing, forty times", &[1; 40], "allowed"),
        ("the end, and whatever behind it", &[0, 0x83, 3, 4], "allowed"),
        ("an option of 38 bytes behind padding", &long_option(), "allowed"),
        ("loose source route", &[0x83, 7, 4, 10, 9, 9, 9, 0], "malformed"),
        ("loose source route without an address", &[0x83, 3, 4, 0], "malformed"),
        ("strict source route", &[0x89, 7, 4, 10, 9, 9, 9, 0], "malformed"),
        ("strict source route behind padding", &[1, 0x89, 7, 4, 10, 9, 9, 9], "malformed"),
        ("loose source route behind a record", &[7, 3, 4, 1, 0x83, 7, 4, 1, 1, 1, 1, 0], "malformed"),
        ("a source route in its last byte", &[1, 1, 1, 0x83], "malformed"),
        ("an option without its length", &[1, 1, 1, 7], "malformed"),
        ("an option of length 0", &[7, 0, 0, 0], "malformed"),
        ("an option of length 1", &[7, 1, 0, 0], "malformed"),
        ("an option beyond the header", &[7, 5, 4, 0], "malformed"),
        ("an option of 255 bytes", &[7, 255, 4, 0], "malformed"),
        ("an option within an option", &[7, 4, 0x83, 3], "allowed"),
    ] {
        is(story, what, &options(bytes), reason);
        let refused = options(bytes).udp(1_000, 54);
        let answer = if reason == "allowed" { "drop not-allowed ct-1" } else { "drop malformed" };
        story.once(&hospital(), &format!("{what}, another port"), DEVICE, &refused, answer);
    }
}

fn long_option() -> Vec<u8> {
    let mut options = vec![0; 40];
    (options[0], options[1], options[2], options[3]) = (1, 1, 7, 38);
    options
}

fn ipv6_lengths(story: &mut Story) {
    let payload = |length| v6().v6(|v6| v6.payload_length = Some(length));
    let jumbo = Extension { kind: 0, length: None, body: vec![0xc2, 4, 0, 1, 0, 0] };
    for (what, frame, reason) in [
        ("no payload", payload(0), "malformed"),
        ("a payload that ends in the UDP header", payload(7), "malformed"),
        ("a payload that is the UDP header, whose length says more", payload(8), "malformed"),
        ("its own length", payload(12), "allowed"),
        ("a byte more than there is", payload(13), "malformed"),
        ("a byte more, which is padding", payload(13).padding(1), "allowed"),
        ("the longest", payload(65_535), "malformed"),
        ("a jumbogram", payload(0).extension(jumbo.clone()), "unsupported"),
        ("a jumbo option without a jumbogram", v6().extension(jumbo), "allowed"),
        (
            "no payload behind hop-by-hop options",
            payload(0).extension(Extension::hop_by_hop()),
            "unsupported",
        ),
    ] {
        is(story, what, &frame, reason);
    }
}

fn ipv6_extension_headers(story: &mut Story) {
    let chain =
        |length: usize| (0..length).fold(v6(), |frame, _| frame.extension(Extension::destination_options()));
    let routing = |kind, left, body: usize| {
        let mut bytes = vec![0; 6 + body];
        (bytes[0], bytes[1]) = (kind, left);
        v6().extension(Extension { kind: 43, length: None, body: bytes })
    };
    let sized =
        |length, body| v6().extension(Extension { kind: 60, length: Some(length), body: vec![0; body] });
    for (what, frame, reason) in [
        ("eight headers", chain(8), "allowed"),
        ("nine headers", chain(9), "unsupported"),
        ("hop-by-hop options first", v6().extension(Extension::hop_by_hop()), "allowed"),
        ("hop-by-hop options second", chain(1).extension(Extension::hop_by_hop()), "malformed"),
        (
            "hop-by-hop options twice",
            v6().extension(Extension::hop_by_hop()).extension(Extension::hop_by_hop()),
            "malformed",
        ),
        ("a source route (type 0)", routing(0, 0, 0), "malformed"),
        ("a source route with a segment left", routing(0, 1, 16), "malformed"),
        ("a mobility route", routing(2, 0, 16), "allowed"),
        ("a mobility route with its segment left", routing(2, 1, 16), "unsupported"),
        ("segment routing", routing(4, 0, 16), "allowed"),
        ("segment routing with a segment left", routing(4, 1, 16), "unsupported"),
        ("segment routing with 255 left", routing(4, 255, 16), "unsupported"),
        ("authentication", v6().extension(Extension::authentication()), "allowed"),
        ("a header of 2048 bytes", sized(255, 2_046), "allowed"),
        ("a header that is one unit longer than the packet", sized(2, 6), "malformed"),
        ("a header far longer than the packet", sized(255, 6), "malformed"),
        ("a header that reaches into the padding", sized(3, 6).padding(64), "malformed"),
        ("a header whose second half is read as UDP", sized(0, 14), "malformed"),
        ("half a header", v6().protocol(60, &[17, 0, 0, 0, 0, 0, 0]), "malformed"),
        ("half a header, and padding", v6().protocol(60, &[17, 0, 0]).padding(64), "malformed"),
    ] {
        is(story, what, &frame, reason);
    }
    for number in [59, 135, 139, 140, 253, 254, 255] {
        let unknown = v6().extension(Extension::destination_options()).protocol(number, &[0; 16]);
        let what = format!("next header {number} behind options");
        story.once(&hospital(), &what, DEVICE, &unknown, "drop not-allowed ct-1");
    }
}

fn versions(story: &mut Story) {
    for version in [0, 1, 4, 5, 6, 7, 15] {
        let reason = |right| if version == right { "allowed" } else { "malformed" };
        is(story, &format!("{version} in IPv4"), &v4().v4(|v4| v4.version = version), reason(4));
        is(story, &format!("{version} in IPv6"), &v6().v6(|v6| v6.version = version), reason(6));
    }
    let swapped = Frame { ethertype: Some(0x86dd), ..v4() };
    is(story, "IPv4 in a frame for IPv6", &swapped, "malformed");
    let swapped = Frame { ethertype: Some(0x0800), ..v6() };
    is(story, "IPv6 in a frame for IPv4", &swapped, "malformed");
    let arp = Frame { ethertype: Some(0x0806), ..v4() };
    is(story, "IPv4 in a frame for ARP", &arp, "malformed");
}

fn ways() -> [Frame; 2] {
    [
        hospital().from("ct-1").to("10.20.0.10").tcp(1_000, 104).syn(),
        Frame::from(hospital().v6("ct-1")).to("2001:db8:20::10").tcp(1_000, 104).syn(),
    ]
}

fn tcp_lengths(story: &mut Story) {
    for way in ways() {
        let tcp = |change: fn(&mut Tcp)| {
            way.clone().transport(|transport| {
                if let Transport::Tcp(tcp) = transport {
                    change(tcp);
                }
            })
        };
        for (what, frame, reason) in [
            ("a header of no words", tcp(|tcp| tcp.offset = Some(0)), "malformed"),
            ("a header of four words", tcp(|tcp| tcp.offset = Some(4)), "malformed"),
            ("a header of five words", tcp(|tcp| tcp.offset = Some(5)), "allowed"),
            ("a header one word longer than the segment", tcp(|tcp| tcp.offset = Some(6)), "malformed"),
            ("the longest header", tcp(|tcp| tcp.options = vec![1; 40]), "allowed"),
            ("the longest header, not there", tcp(|tcp| tcp.offset = Some(15)), "malformed"),
            (
                "a header that reaches into the padding",
                tcp(|tcp| tcp.offset = Some(6)).padding(4),
                "malformed",
            ),
            ("data taken for options", tcp(|tcp| (tcp.offset, tcp.body) = (Some(6), vec![0; 4])), "allowed"),
            ("a wrong checksum", tcp(|tcp| tcp.checksum = Some(0xdead)), "allowed"),
        ] {
            is(story, what, &frame, reason);
        }
    }
}

fn udp_lengths(story: &mut Story) {
    for way in [v4(), v6()] {
        let udp = |change: fn(&mut Udp)| {
            way.clone().transport(|transport| {
                if let Transport::Udp(udp) = transport {
                    change(udp);
                }
            })
        };
        for (what, frame, reason) in [
            ("length 0", udp(|udp| udp.length = Some(0)), "malformed"),
            ("shorter than its header", udp(|udp| udp.length = Some(7)), "malformed"),
            ("its header alone, with more behind it", udp(|udp| udp.length = Some(8)), "allowed"),
            ("its own length", udp(|udp| udp.length = Some(12)), "allowed"),
            ("a byte longer than the packet", udp(|udp| udp.length = Some(13)), "malformed"),
            ("the same with padding", udp(|udp| udp.length = Some(13)).padding(8), "malformed"),
            ("the longest", udp(|udp| udp.length = Some(65_535)), "malformed"),
            ("no checksum", udp(|udp| udp.checksum = Some(0)), "allowed"),
            ("a wrong checksum", udp(|udp| udp.checksum = Some(0xdead)), "allowed"),
        ] {
            is(story, what, &frame, reason);
        }
    }
}

fn short_headers(story: &mut Story) {
    for way in ways() {
        let is_v4 = matches!(way.internet, crate::packet::Internet::V4(_));
        let icmp = if is_v4 { 1 } else { 58 };
        for (what, number, length) in [
            ("TCP without a header", 6, 0),
            ("TCP of 19 bytes", 6, 19),
            ("UDP without a header", 17, 0),
            ("UDP of 7 bytes", 17, 7),
            ("ICMP without a header", icmp, 0),
            ("ICMP of 7 bytes", icmp, 7),
            ("SCTP without a header", 132, 0),
            ("SCTP of 11 bytes", 132, 11),
        ] {
            is(story, what, &way.clone().protocol(number, &vec![0x55; length]), "malformed");
        }
    }
}

fn arp_lengths(story: &mut Story) {
    let arp = || Frame::arp(hospital().v4("ct-1"), "10.10.0.1");
    let length = arp().bytes().len();
    story.once(&hospital(), "ARP", DEVICE, &arp(), "pass link");
    let ieee_802 = arp().overwrite(length - 27, 6);
    story.once(&hospital(), "ARP of IEEE 802 networks", DEVICE, &ieee_802, "pass link").bytes_matter();
    for (what, frame) in [
        ("ARP, a byte short", arp().truncate(length - 1)),
        ("ARP for other hardware", arp().overwrite(length - 27, 7)),
        ("ARP for hardware beyond 255", arp().overwrite(length - 28, 1)),
        ("ARP for another protocol", arp().overwrite(length - 26, 0x86)),
        ("ARP with long hardware addresses", arp().overwrite(length - 24, 8)),
        ("ARP with IPv6 addresses", arp().overwrite(length - 23, 16)),
    ] {
        for port in [DEVICE, UPLINK] {
            story.once(&hospital(), what, port, &frame, "drop malformed").bytes_matter();
            story.once(&lenient(), what, port, &frame, "pass malformed").bytes_matter();
        }
    }
}
