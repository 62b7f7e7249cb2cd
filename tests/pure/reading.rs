//! Frames to fields: what is read, and what a frame that lies is called.

use iomt_filter_common::device::Port;
use iomt_filter_common::packet::Packet;
use iomt_filter_common::{Unparsed, parse};
use iomt_filter_tests::judge::{Fields, Host, Judge};
use iomt_filter_tests::packet::{
    Extension, Frame, Internet, SYN, TPID_8021AD, TPID_8021Q, TPID_QINQ, Transport,
};
use iomt_filter_tests::world::hospital;

use Unparsed::{Fragment, Malformed, NotIp, Unsupported};

fn v4() -> Frame {
    Frame::from("192.0.2.1").to("192.0.2.2")
}

fn v6() -> Frame {
    Frame::from("2001:db8::1").to("2001:db8::2")
}

fn fields(frame: &Frame) -> Fields {
    Host::of(&hospital()).judge(&frame.bytes(), Port::Uplink, 1).fields
}

#[track_caller]
fn reads(what: &str, frame: &Frame, expected: Result<(), Unparsed>) {
    assert_eq!(parse(frame.bytes().as_slice(), &mut Packet::default()), expected, "{what}");
}

#[test]
fn fields_are_read() {
    let read = fields(&v4().vlan(5).outer_tag(TPID_8021AD, 7).tcp(49152, 104).syn().hop_limit(9));
    assert_eq!(read.vlan, [7, 5]);
    assert_eq!((read.version, read.protocol, read.hop_limit, read.tcp_flags), (4, 6, 9, SYN));
    assert_eq!(read.ports, (49152, 104));
    assert_eq!(read.addresses, Some(("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap())));
    assert_eq!(read.length, 14 + 8 + 20 + 20);

    let read =
        fields(&v6().ping(77).extension(Extension::hop_by_hop()).extension(Extension::authentication()));
    assert_eq!((read.version, read.protocol, read.icmp, read.ports), (6, 58, (128, 0), (77, 77)));

    let read = fields(&v4().sctp(1, 2));
    assert_eq!((read.protocol, read.ports), (132, (1, 2)));

    let read = fields(&v4().udp(1, 2).fragment(0xbeef, 1480, true));
    assert_eq!(read.fragment, Some((0xbeef, 1480)));
    let read = fields(&v6().udp(1, 2).fragment(0xdead_beef, 1480, false));
    assert_eq!((read.fragment, read.protocol), (Some((0xdead_beef, 1480)), 17));
    let read = fields(&v6().udp(1, 2).fragment(9, 0, false));
    assert_eq!((read.fragment, read.ports), (None, (1, 2)), "an atomic fragment is whole");
}

#[test]
fn ethernet() {
    reads("nothing", &v4().truncate(0), Err(Malformed));
    reads("half a header", &v4().truncate(13), Err(Malformed));
    reads("a header and nothing behind it", &v4().truncate(14), Err(Malformed));
    reads("half a tag", &v4().vlan(1).truncate(17), Err(Malformed));
    reads("two tags", &v4().vlan(1).outer_tag(TPID_QINQ, 2), Ok(()));
    reads("three tags", &v4().vlan(1).outer_tag(TPID_QINQ, 2).outer_tag(TPID_8021Q, 3), Err(Unsupported));
    reads("somebody else's EtherType", &Frame::ethernet(0x0900, &[0; 40]), Err(NotIp));
    reads("an 802.3 frame", &Frame::ethernet(40, &[0xaa; 40]), Err(NotIp));
    let stp = Frame::ethernet(40, &[0x42, 0x42, 3]);
    reads("a spanning tree frame to somebody else", &stp, Err(NotIp));
    reads("a spanning tree frame", &stp.destination_mac([1, 0x80, 0xc2, 0, 0, 0]), Ok(()));
    reads("a slow protocol that is not LACP", &Frame::ethernet(0x8809, &[3]), Err(NotIp));
    reads("an empty slow protocol", &Frame::ethernet(0x8809, &[]), Err(NotIp));
}

#[test]
fn arp() {
    let arp = || Frame::arp("192.0.2.1", "192.0.2.2");
    reads("for IPv4 over Ethernet", &arp(), Ok(()));
    reads("cut short", &arp().truncate(41), Err(Malformed));
    let lie = |change: fn(&mut iomt_filter_tests::packet::Arp)| {
        let mut frame = arp();
        if let Internet::Arp(arp) = &mut frame.internet {
            change(arp);
        }
        frame
    };
    reads("for IEEE 802 networks", &lie(|arp| arp.hardware = 6), Ok(()));
    reads("for other hardware", &lie(|arp| arp.hardware = 7), Err(Malformed));
    reads("for another protocol", &lie(|arp| arp.protocol = 0x86dd), Err(Malformed));
    reads("with other lengths", &lie(|arp| arp.lengths = (6, 16)), Err(Malformed));
}

#[test]
fn ipv4() {
    let udp = || v4().udp(1, 2);
    reads("all options", &udp().v4(|v4| v4.options = vec![1; 40]), Ok(()));
    reads("version 6 in an IPv4 frame", &udp().v4(|v4| v4.version = 6), Err(Malformed));
    reads("a header of 16 bytes", &udp().v4(|v4| v4.header_words = Some(4)), Err(Malformed));
    reads("a header longer than the packet", &udp().v4(|v4| v4.header_words = Some(15)), Err(Malformed));
    reads("a packet longer than the frame", &udp().v4(|v4| v4.total_length = Some(33)), Err(Malformed));
    reads("the same with padding enough", &udp().v4(|v4| v4.total_length = Some(33)).padding(1), Ok(()));
    reads("a packet of length 0", &udp().v4(|v4| v4.total_length = Some(0)), Err(Malformed));
    let padded = udp().v4(|v4| v4.total_length = Some(27)).padding(40);
    reads("a UDP header that reaches into the padding", &padded, Err(Malformed));
    reads("ICMPv6 in IPv4 is a protocol like any other", &v4().protocol(58, &[]), Ok(()));
}

#[test]
fn ipv6() {
    let udp = || v6().udp(1, 2);
    reads("version 4 in an IPv6 frame", &udp().v6(|v6| v6.version = 4), Err(Malformed));
    reads("a payload longer than the frame", &udp().v6(|v6| v6.payload_length = Some(13)), Err(Malformed));
    reads(
        "a jumbogram",
        &udp().extension(Extension::hop_by_hop()).v6(|v6| v6.payload_length = Some(0)),
        Err(Unsupported),
    );
    reads("no payload for UDP", &udp().v6(|v6| v6.payload_length = Some(0)), Err(Malformed));
    reads("no next header", &v6().protocol(59, &[]), Ok(()));
    let chain =
        |length: usize| (0..length).fold(udp(), |frame, _| frame.extension(Extension::destination_options()));
    reads("eight extension headers", &chain(8), Ok(()));
    reads("nine extension headers", &chain(9), Err(Unsupported));
    reads(
        "hop-by-hop options that are not first",
        &chain(1).extension(Extension::hop_by_hop()),
        Err(Malformed),
    );
    reads("a source route", &udp().extension(Extension::routing(0)), Err(Malformed));
    reads("a mobility route", &udp().extension(Extension::routing(2)), Ok(()));
    let lying = Extension { length: Some(40), ..Extension::destination_options() };
    reads("an extension header longer than the packet", &udp().extension(lying), Err(Malformed));
    let padded = Extension { length: Some(3), ..Extension::destination_options() };
    reads(
        "an extension header that reaches into the padding",
        &udp().extension(padded).padding(64),
        Err(Malformed),
    );
}

/// Guards: what was refused for its end alone had lost which fragment it was.
#[test]
fn a_fragment_that_ends_too_far_is_still_one() {
    for frame in [v4(), v6()] {
        for offset in [65_504, 65_528] {
            let part = frame.clone().protocol(253, &[0; 48]).fragment(77, offset, true);
            reads("beyond the longest packet", &part, Err(Malformed));
            assert_eq!(fields(&part).fragment, Some((77, offset)));
        }
    }
}

#[test]
fn every_extension_header_belongs_into_the_first_fragment() {
    for (kind, cut) in [
        (60, &[][..]),
        (60, &[17]),
        (60, &[17, 0, 1, 4, 0, 0, 0]),
        (60, &[17, 1, 1, 12, 0, 0, 0, 0]),
        (51, &[17, 4, 0, 0, 0, 0, 0, 0]),
        (43, &[17, 2, 4, 0, 0, 0, 0, 0]),
        (44, &[17, 0, 0, 0]),
    ] {
        let chain = || v6().protocol(kind, cut);
        reads("cut in the first fragment", &chain().fragment(1, 0, true), Err(Fragment));
        reads("the same with padding", &chain().fragment(1, 0, true).padding(64), Err(Fragment));
        reads("cut in a whole packet", &chain(), Err(Malformed));
        reads("cut in an atomic fragment", &chain().fragment(1, 0, false), Err(Malformed));
        reads("a later fragment has none", &chain().fragment(1, 8, false), Ok(()));
    }
}

#[test]
fn transport() {
    let tcp = || v4().tcp(1, 2);
    let with_offset = |words: u8| {
        tcp().transport(|transport| {
            if let Transport::Tcp(tcp) = transport {
                tcp.offset = Some(words);
            }
        })
    };
    reads("a TCP header of 16 bytes", &with_offset(4), Err(Malformed));
    reads("a TCP header longer than the segment", &with_offset(6), Err(Malformed));
    reads("the same in a first fragment", &with_offset(6).fragment(1, 0, true), Err(Fragment));
    reads("the same with padding", &with_offset(6).padding(40), Err(Malformed));
    reads(
        "TCP in a tiny first fragment",
        &tcp().v4(|v4| v4.total_length = Some(36)).fragment(1, 0, true),
        Err(Fragment),
    );
    let udp = |length: u16| {
        v4().udp(1, 2).transport(|transport| {
            if let Transport::Udp(udp) = transport {
                udp.length = Some(length);
            }
        })
    };
    reads("UDP shorter than its header", &udp(7), Err(Malformed));
    reads("UDP longer than the packet", &udp(13), Err(Malformed));
    reads("the same in a first fragment", &udp(13).fragment(1, 0, true), Ok(()));
    reads("half an ICMP header", &v4().protocol(1, &[8, 0, 0, 0, 0, 0, 0]), Err(Malformed));
    reads("half an SCTP header", &v4().protocol(132, &[0; 11]), Err(Malformed));
}
