//! Fragments: judged by what they belong to.

use iomt_filter_common::policy::Otherwise;

use super::{DEVICE, Story, UPLINK};
use crate::packet::{Extension, Frame, Transport};
use crate::world::{World, hospital, net};

stories![
    later_fragments_are_judged_as_their_first_one,
    a_later_fragment_belongs_to_one_packet,
    fragments_that_write_over_the_header,
    first_fragments_without_their_header,
    first_fragments_that_end_in_an_extension_header,
    fragments_beyond_the_longest_packet,
    atomic_fragments_are_whole,
    fragments_on_the_uplink,
    the_first_fragment_is_judged_by_every_line,
    what_is_left_of_a_dropped_packet_does_not_pass_later,
];

/// Connections and datagrams, and what is said of the whole packet.
fn conversations(world: &World) -> Vec<(Frame, &'static str)> {
    let ct = world.from("ct-1");
    let ct6 = || Frame::from(world.v6("ct-1"));
    vec![
        (ct.clone().to("10.20.0.10").tcp(40_000, 104).syn(), "pass allowed ct-1"),
        (ct.clone().to("10.20.0.10").tcp(40_000, 105).syn(), "drop not-allowed ct-1"),
        (ct.clone().to("10.0.0.53").udp(40_001, 53), "pass allowed ct-1"),
        (ct.to("10.0.0.53").udp(40_001, 9), "drop not-allowed ct-1"),
        (ct6().to("2001:db8:20::10").tcp(40_000, 104).syn(), "pass allowed ct-1"),
        (ct6().to("2001:db8:20::10").tcp(40_000, 105).syn(), "drop not-allowed ct-1"),
        (ct6().to("2001:db8:20::53").udp(40_001, 53), "pass allowed ct-1"),
        (ct6().to("2001:db8:20::53").udp(40_001, 9), "drop not-allowed ct-1"),
    ]
}

/// What is said of later fragments.
fn later(answer: &'static str) -> &'static str {
    if answer == "pass allowed ct-1" { "pass established ct-1" } else { answer }
}

fn later_fragments_are_judged_as_their_first_one(story: &mut Story) {
    let world = hospital();
    for (frame, answer) in conversations(&world) {
        let part = |offset, more| frame.clone().fragment(700, offset, more);
        story.once(&world, "the whole packet", DEVICE, &frame, answer);
        story
            .once(&world, "no first fragment", DEVICE, &part(1_480, false), "drop fragment")
            .frame("the first", DEVICE, &part(0, true), answer)
            .frame("the second", DEVICE, &part(1_480, true), later(answer))
            .frame("the last", DEVICE, &part(2_960, false), later(answer))
            .wait(29)
            .frame("in time", DEVICE, &part(4_440, false), later(answer))
            .wait(2)
            .frame("half a minute after the first", DEVICE, &part(5_920, false), "drop fragment")
            .frame("another first", DEVICE, &part(0, true), later(answer))
            .frame("and the rest of it", DEVICE, &part(1_480, false), later(answer));
    }
}

fn a_later_fragment_belongs_to_one_packet(story: &mut Story) {
    let world = hospital();
    for (frame, answer) in conversations(&world) {
        let first = frame.clone().fragment(700, 0, true);
        let rest = |number| frame.clone().fragment(number, 1_480, false);
        let neighbour = |address: &str| Frame::from(world.v4("ct-1")).to(address).udp(1, 2);
        story
            .once(&world, "the first", DEVICE, &first, answer)
            .frame("of another packet", DEVICE, &rest(701), "drop fragment")
            .frame("of none", DEVICE, &rest(0), "drop fragment")
            .frame(
                "to another peer",
                DEVICE,
                &neighbour("10.20.0.11").fragment(700, 1_480, false),
                "drop fragment",
            )
            .frame("its own", DEVICE, &rest(700), later(answer));
    }
    // Identifications count per protocol in IPv4 (RFC 791), and for all of them in IPv6 (RFC 8200).
    let first = world.from("ct-1").to("10.0.0.53").udp(1, 53).fragment(700, 0, true);
    let tcp = world.from("ct-1").to("10.0.0.53").tcp(1, 53).fragment(700, 1_480, false);
    let play = story.once(&world, "UDP", DEVICE, &first, "pass allowed ct-1").family_matters();
    play.frame("TCP of the same number", DEVICE, &tcp, "drop fragment");
    let first = Frame::from(world.v6("ct-1")).to("2001:db8:20::53").udp(1, 53).fragment(70_000, 0, true);
    let low = Frame::from(world.v6("ct-1")).to("2001:db8:20::53").udp(1, 53).fragment(4_464, 1_480, false);
    let play = story.once(&world, "32 bits in IPv6", DEVICE, &first, "pass allowed ct-1");
    play.frame("the same lower 16", DEVICE, &low, "drop fragment");
}

/// RFC 3128: a second fragment that begins within the transport header.
fn fragments_that_write_over_the_header(story: &mut Story) {
    let world = hospital();
    for (frame, answer) in conversations(&world) {
        let first = frame.clone().fragment(700, 0, true);
        let length = if matches!(frame.transport, Transport::Tcp(_)) { 20 } else { 12 };
        for offset in (8..length).step_by(8) {
            let over = frame.clone().fragment(700, offset, false);
            story.once(&world, "the first", DEVICE, &first, answer).frame(
                &format!("over byte {offset}"),
                DEVICE,
                &over,
                "drop fragment",
            );
        }
    }
}

fn first_fragments_without_their_header(story: &mut Story) {
    let world = hospital();
    for way in [world.from("ct-1").to("10.20.0.10"), Frame::from(world.v6("ct-1")).to("2001:db8:20::10")] {
        for (what, number, length) in
            [("TCP", 6, 8), ("TCP but four bytes", 6, 16), ("UDP", 17, 0), ("SCTP", 132, 8)]
        {
            let tiny = way.clone().protocol(number, &vec![0x55; length]).fragment(700, 0, true);
            for port in [DEVICE, UPLINK] {
                story.once(&world, &format!("{length} bytes of {what}"), port, &tiny, "drop fragment");
            }
        }
        let reaching = way.clone().tcp(1, 104).syn().transport(|transport| {
            if let Transport::Tcp(tcp) = transport {
                tcp.offset = Some(6);
            }
        });
        let reaching = reaching.fragment(700, 0, true).padding(40);
        story.once(&world, "TCP options in the padding", DEVICE, &reaching, "drop fragment");
        let empty = way.protocol(253, &[]).fragment(700, 0, true);
        story.once(&world, "a first fragment of nothing", DEVICE, &empty, "drop not-allowed ct-1");
    }
}

/// RFC 7112: nobody could say what the packet is.
fn first_fragments_that_end_in_an_extension_header(story: &mut Story) {
    let world = hospital();
    let way = || Frame::from(world.v6("ct-1")).to("2001:db8:20::53");
    for (what, number, bytes) in [
        ("behind its own header", 60, &[][..]),
        ("in options", 60, &[17, 0, 1]),
        ("in options that are longer", 60, &[17, 2, 1, 20, 0, 0, 0, 0]),
        ("in an authentication header", 51, &[17, 4, 0, 0, 0, 0, 0, 1]),
        ("in a route", 43, &[17, 4, 4, 0, 0, 0, 0, 0]),
        ("in another fragment header", 44, &[17, 0, 0, 1]),
    ] {
        let first = way().protocol(number, bytes).fragment(700, 0, true);
        let rest = way().protocol(number, &[0x11; 64]).fragment(700, 8, false);
        for port in [DEVICE, UPLINK] {
            story.once(&world, what, port, &first, "drop fragment").frame(
                "the rest",
                port,
                &rest,
                "drop fragment",
            );
        }
        let whole = way().protocol(number, bytes);
        story.once(&world, &format!("{what}, all of it"), DEVICE, &whole, "drop malformed");
        let lenient = World { unparsed: Otherwise::Pass, ..hospital() };
        story.once(&lenient, &format!("{what}, where that may pass"), DEVICE, &first, "pass fragment");
    }
    let options = Extension::destination_options();
    let complete = way().fragment(700, 0, true).extension(options).udp(1_000, 53);
    story.once(&world, "with all of its options", DEVICE, &complete, "pass allowed ct-1");
}

/// Whose parts would add up to more than 65535 bytes.
fn fragments_beyond_the_longest_packet(story: &mut Story) {
    let world = hospital();
    for (frame, answer) in conversations(&world) {
        let first = frame.clone().fragment(700, 0, true);
        let part = |offset| frame.clone().protocol(17, &[0; 24]).fragment(700, offset, false);
        let number = if matches!(frame.transport, Transport::Tcp(_)) { 6 } else { 17 };
        let fits = frame.clone().protocol(number, &[0; 15]).fragment(700, 65_520, false);
        story
            .once(&world, "the first", DEVICE, &first, answer)
            .frame("a part that ends too far", DEVICE, &part(65_520), "drop malformed")
            .frame("the last part that fits", DEVICE, &fits, later(answer));
        story.once(&world, "too far, without a first", UPLINK, &part(65_520), "drop malformed");
    }
}

/// RFC 6946, and its counterpart in IPv4: no more to come, and nothing before.
fn atomic_fragments_are_whole(story: &mut Story) {
    let world = hospital();
    for (frame, answer) in conversations(&world) {
        let whole = frame.clone().fragment(700, 0, false);
        story.once(&world, "the only part", DEVICE, &whole, answer).frame(
            "nothing belongs to it",
            DEVICE,
            &frame.fragment(700, 1_480, false),
            "drop fragment",
        );
    }
}

fn fragments_on_the_uplink(story: &mut Story) {
    let world = hospital();
    for (from, to) in [("10.20.0.10", world.v4("ct-1")), ("2001:db8:20::10", world.v6("ct-1"))] {
        let opened = Frame::from(from).to(to).untagged().tcp(1, 11_112).syn();
        let part = |offset, more| opened.clone().fragment(700, offset, more);
        story.once(&world, "the first", UPLINK, &part(0, true), "pass allowed ct-1").frame(
            "the rest",
            UPLINK,
            &part(1_480, false),
            "pass established ct-1",
        );
        let refused = |offset, more| opened.clone().tcp(1, 11_113).syn().fragment(700, offset, more);
        story.once(&world, "the first", UPLINK, &refused(0, true), "drop not-allowed ct-1").frame(
            "the rest",
            UPLINK,
            &refused(1_480, false),
            "drop not-allowed ct-1",
        );
    }
    let passing = Frame::from("10.20.0.10").to("10.30.0.1").udp(1, 2);
    story
        .once(&world, "between others", UPLINK, &passing.clone().fragment(1, 0, true), "pass no-device")
        .frame("the rest", UPLINK, &passing.fragment(1, 1_480, false), "pass no-device");
}

fn the_first_fragment_is_judged_by_every_line(story: &mut Story) {
    let world = hospital();
    let cases = [
        ("in quarantine", world.from("locked-1").to("10.20.0.10").udp(1, 2), "drop quarantine locked-1"),
        ("listed", world.from("ct-1").to("203.0.113.9").udp(1, 2), "drop blocklist ct-1"),
        ("abroad", world.from("ct-1").to("198.51.100.200").udp(1, 2), "drop geo ct-1"),
        ("spoofed", world.from("ct-1").to("10.0.0.53").udp(1, 53).source_mac([9; 6]), "drop spoofed ct-1"),
        ("no flow", world.from("ct-1").to("10.20.0.10").tcp(1, 104).ack(), "drop no-flow ct-1"),
        ("monitor", world.from("monitor-1").to("10.0.0.53").udp(1, 53), "would-drop not-allowed monitor-1"),
        ("learn", world.from("learner-1").to("10.0.0.53").udp(1, 53), "pass learned learner-1"),
        ("a DHCP server", world.from("pump-1").to("10.0.0.9").udp(67, 68), "drop rogue-dhcp"),
    ];
    for (what, frame, answer) in cases {
        story.once(&world, what, DEVICE, &frame.clone().fragment(7, 0, true), answer).frame(
            "the rest",
            DEVICE,
            &frame.fragment(7, 1_480, false),
            answer,
        );
    }
}

fn what_is_left_of_a_dropped_packet_does_not_pass_later(story: &mut Story) {
    let world = hospital();
    let mut blocked = world.clone();
    blocked.feeds[0].entries.push(net("10.0.0.53"));
    let question = world.from("ct-1").to("10.0.0.53").udp(40_001, 53);
    let answer = question.reversed();
    story
        .once(
            &blocked,
            "while it is listed",
            DEVICE,
            &question.clone().fragment(700, 0, true),
            "drop blocklist ct-1",
        )
        .frame(
            "as long as it is, the rest says why",
            DEVICE,
            &question.clone().fragment(700, 1_480, true),
            "drop blocklist ct-1",
        )
        .load(&world)
        .frame("no longer listed", DEVICE, &question.clone().fragment(700, 2_960, false), "drop fragment")
        .frame("nothing was asked", UPLINK, &answer, "drop not-allowed ct-1")
        .frame("the packet again", DEVICE, &question.fragment(701, 0, true), "pass allowed ct-1")
        .frame("an answer", UPLINK, &answer, "pass established ct-1");
}
