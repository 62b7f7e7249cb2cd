//! Blocked connections that are told so, and the segment that tells them.

use iomt_filter_common::policy::Mode;

use super::{DEVICE, Story, UPLINK};
use crate::packet::{ACK, Extension, FIN, Frame, PSH, RST, SYN, Tcp, Transport};
use crate::world::{World, hospital, net};

stories![
    which_reasons_are_told,
    what_is_never_answered,
    the_profile_of_who_is_blamed_decides,
    sequence_numbers,
    what_goes_back_has_headers_alone,
    a_running_connection_that_is_cut,
];

fn world() -> World {
    let mut world = hospital();
    world.profiles.iter_mut().for_each(|profile| profile.resets = true);
    world
}

/// Both families of a scanner that calls somebody, and the answer's address.
fn calls(world: &World, v4: &str, v6: &str) -> [Frame; 2] {
    [world.from("ct-1").to(v4), Frame::from(world.v6("ct-1")).to(v6)]
}

fn segment(frame: Frame, change: impl FnOnce(&mut Tcp)) -> Frame {
    frame.transport(|transport| {
        if let Transport::Tcp(tcp) = transport {
            change(tcp);
        }
    })
}

fn which_reasons_are_told(story: &mut Story) {
    for (what, v4, v6, reason) in [
        ("no rule", "10.20.0.12", "2001:db8:20::99", "not-allowed"),
        ("listed", "203.0.113.9", "2001:db8:bad::1", "blocklist"),
        ("abroad", "198.51.100.200", "2001:db8:b::1", "geo"),
    ] {
        let world = world();
        for way in calls(&world, v4, v6) {
            let syn = way.clone().tcp(1_000, 104).syn();
            let answer = format!("reset {reason} ct-1");
            story.once(&world, what, DEVICE, &syn, &answer).answered_by(RST | ACK, 0, 2);
            let back = syn.reversed().untagged();
            story.once(&world, &format!("{what}, received"), UPLINK, &back, &answer).answered_by(
                RST | ACK,
                0,
                2,
            );
            let plain = format!("drop {reason} ct-1");
            story.once(&hospital(), &format!("{what}, `drop`"), DEVICE, &syn, &plain);
            story.once(&hospital(), &format!("{what}, `drop`, received"), UPLINK, &back, &plain);
        }
    }
    let world = world();
    for way in calls(&world, "10.20.0.10", "2001:db8:20::10") {
        let middle = way.clone().tcp(1_000, 104).ack();
        story.once(&world, "no flow", DEVICE, &middle, "reset no-flow ct-1").answered_by(RST, 2, 0);
        let back = middle.reversed().untagged();
        story.once(&world, "no flow, received", UPLINK, &back, "reset no-flow ct-1").answered_by(RST, 2, 0);
        let allowed = way.tcp(1_000, 104).syn();
        story.once(&world, "allowed", DEVICE, &allowed, "pass allowed ct-1");
    }
}

fn what_is_never_answered(story: &mut Story) {
    let world = world();
    for way in calls(&world, "10.20.0.12", "2001:db8:20::99") {
        let tcp = |flags| way.clone().tcp(1_000, 104).flags(flags);
        for (what, frame, told) in [
            ("RST", tcp(RST), "drop no-flow ct-1"),
            ("RST and ACK", tcp(RST | ACK), "drop no-flow ct-1"),
            ("SYN and RST", tcp(SYN | RST), "drop not-allowed ct-1"),
            ("UDP", way.clone().udp(1_000, 104), "drop not-allowed ct-1"),
            ("SCTP", way.clone().sctp(1_000, 104), "drop not-allowed ct-1"),
            ("ICMP", way.clone().ping(1), "drop not-allowed ct-1"),
            ("GRE", way.clone().protocol(47, &[0; 20]), "drop not-allowed ct-1"),
            ("a first fragment", tcp(SYN).fragment(7, 0, true), "drop not-allowed ct-1"),
            ("a later one without it", tcp(SYN).fragment(8, 64, false), "drop fragment"),
            ("from a group's hardware address", tcp(SYN).source_mac([3, 0, 0, 0, 0, 1]), "drop spoofed ct-1"),
            (
                "to a group's hardware address",
                tcp(SYN).destination_mac([0x33, 0x33, 0, 0, 0, 1]),
                "drop not-allowed ct-1",
            ),
            ("to everybody's hardware address", tcp(SYN).destination_mac([0xff; 6]), "drop not-allowed ct-1"),
            ("spoofed", tcp(SYN).source_mac([9; 6]), "drop spoofed ct-1"),
            ("malformed", segment(tcp(SYN), |tcp| tcp.offset = Some(4)), "drop malformed"),
            ("cut short", tcp(SYN).truncate(50), "drop malformed"),
        ] {
            story.once(&world, what, DEVICE, &frame, told);
        }
        story
            .once(&world, "a first fragment", DEVICE, &tcp(SYN).fragment(7, 0, true), "drop not-allowed ct-1")
            .frame("the rest of it", DEVICE, &tcp(SYN).fragment(7, 64, false), "drop not-allowed ct-1");
        let atomic = tcp(SYN).extension(Extension::fragment(7, 0, false));
        story
            .once(&world, "an atomic fragment is whole", DEVICE, &atomic, "reset not-allowed ct-1")
            .answered_by(RST | ACK, 0, 2);
        let back = tcp(SYN).reversed().untagged().source_mac([1, 0, 0, 0, 0, 1]);
        story.once(
            &world,
            "received from a group's hardware address",
            UPLINK,
            &back,
            "drop not-allowed ct-1",
        );
    }
    let locked = world.from("locked-1").to("10.20.0.10").tcp(1, 104).syn();
    story.once(&world, "quarantine", DEVICE, &locked, "drop quarantine locked-1");
    let unknown = Frame::from("10.10.0.99").to("10.20.0.10").source_mac([9; 6]).tcp(1, 104).syn();
    story.once(&world, "nobody's", DEVICE, &unknown, "drop unknown-device");
    let inside = Frame::from("10.20.0.10").to("10.10.0.99").tcp(1, 104).syn();
    story.once(&world, "to nobody", UPLINK, &inside, "drop unknown-device");
    let group = world.from("pump-1").to("239.1.1.1").tcp(1, 104).syn();
    story.once(&world, "TCP to a group", DEVICE, &group, "drop not-allowed pump-1");
}

fn the_profile_of_who_is_blamed_decides(story: &mut Story) {
    let all = world();
    let open = |mode| all.clone().with_mode("infusion-pump", mode);
    let out = all.from("pump-1").to("10.20.0.10").tcp(1_000, 9).syn();
    story.once(&open(Mode::Monitor), "monitor", DEVICE, &out, "would-drop not-allowed pump-1");
    story.once(&open(Mode::Learn), "learn", DEVICE, &out, "pass learned pump-1");
    let listed = all.from("pump-1").to("203.0.113.9").tcp(1_000, 9).syn();
    story
        .once(&open(Mode::Learn), "a list is not softened", DEVICE, &listed, "reset blocklist pump-1")
        .answered_by(RST | ACK, 0, 2);
    let mut pumps = hospital();
    pumps.profiles[1].resets = true;
    let to_pump = pumps.from("ct-1").to(pumps.v4("pump-1")).tcp(1_000, 9).syn();
    story.once(&pumps, "a scanner's fault, which drops", DEVICE, &to_pump, "drop not-allowed ct-1");
    let to_ct = pumps.from("pump-1").to(pumps.v4("ct-1")).tcp(1_000, 9).syn();
    story
        .once(&pumps, "a pump's fault, which resets", DEVICE, &to_ct, "reset not-allowed pump-1")
        .answered_by(RST | ACK, 0, 2);
    let learner = pumps.from("learner-1").to(pumps.v4("pump-1")).tcp(1_000, 9).syn();
    story.once(&pumps, "the stricter one's", DEVICE, &learner, "reset not-allowed pump-1").answered_by(
        RST | ACK,
        0,
        2,
    );
}

/// RFC 9293 §3.5.2: what acknowledges is answered with what it expects, anything else is acknowledged.
fn sequence_numbers(story: &mut Story) {
    let world = world();
    for way in calls(&world, "10.20.0.12", "2001:db8:20::99") {
        for (what, flags, sequence, acknowledged, length, wanted) in [
            ("SYN", SYN, 1_000, 0, 0, (RST | ACK, 0, 1_001)),
            ("SYN, and a number that counts for nothing", SYN, 1_000, 77, 0, (RST | ACK, 0, 1_001)),
            ("SYN with data", SYN, 1_000, 0, 5, (RST | ACK, 0, 1_006)),
            ("SYN and FIN", SYN | FIN, 1_000, 0, 0, (RST | ACK, 0, 1_002)),
            ("the last number", SYN, u32::MAX, 0, 0, (RST | ACK, 0, 0)),
            ("beyond the last number", SYN, u32::MAX - 2, 0, 10, (RST | ACK, 0, 8)),
            ("SYN and ACK", SYN | ACK, 1_000, 0xdead_beef, 0, (RST, 0xdead_beef, 0)),
            ("ACK", ACK, 1_000, 0xdead_beef, 0, (RST, 0xdead_beef, 0)),
            ("data", PSH | ACK, 1_000, 5, 999, (RST, 5, 0)),
            ("FIN and ACK", FIN | ACK, 1_000, 6, 0, (RST, 6, 0)),
            ("FIN", FIN, 1_000, 0, 0, (RST | ACK, 0, 1_001)),
            ("nothing", 0, 1_000, 0, 0, (RST | ACK, 0, 1_000)),
            ("data without ACK", PSH, 1_000, 0, 1_400, (RST | ACK, 0, 2_400)),
            ("much data", SYN, 0, 0, 8_900, (RST | ACK, 0, 8_901)),
        ] {
            let frame = segment(way.clone().tcp(1_000, 104).flags(flags), |tcp| {
                (tcp.sequence, tcp.acknowledged) = (sequence, acknowledged);
                tcp.body = vec![0x77; length];
            });
            let reason = if flags & (SYN | ACK) == SYN { "not-allowed" } else { "no-flow" };
            let told = format!("reset {reason} ct-1");
            let (flags, sequence, acknowledged) = wanted;
            story.once(&world, what, DEVICE, &frame, &told).answered_by(flags, sequence, acknowledged);
            let options = segment(frame, |tcp| tcp.options = vec![2, 4, 5, 180, 1, 3, 3, 7]);
            let what = format!("{what}, with options");
            story.once(&world, &what, DEVICE, &options, &told).answered_by(flags, sequence, acknowledged);
        }
    }
}

/// Tags stay; options, extension headers, data and padding do not.
fn what_goes_back_has_headers_alone(story: &mut Story) {
    let world = world();
    for way in calls(&world, "10.20.0.12", "2001:db8:20::99") {
        let syn = way.tcp(1_000, 104).syn();
        let wide = |frame: Frame| frame.v4(|v4| v4.options = vec![1; 40]);
        let chain = syn
            .clone()
            .extension(Extension::hop_by_hop())
            .extension(Extension::destination_options())
            .extension(Extension::authentication());
        for (what, frame) in [
            ("padding", syn.clone().padding(46)),
            ("much padding", syn.clone().padding(3_000)),
            ("IPv4 options", wide(syn.clone())),
            ("IPv6 extension headers", chain),
            ("all the options of TCP", segment(syn.clone(), |tcp| tcp.options = vec![1; 40])),
            ("two tags", syn.clone().outer_tag(0x88a8, 7)),
            (
                "two tags and all the options",
                segment(wide(syn).outer_tag(0x9100, 7), |tcp| tcp.options = vec![1; 40]),
            ),
        ] {
            let told = "reset not-allowed ct-1";
            story.once(&world, what, DEVICE, &frame, told).answered_by(RST | ACK, 0, 2);
            let back = frame.reversed();
            story.once(&world, &format!("{what}, received"), UPLINK, &back, told).answered_by(
                RST | ACK,
                0,
                2,
            );
        }
    }
}

fn a_running_connection_that_is_cut(story: &mut Story) {
    let world = world();
    for way in calls(&world, "10.20.0.10", "2001:db8:20::10") {
        let out = way.tcp(1_000, 104);
        let back = out.reversed().untagged();
        let mut listed = world.clone();
        listed.feeds[0].entries.extend([net("10.20.0.10"), net("2001:db8:20::10")]);
        story
            .once(&world, "opening", DEVICE, &out.clone().syn(), "pass allowed ct-1")
            .frame("answered", UPLINK, &back.clone().syn_ack(), "pass established ct-1")
            .load(&listed)
            .frame("the device is told", DEVICE, &out.clone().ack(), "reset blocklist ct-1")
            .answered_by(RST, 2, 0)
            .frame("the peer is told", UPLINK, &back.clone().ack(), "reset blocklist ct-1")
            .answered_by(RST, 2, 0)
            .frame("its own reset is not answered", UPLINK, &back.flags(RST), "drop blocklist ct-1");
    }
}
