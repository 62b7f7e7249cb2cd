//! How much a device may send, be sent, open and have open.

use iomt_filter_common::policy::{Mode, Otherwise};

use super::{DEVICE, Story, UPLINK};
use crate::packet::Frame;
use crate::world::{Limits, Peer, Rates, Rule, Service, World, hospital};

stories![
    packets_a_device_sends,
    packets_a_device_is_sent,
    packets_of_strangers,
    tokens_come_back_evenly,
    a_bucket_is_of_one_device,
    between_two_devices_both_pay,
    what_costs_nothing,
    modes_soften_limits,
    connections_a_device_opens,
    connections_to_a_device,
    a_flow_that_is_known_is_no_connection,
    flows_in_a_minute,
    the_clock_of_a_replay_may_go_back,
];

const DENIED: &str = "drop rate-limit ct-1";
const ALLOWED: &str = "pass allowed ct-1";
const KNOWN: &str = "pass established ct-1";
/// A third of a second, and a little.
const THIRD: u64 = 333_333_334;

fn packets(number: u32) -> Rates {
    Rates { packets: Some(number), connections: None }
}

fn connections(number: u32) -> Rates {
    Rates { packets: None, connections: Some(number) }
}

/// The hospital whose scanners have limits.
fn with(limits: Limits) -> World {
    let mut world = hospital();
    world.profiles[0].limits = limits;
    world
}

/// A scanner's query in both families, and its answer.
fn queries(world: &World, port: u16) -> [(Frame, Frame); 2] {
    let ways = [world.from("ct-1").to("10.0.0.53"), Frame::from(world.v6("ct-1")).to("2001:db8:20::53")];
    ways.map(|way| {
        let query = way.udp(port, 53);
        let answer = query.reversed().untagged();
        (query, answer)
    })
}

fn packets_a_device_sends(story: &mut Story) {
    let world = with(Limits { from: packets(3), ..Limits::default() });
    for (query, answer) in queries(&world, 1_000) {
        let refused = query.clone().udp(1_000, 54);
        story
            .once(&world, "the first", DEVICE, &query, ALLOWED)
            .frame("the second", DEVICE, &query, KNOWN)
            .frame("what is refused costs nothing", DEVICE, &refused, "drop not-allowed ct-1")
            .frame("the third", DEVICE, &query, KNOWN)
            .frame("one too many", DEVICE, &query, DENIED)
            .frame("what is refused is said first", DEVICE, &refused, "drop not-allowed ct-1")
            .frame("what it is sent", UPLINK, &answer, KNOWN)
            .wait(1)
            .frame("a second later", DEVICE, &query, KNOWN)
            .frame("again", DEVICE, &query, KNOWN)
            .frame("and again", DEVICE, &query, KNOWN)
            .frame("one too many", DEVICE, &query, DENIED);
    }
    let [(v4, _), (v6, _)] = queries(&world, 1_000);
    story
        .once(&world, "IPv4", DEVICE, &v4, ALLOWED)
        .frame("IPv6", DEVICE, &v6, ALLOWED)
        .frame("IPv4", DEVICE, &v4, KNOWN)
        .frame("both from one bucket", DEVICE, &v6, DENIED);
    let one = with(Limits { from: packets(1), ..Limits::default() });
    story
        .once(&one, "one a second", DEVICE, &v4, ALLOWED)
        .frame("at once", DEVICE, &v4, DENIED)
        .wait_nanoseconds(999_999_999)
        .frame("a nanosecond early", DEVICE, &v4, DENIED)
        .wait_nanoseconds(1)
        .frame("on time", DEVICE, &v4, KNOWN);
}

fn packets_a_device_is_sent(story: &mut Story) {
    let world = with(Limits { to: packets(2), ..Limits::default() });
    for (query, answer) in queries(&world, 1_000) {
        story
            .once(&world, "a query", DEVICE, &query, ALLOWED)
            .frame("an answer", UPLINK, &answer, KNOWN)
            .frame("another", UPLINK, &answer, KNOWN)
            .frame("one too many", UPLINK, &answer, DENIED)
            .frame("what it sends", DEVICE, &query, KNOWN)
            .wait_nanoseconds(500_000_000)
            .frame("half a second later", UPLINK, &answer, KNOWN)
            .frame("one too many", UPLINK, &answer, DENIED);
    }
}

fn packets_of_strangers(story: &mut Story) {
    for (choice, answer) in
        [(Otherwise::Monitor, "would-drop unknown-device"), (Otherwise::Pass, "pass unknown-device")]
    {
        let mut world = with(Limits { to: packets(2), ..Limits::default() });
        world.unknown_device = choice;
        world.profiles[0].rules.push(Rule::from(Peer::Any, Service::tcp(11_112)));
        let stranger = Frame::from("10.10.0.99").source_mac([2, 0, 0, 0, 9, 9]);
        let scan = stranger.to(world.v4("ct-1")).tcp(1, 11_112).syn();
        story
            .once(&world, "one", DEVICE, &scan, answer)
            .frame("another", DEVICE, &scan, answer)
            .frame("one too many", DEVICE, &scan, DENIED)
            .family_matters();
    }
}

fn tokens_come_back_evenly(story: &mut Story) {
    let world = with(Limits { from: packets(3), ..Limits::default() });
    for (query, _) in queries(&world, 1_000) {
        let play = story.once(&world, "the first", DEVICE, &query, ALLOWED);
        play.frame("the second", DEVICE, &query, KNOWN).frame("the third", DEVICE, &query, KNOWN);
        for _ in 0..4 {
            play.frame("none left", DEVICE, &query, DENIED).wait_nanoseconds(THIRD).frame(
                "a third of a second later",
                DEVICE,
                &query,
                KNOWN,
            );
        }
        play.wait(3_600).frame("no more than a second's worth", DEVICE, &query, ALLOWED);
        play.frame("two", DEVICE, &query, KNOWN).frame("three", DEVICE, &query, KNOWN);
        play.frame("no fourth", DEVICE, &query, DENIED);
        play.load(&world).frame("a new generation is no new bucket", DEVICE, &query, DENIED);
    }
}

fn a_bucket_is_of_one_device(story: &mut Story) {
    let world = with(Limits { from: packets(1), ..Limits::default() });
    let first = world.from("ct-1").to("10.0.0.53").udp(1, 53);
    let second = world.from("ct-2").to("10.0.0.53").udp(1, 53);
    story
        .once(&world, "one device", DEVICE, &first, ALLOWED)
        .frame("has no more", DEVICE, &first, DENIED)
        .frame("another of the same profile has", DEVICE, &second, "pass allowed ct-2")
        .frame("one", DEVICE, &second, "drop rate-limit ct-2");
}

fn between_two_devices_both_pay(story: &mut Story) {
    let mut world = hospital();
    let frame = world.from("ct-1").to(world.v4("pump-1")).udp(1, 5_000);
    world.profiles[1].limits.to.packets = Some(1);
    story.once(&world, "allowed by both", DEVICE, &frame, ALLOWED).frame(
        "the receiver's bucket is empty",
        DEVICE,
        &frame,
        "drop rate-limit pump-1",
    );
    world.profiles[0].limits.from.packets = Some(1);
    story.once(&world, "allowed by both", DEVICE, &frame, ALLOWED).frame(
        "the sender's bucket comes first",
        DEVICE,
        &frame,
        DENIED,
    );
    world.profiles[1].limits.to = connections(1);
    world.profiles[0].limits = Limits::default();
    let next = frame.clone().udp(2, 5_000);
    story
        .once(&world, "allowed by both", DEVICE, &frame, ALLOWED)
        .frame("a connection more than the receiver takes", DEVICE, &next, "drop rate-limit pump-1")
        .frame("the first goes on", DEVICE, &frame, KNOWN);
}

fn what_costs_nothing(story: &mut Story) {
    let world = with(Limits { from: packets(1), to: packets(1), ..Limits::default() });
    let query = world.from("ct-1").to("10.0.0.53").udp(1, 53);
    let arp = Frame::arp(world.v4("ct-1"), "10.10.0.1");
    let discovery = Frame::from(world.v6("ct-1")).to("2001:db8:10::1").icmp(135, 0, 0).hop_limit(255);
    let manages = Frame::from("10.0.0.5").to(world.v4("ct-1")).untagged().tcp(9, 22).syn();
    let managed = manages.reversed().vlan(110).syn_ack();
    let passing = Frame::from("10.20.0.10").to("10.30.0.1").udp(1, 2);
    let play = story.once(&world, "the only token", DEVICE, &query, ALLOWED);
    for _ in 0..3 {
        play.frame("ARP", DEVICE, &arp, "pass link")
            .frame("neighbour discovery", DEVICE, &discovery, "pass link")
            .frame("management", UPLINK, &manages, "pass management")
            .frame("its answer", DEVICE, &managed, "pass management")
            .frame("between others", UPLINK, &passing, "pass no-device");
    }
    play.frame("all the same", DEVICE, &query, DENIED).family_matters();
    play.wait(1).frame("and they have taken none", DEVICE, &query, KNOWN);
}

fn modes_soften_limits(story: &mut Story) {
    for (mode, told) in [
        (Mode::Monitor, "would-drop rate-limit ct-1"),
        (Mode::Learn, "pass learned ct-1"),
        (Mode::Enforce, DENIED),
    ] {
        let world = with(Limits { from: packets(1), ..Limits::default() }).with_mode("ct-scanner", mode);
        let query = world.from("ct-1").to("10.0.0.53").udp(1, 53);
        story
            .once(&world, "allowed", DEVICE, &query, ALLOWED)
            .frame("a packet too many", DEVICE, &query, told)
            .wait(1)
            .frame("later", DEVICE, &query, KNOWN);
        let world = with(Limits { to: packets(1), ..Limits::default() }).with_mode("ct-scanner", mode);
        let answer = query.reversed().untagged();
        story
            .once(&world, "allowed", DEVICE, &query, ALLOWED)
            .frame("an answer", UPLINK, &answer, KNOWN)
            .frame("an answer too many", UPLINK, &answer, told);
        let world = with(Limits { from: connections(1), ..Limits::default() }).with_mode("ct-scanner", mode);
        let next = query.clone().udp(2, 53);
        let remembered = if mode == Mode::Enforce { "drop not-allowed ct-1" } else { KNOWN };
        let answer = next.reversed().untagged();
        story
            .once(&world, "allowed", DEVICE, &query, ALLOWED)
            .frame("a connection too many", DEVICE, &next, told)
            .frame("which is remembered where it passed", UPLINK, &answer, remembered);
    }
    let world = with(Limits { from: packets(1), ..Limits::default() }).with_mode("ct-scanner", Mode::Learn);
    let unknown = world.from("ct-1").to("10.0.0.53").udp(1, 54);
    story.once(&world, "what is learned costs too", DEVICE, &unknown, "pass learned ct-1").frame(
        "and is learned without a token as well",
        DEVICE,
        &unknown,
        "pass learned ct-1",
    );
}

fn connections_a_device_opens(story: &mut Story) {
    let world = with(Limits { from: connections(2), ..Limits::default() });
    for number in [0, 1] {
        let query = |port| queries(&world, port)[number].0.clone();
        story
            .once(&world, "the first", DEVICE, &query(1), ALLOWED)
            .frame("the second", DEVICE, &query(2), ALLOWED)
            .frame("one too many", DEVICE, &query(3), DENIED)
            .frame("the first goes on", DEVICE, &query(1), KNOWN)
            .frame(
                "what was refused is not remembered",
                UPLINK,
                &query(3).reversed().untagged(),
                "drop not-allowed ct-1",
            )
            .wait_nanoseconds(500_000_000)
            .frame("half a second later", DEVICE, &query(3), ALLOWED)
            .frame("one too many", DEVICE, &query(4), DENIED);
    }
    let tcp = |port| world.from("ct-1").to("10.20.0.10").tcp(port, 104);
    story
        .once(&world, "the first", DEVICE, &tcp(1).syn(), ALLOWED)
        .frame("its SYN again", DEVICE, &tcp(1).syn(), KNOWN)
        .frame("the second", DEVICE, &tcp(2).syn(), ALLOWED)
        .frame("one too many", DEVICE, &tcp(3).syn(), DENIED)
        .frame("which is no flow", DEVICE, &tcp(3).ack(), "drop no-flow ct-1")
        .frame("a refused one takes no token", DEVICE, &tcp(4).tcp(4, 105).syn(), "drop not-allowed ct-1")
        .frame("an established one", DEVICE, &tcp(2).ack(), KNOWN);
    let ping = |identifier| world.from("ct-1").to("10.20.0.10").ping(identifier);
    story
        .once(&world, "an echo", DEVICE, &ping(1), ALLOWED)
        .frame("another", DEVICE, &ping(2), ALLOWED)
        .frame("one too many", DEVICE, &ping(3), DENIED)
        .frame("the first again", DEVICE, &ping(1), KNOWN);
}

fn connections_to_a_device(story: &mut Story) {
    let world = with(Limits { to: connections(1), ..Limits::default() });
    for (from, end) in [("10.20.0.10", world.v4("ct-1")), ("2001:db8:20::10", world.v6("ct-1"))] {
        let opened = |port| Frame::from(from).to(end).untagged().tcp(port, 11_112).syn();
        story
            .once(&world, "the first", UPLINK, &opened(1), ALLOWED)
            .frame("one too many", UPLINK, &opened(2), DENIED)
            .frame("the first is answered", DEVICE, &opened(1).reversed().vlan(110).syn_ack(), KNOWN)
            .frame("what it opens is another matter", DEVICE, &queries(&world, 9)[0].0, ALLOWED)
            .wait(1)
            .frame("a second later", UPLINK, &opened(2), ALLOWED);
    }
}

fn a_flow_that_is_known_is_no_connection(story: &mut Story) {
    let world = with(Limits { from: connections(1), to: connections(1), ..Limits::default() });
    let tcp = world.from("ct-1").to("10.20.0.10").tcp(1, 104);
    let back = tcp.reversed().untagged();
    story
        .once(&world, "opening", DEVICE, &tcp.clone().syn(), ALLOWED)
        .frame("answered", UPLINK, &back.clone().syn_ack(), KNOWN)
        .load(&world)
        .frame("judged again", DEVICE, &tcp.clone().ack(), KNOWN)
        .load(&world)
        .frame("and again, by its answer", UPLINK, &back.ack(), KNOWN)
        .frame("no token was taken back", DEVICE, &tcp.tcp(2, 104).syn(), DENIED);
}

fn flows_in_a_minute(story: &mut Story) {
    let world = with(Limits { flows: Some(2), ..Limits::default() });
    // To the beginning of a minute of the clock.
    let minute = 60 - (super::BEGINNING / super::SECOND) % 60;
    for number in [0, 1] {
        let query = |port| queries(&world, port)[number].0.clone();
        story
            .play(&world)
            .wait(minute)
            .frame("the first", DEVICE, &query(1), ALLOWED)
            .frame("the second", DEVICE, &query(2), ALLOWED)
            .frame("one too many", DEVICE, &query(3), DENIED)
            .frame("the first goes on", DEVICE, &query(1), KNOWN)
            .wait(20)
            .frame("no token comes back", DEVICE, &query(3), DENIED)
            .frame("the first goes on", DEVICE, &query(1), KNOWN)
            .frame("and is answered", UPLINK, &query(1).reversed().untagged(), KNOWN)
            .wait(40)
            .frame("the next minute", DEVICE, &query(1), KNOWN)
            .frame("in which there is room for one", DEVICE, &query(3), ALLOWED)
            .frame("and no more", DEVICE, &query(4), DENIED)
            .frame("a known flow is never refused", UPLINK, &query(1).reversed().untagged(), KNOWN)
            .wait(61)
            .frame("a minute without traffic", DEVICE, &query(5), ALLOWED)
            .frame("leaves room for two", DEVICE, &query(6), ALLOWED)
            .frame("and no more", DEVICE, &query(7), DENIED);
    }
    let other = world.from("ct-2").to("10.0.0.53").udp(1, 53);
    let query = |port| queries(&world, port)[0].0.clone();
    story
        .play(&world)
        .wait(minute)
        .frame("the first", DEVICE, &query(1), ALLOWED)
        .frame("the second", DEVICE, &query(2), ALLOWED)
        .frame("another device", DEVICE, &other, "pass allowed ct-2");
    let fresh = with(Limits::default());
    let play = story.play(&fresh);
    play.wait(minute);
    for port in 1..=40 {
        play.frame("far from the usual limit", DEVICE, &queries(&fresh, port)[0].0, ALLOWED);
    }
}

fn the_clock_of_a_replay_may_go_back(story: &mut Story) {
    let world = with(Limits { from: packets(1), ..Limits::default() });
    let query = world.from("ct-1").to("10.0.0.53").udp(1, 53);
    story
        .play(&world)
        .wait(100)
        .frame("later", DEVICE, &query, ALLOWED)
        .wait_nanoseconds(0_u64.wrapping_sub(50 * super::SECOND))
        .frame("earlier", DEVICE, &query, KNOWN)
        .frame("one too many", DEVICE, &query, DENIED);
}
