//! What holds while the agent is lost, or where a device's policy cannot be evaluated.

use iomt_filter_common::policy::Mode;

use super::{BEGINNING, DEVICE, Story, UPLINK};
use crate::packet::Frame;
use crate::world::{Heartbeat, Peer, Rule, Service, World, hospital};

stories![
    a_lost_agent_opens_who_wants_it,
    when_an_agent_is_lost,
    what_an_open_device_still_meets,
    what_began_while_it_was_lost,
    between_an_open_device_and_another,
    a_profile_that_cannot_be_evaluated,
];

/// The agent was heard of when the play begins, and is missed after a minute.
fn world() -> World {
    let mut world = hospital();
    world.heartbeat = Heartbeat { last: BEGINNING, loss_after: 60 };
    world.profiles[0].open_on_agent_loss = true;
    world
}

/// What a scanner may not do, in both families.
fn refused(world: &World) -> [(Frame, &'static str); 6] {
    let (v4, v6) = (world.from("ct-1"), Frame::from(world.v6("ct-1")));
    [
        (v4.clone().to("10.20.0.12").udp(1, 9), "not-allowed"),
        (v6.clone().to("2001:db8:20::99").udp(1, 9), "not-allowed"),
        (v4.clone().to("203.0.113.9").udp(1, 9), "blocklist"),
        (v6.clone().to("2001:db8:bad::1").udp(1, 9), "blocklist"),
        (v4.to("198.51.100.200").udp(1, 9), "geo"),
        (v6.to("2001:db8:b::1").udp(1, 9), "geo"),
    ]
}

fn a_lost_agent_opens_who_wants_it(story: &mut Story) {
    let world = world();
    let mut fixed = world.clone();
    fixed.profiles[0].open_on_agent_loss = false;
    for (frame, reason) in refused(&world) {
        let back = frame.reversed().untagged();
        let drop = format!("drop {reason} ct-1");
        let open = "would-drop not-allowed ct-1";
        story
            .once(&world, reason, DEVICE, &frame, &drop)
            .frame("received", UPLINK, &back, &drop)
            .wait(60)
            .frame("not yet lost", DEVICE, &frame, &drop)
            .wait(1)
            .frame("lost", DEVICE, &frame, open)
            .frame("received", UPLINK, &back, open);
        story
            .once(&fixed, "`static`", DEVICE, &frame, &drop)
            .wait(100)
            .frame("lost", DEVICE, &frame, &drop)
            .frame("received", UPLINK, &back, &drop);
    }
    for way in [world.from("ct-1").to("10.20.0.10"), Frame::from(world.v6("ct-1")).to("2001:db8:20::10")] {
        let out = way.tcp(1, 104);
        story
            .once(&world, "allowed", DEVICE, &out.clone().syn(), "pass allowed ct-1")
            .frame("answered", UPLINK, &out.reversed().untagged().syn_ack(), "pass established ct-1")
            .wait(100)
            .frame("goes on", DEVICE, &out.clone().ack(), "pass established ct-1")
            .frame("no flow", DEVICE, &out.clone().tcp(2, 104).ack(), "would-drop no-flow ct-1")
            .frame("allowed all the same", DEVICE, &out.tcp(3, 104).syn(), "pass allowed ct-1");
    }
}

fn when_an_agent_is_lost(story: &mut Story) {
    let world = world();
    let beats = |last, loss_after| World { heartbeat: Heartbeat { last, loss_after }, ..world.clone() };
    let frame = world.from("ct-1").to("10.20.0.12").udp(1, 9);
    for (what, world, told) in [
        ("never heard of", beats(0, 60), "drop not-allowed ct-1"),
        ("never missed", beats(BEGINNING, 0), "drop not-allowed ct-1"),
        ("a minute's patience", beats(BEGINNING, 60), "would-drop not-allowed ct-1"),
        ("an hour's patience", beats(BEGINNING, 3_600), "drop not-allowed ct-1"),
        ("a beat of the future", beats(BEGINNING * 2, 60), "drop not-allowed ct-1"),
    ] {
        story.play(&world).wait(1_000).frame(what, DEVICE, &frame, told);
    }
    let again = beats(BEGINNING + 100 * super::SECOND, 60);
    story
        .play(&world)
        .wait(100)
        .frame("lost", DEVICE, &frame, "would-drop not-allowed ct-1")
        .load(&again)
        .frame("back again", DEVICE, &frame, "drop not-allowed ct-1")
        .wait(61)
        .frame("lost again", DEVICE, &frame, "would-drop not-allowed ct-1");
}

fn what_an_open_device_still_meets(story: &mut Story) {
    let world = world();
    let ct = || world.from("ct-1").to("10.20.0.12").udp(1, 9);
    story
        .play(&world)
        .wait(100)
        .frame("spoofed", DEVICE, &ct().source_mac([9; 6]), "would-drop spoofed ct-1")
        .frame("a DHCP server", DEVICE, &ct().udp(67, 68), "drop rogue-dhcp")
        .frame("malformed", DEVICE, &ct().udp(1, 0), "drop malformed")
        .frame("a later fragment", DEVICE, &ct().fragment(9, 64, false), "drop fragment")
        .frame(
            "a device that is not open",
            DEVICE,
            &world.from("pump-1").to("10.20.0.12").udp(1, 9),
            "drop not-allowed pump-1",
        );
    let locked = world.clone().with_mode("ct-scanner", Mode::Quarantine);
    story.play(&locked).wait(100).frame("quarantine", DEVICE, &ct(), "drop quarantine ct-1");
    let learning = world.clone().with_mode("ct-scanner", Mode::Learn);
    story.once(&learning, "learn", DEVICE, &ct(), "pass learned ct-1").wait(100).frame(
        "an open device is in monitor",
        DEVICE,
        &ct(),
        "would-drop not-allowed ct-1",
    );
}

fn what_began_while_it_was_lost(story: &mut Story) {
    let mut world = world();
    world.profiles[0].rules.push(Rule::to(Peer::Any, Service::udp(9)));
    for (frame, reason) in refused(&world).into_iter().skip(2) {
        let back = frame.reversed().untagged();
        let drop = format!("drop {reason} ct-1");
        story
            .once(&world, reason, DEVICE, &frame, &drop)
            .wait(61)
            .frame("lost", DEVICE, &frame, "pass allowed ct-1")
            .frame("answered", UPLINK, &back, "pass established ct-1")
            .frame("goes on", DEVICE, &frame, "pass established ct-1")
            .beat()
            .frame("heard of again", DEVICE, &frame, &drop)
            .frame("received", UPLINK, &back, &drop)
            .wait(61)
            .frame("lost again", DEVICE, &frame, "pass established ct-1");
    }
}

fn between_an_open_device_and_another(story: &mut Story) {
    let world = world();
    let to_pump = world.from("ct-1").to(world.v4("pump-1")).udp(1, 9);
    let to_learner = world.from("ct-1").to(world.v4("learner-1")).udp(1, 9);
    let from_pump = world.from("pump-1").to(world.v4("ct-1")).udp(1, 9);
    story
        .play(&world)
        .wait(100)
        .frame("to one that enforces", DEVICE, &to_pump, "drop not-allowed pump-1")
        .frame("from one that enforces", DEVICE, &from_pump, "drop not-allowed pump-1")
        .frame("to one that learns", DEVICE, &to_learner, "would-drop not-allowed ct-1");
}

fn a_profile_that_cannot_be_evaluated(story: &mut Story) {
    let mut closed = hospital();
    closed.profiles[0].is_unset = true;
    let mut open = closed.clone();
    open.profiles[0].fails_open = true;
    for mode in [Mode::Learn, Mode::Monitor, Mode::Enforce] {
        let (closed, open) =
            (closed.clone().with_mode("ct-scanner", mode), open.clone().with_mode("ct-scanner", mode));
        for (way, pacs, bad) in [
            (closed.from("ct-1"), "10.20.0.10", "203.0.113.9"),
            (Frame::from(closed.v6("ct-1")), "2001:db8:20::10", "2001:db8:bad::1"),
        ] {
            let syn = way.clone().to(pacs).tcp(1, 104).syn();
            let listed = way.to(bad).udp(1, 9);
            story
                .once(&closed, "closed: what a rule would allow", DEVICE, &syn, "drop not-allowed ct-1")
                .frame("received", UPLINK, &syn.reversed().untagged(), "drop not-allowed ct-1");
            story
                .once(&open, "open: what a rule would allow", DEVICE, &syn, "would-drop not-allowed ct-1")
                .frame("received", UPLINK, &syn.reversed().untagged(), "would-drop not-allowed ct-1")
                .frame("listed", DEVICE, &listed, "would-drop not-allowed ct-1")
                .frame(
                    "from a listed one",
                    UPLINK,
                    &listed.reversed().untagged(),
                    "would-drop not-allowed ct-1",
                );
        }
    }
    let syn = open.from("ct-1").to("10.20.0.10").tcp(1, 104).syn();
    let locked = open.clone().with_mode("ct-scanner", Mode::Quarantine);
    story.once(&locked, "quarantine", DEVICE, &syn, "drop quarantine ct-1");
    story
        .once(&hospital(), "allowed", DEVICE, &syn, "pass allowed ct-1")
        .load(&closed)
        .frame("its profile is gone", DEVICE, &syn, "drop not-allowed ct-1")
        .load(&open)
        .frame("open", DEVICE, &syn, "would-drop not-allowed ct-1")
        .load(&hospital())
        .frame("and back", DEVICE, &syn, "pass established ct-1");
}
