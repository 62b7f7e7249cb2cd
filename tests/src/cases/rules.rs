//! Lines 9 to 11 of the order: what belongs to no flow, what rules allow, and what nothing allows.

use iomt_filter_common::policy::{Mode, Otherwise};

use super::{DEVICE, Story, UPLINK};
use crate::packet::{Frame, ROUTER, TPID_8021AD};
use crate::world::{World, hospital};

stories![
    line_9_tcp_without_a_flow,
    line_10_rules_allow_what_they_name,
    line_10_between_two_devices_both_must_allow,
    line_11_nothing_matched,
];

fn line_9_tcp_without_a_flow(story: &mut Story) {
    let cases = [
        (Mode::Enforce, "drop no-flow pump-1"),
        (Mode::Monitor, "would-drop no-flow pump-1"),
        (Mode::Learn, "pass learned pump-1"),
    ];
    for (mode, answer) in cases {
        let world = hospital().with_mode("infusion-pump", mode);
        let middle = Frame::from("10.20.1.5").to(world.v4("pump-1")).tcp(1, 8443).ack();
        story.once(&world, "the middle of a connection that nobody opened", UPLINK, &middle, answer);
        let sent = middle.reversed().ack();
        story.once(&world, "sent by the device", DEVICE, &sent, answer);
    }
    let world = World { midstream: Otherwise::Pass, ..hospital() };
    let middle = Frame::from("10.20.1.5").to(world.v4("pump-1")).tcp(1, 8443).ack();
    story.once(&world, "picked up from the opener", UPLINK, &middle, "pass allowed pump-1");
    let answer = middle.reversed().source_mac([2, 0, 0, 0, 1, 0x21]);
    let play = story.play(&world);
    play.frame("picked up from the responder", DEVICE, &answer, "pass allowed pump-1");
    play.frame("and remembered the right way round", UPLINK, &middle, "pass established pump-1");
    let other = Frame::from("10.20.1.5").to(world.v4("pump-1")).tcp(1, 8444).ack();
    story.once(&world, "picked up, and allowed by nothing", UPLINK, &other, "drop not-allowed pump-1");
}

fn line_10_rules_allow_what_they_name(story: &mut Story) {
    let world = hospital();
    let ct = |to: &str| world.from("ct-1").to(to);
    story
        .once(&world, "an endpoint", DEVICE, &ct("10.20.0.11").tcp(1, 104).syn(), "pass allowed ct-1")
        .by("ct-scanner[1]");
    story
        .once(
            &world,
            "the second of two services",
            DEVICE,
            &ct("10.0.0.53").tcp(1, 53).syn(),
            "pass allowed ct-1",
        )
        .by("ct-scanner[2]");
    story
        .once(&world, "a protocol", DEVICE, &ct("10.20.0.10").ping(9), "pass allowed ct-1")
        .by("ct-scanner[9]");
    story.once(
        &world,
        "another port",
        DEVICE,
        &ct("10.20.0.10").tcp(104, 105).syn(),
        "drop not-allowed ct-1",
    );
    story.once(&world, "another protocol", DEVICE, &ct("10.20.0.10").udp(1, 104), "drop not-allowed ct-1");
    story.once(&world, "another peer", DEVICE, &ct("10.20.0.12").tcp(1, 104).syn(), "drop not-allowed ct-1");
    let from = Frame::from("10.20.0.10").to(world.v4("ct-1")).tcp(1, 11112).syn();
    story.once(&world, "a peer opens", UPLINK, &from, "pass allowed ct-1").by("ct-scanner[3]");
    let wrong_way = ct("10.20.0.10").tcp(1, 11112).syn();
    story.once(
        &world,
        "a rule says nothing of the other direction",
        DEVICE,
        &wrong_way,
        "drop not-allowed ct-1",
    );
    let v6 = Frame::from(world.v6("ct-1")).to("2001:db8:20::10").tcp(1, 104).syn();
    story.once(&world, "IPv6", DEVICE, &v6, "pass allowed ct-1");
    let qinq = ct("10.20.0.10").outer_tag(TPID_8021AD, 7).tcp(1, 104).syn();
    story.once(&world, "two tags: the innermost is the VLAN", DEVICE, &qinq, "pass allowed ct-1");
}

fn line_10_between_two_devices_both_must_allow(story: &mut Story) {
    let world = hospital();
    let both = world.from("ct-1").to(world.v4("pump-1")).udp(1, 5000);
    story.once(&world, "the sender's `to` and the receiver's `from`", DEVICE, &both, "pass allowed ct-1");
    let back = world.from("pump-1").to(world.v4("ct-1")).udp(1, 5000);
    story.once(&world, "neither", DEVICE, &back, "drop not-allowed pump-1");
    let only_to = world.from("ct-1").to(world.v4("learner-1")).udp(1, 5000);
    story.once(
        &world,
        "only the sender's: the receiver's mode decides",
        DEVICE,
        &only_to,
        "pass learned learner-1",
    );
    let neither = world.from("learner-1").to(world.v4("ct-1")).udp(1, 1);
    story.once(&world, "neither: the stricter mode decides", DEVICE, &neither, "drop not-allowed ct-1");
    let uplink = world.from("ct-1").to(world.v4("pump-1")).source_mac(ROUTER).udp(1, 5000);
    story.once(&world, "a device of another place, through the uplink", UPLINK, &uplink, "pass allowed ct-1");
}

fn line_11_nothing_matched(story: &mut Story) {
    for (mode, answer) in [
        (Mode::Enforce, "drop not-allowed pump-1"),
        (Mode::Monitor, "would-drop not-allowed pump-1"),
        (Mode::Learn, "pass learned pump-1"),
    ] {
        let world = hospital().with_mode("infusion-pump", mode);
        let out = world.from("pump-1").to("10.20.0.10").udp(1, 9);
        story.once(&world, "sent", DEVICE, &out, answer);
        story.once(
            &world,
            "received",
            UPLINK,
            &Frame::from("10.20.0.10").to(world.v4("pump-1")).udp(1, 9),
            answer,
        );
    }
}
