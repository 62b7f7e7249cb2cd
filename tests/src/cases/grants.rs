//! Access that ends by itself.

use iomt_filter_common::policy::Mode;

use super::{BEGINNING, DEVICE, SECOND, Story, UPLINK};
use crate::packet::Frame;
use crate::world::{Grant, Peer, Rule, Service, World, hospital, net};

stories![
    a_grant_allows_until_it_ends,
    a_flow_is_good_as_long_as_its_grant,
    a_grant_is_of_one_device,
    rules_come_before_grants,
    the_grant_that_ends_last_counts,
    what_a_grant_does_not_change,
    between_two_devices_both_need_something,
];

const HOUR: u64 = 3_600;
const GRANTED: &str = "pass allowed ct-1";
const KNOWN: &str = "pass established ct-1";
const REFUSED: &str = "drop not-allowed ct-1";

fn grant(device: &str, rule: Rule, seconds: u64) -> Grant {
    Grant { device: device.to_owned(), rule, expires: BEGINNING + seconds * SECOND }
}

fn with(grants: Vec<Grant>) -> World {
    World { grants, ..hospital() }
}

/// Both families of somebody whom no rule names.
fn peers(world: &World) -> [(Frame, Peer); 2] {
    [
        (world.from("ct-1").to("10.20.9.9"), Peer::Net(net("10.20.9.9"))),
        (Frame::from(world.v6("ct-1")).to("2001:db8:20::9"), Peer::Net(net("2001:db8:20::9"))),
    ]
}

fn a_grant_allows_until_it_ends(story: &mut Story) {
    for (way, peer) in peers(&hospital()) {
        let to = with(vec![grant("ct-1", Rule::to(peer.clone(), Service::udp(514)), HOUR)]);
        let out = way.udp(1, 514);
        let back = out.reversed().untagged();
        story.once(&hospital(), "no grant", DEVICE, &out, REFUSED);
        story
            .once(&to, "granted", DEVICE, &out, GRANTED)
            .by("grant[1]")
            .frame("answered", UPLINK, &back, KNOWN)
            .by("grant[1]")
            .frame("another service", DEVICE, &out.clone().udp(1, 515), REFUSED)
            .wait(HOUR - 1)
            .frame("to the last", DEVICE, &out.clone().udp(2, 514), GRANTED)
            .wait(1)
            .frame("over", DEVICE, &out.clone().udp(3, 514), REFUSED);
        story.once(&to, "the other way", UPLINK, &back.clone().udp(1, 514), REFUSED);
        let from = with(vec![grant("ct-1", Rule::from(peer, Service::udp(514)), HOUR)]);
        let opened = back.udp(1, 514);
        story
            .once(&from, "granted to the peer", UPLINK, &opened, GRANTED)
            .by("grant[1]")
            .frame("answered", DEVICE, &opened.reversed().vlan(110), KNOWN)
            .frame("the device opens nothing", DEVICE, &out.udp(2, 514), REFUSED)
            .wait(HOUR)
            .frame("over", UPLINK, &opened.clone().udp(4, 514), REFUSED);
    }
}

fn a_flow_is_good_as_long_as_its_grant(story: &mut Story) {
    for (way, peer) in peers(&hospital()) {
        let world = with(vec![grant("ct-1", Rule::to(peer.clone(), Service::tcp(22)), HOUR)]);
        let out = way.tcp(1, 22);
        let back = out.reversed().untagged();
        story
            .once(&world, "opening", DEVICE, &out.clone().syn(), GRANTED)
            .frame("answered", UPLINK, &back.clone().syn_ack(), KNOWN)
            .wait(HOUR - 1)
            .frame("to the last", UPLINK, &back.clone().ack(), KNOWN)
            .wait(1)
            .frame("cut", UPLINK, &back.clone().ack(), REFUSED)
            .frame("on both sides", DEVICE, &out.clone().ack(), REFUSED);
        let mut longer = world.clone();
        longer.grants = vec![grant("ct-1", Rule::to(peer.clone(), Service::tcp(22)), 2 * HOUR)];
        story
            .once(&world, "opening", DEVICE, &out.clone().syn(), GRANTED)
            .frame("answered", UPLINK, &back.clone().syn_ack(), KNOWN)
            .load(&longer)
            .wait(HOUR)
            .frame("prolonged", DEVICE, &out.clone().ack(), KNOWN)
            .load(&hospital())
            .frame("revoked", UPLINK, &back.clone().ack(), REFUSED);
        let mut ruled = hospital();
        ruled.profiles[0].rules.push(Rule::to(peer, Service::tcp(22)));
        story
            .once(&world, "opening", DEVICE, &out.clone().syn(), GRANTED)
            .frame("answered", UPLINK, &back.syn_ack(), KNOWN)
            .load(&ruled)
            .wait(HOUR)
            .frame("a rule says the same by now", DEVICE, &out.ack(), KNOWN)
            .by("ct-scanner[10]");
    }
}

fn a_grant_is_of_one_device(story: &mut Story) {
    let world = with(vec![grant("ct-1", Rule::to(Peer::Any, Service::udp(514)), HOUR)]);
    let frame = |device: &str| world.from(device).to("10.20.9.9").udp(1, 514);
    story.once(&world, "its own", DEVICE, &frame("ct-1"), GRANTED);
    story.once(&world, "another of the profile", DEVICE, &frame("ct-2"), "drop not-allowed ct-2");
    story.once(&world, "another", DEVICE, &frame("pump-1"), "drop not-allowed pump-1");
    let borrowed = frame("ct-1").source_mac(world.v4("pump-1").mac);
    story.once(&world, "from its address", DEVICE, &borrowed, "drop spoofed ct-1");
    let range = Service::Ports { protocol: 17, first: 500, last: 520 };
    for (what, service, port, told) in [
        ("a range", range, 514, GRANTED),
        ("beside a range", range, 521, REFUSED),
        ("UDP by its number", Service::Protocol(17), 9, GRANTED),
        ("any", Service::Any, 9, GRANTED),
    ] {
        let world = with(vec![grant("ct-1", Rule::to(Peer::Net(net("10.20.0.0/16")), service), HOUR)]);
        story.once(&world, what, DEVICE, &world.from("ct-1").to("10.20.9.9").udp(1, port), told);
        story.once(&world, what, DEVICE, &world.from("ct-1").to("10.21.9.9").udp(1, port), REFUSED);
    }
    let pumps = Rule::from(Peer::Profile("newcomer".into()), Service::udp(9));
    let world = with(vec![grant("pump-1", pumps, HOUR)]);
    let learner = world.from("learner-1").to(world.v4("pump-1")).udp(1, 9);
    story.once(&world, "of a profile", DEVICE, &learner, "pass learned learner-1");
}

fn rules_come_before_grants(story: &mut Story) {
    let pacs = Rule::to(Peer::Endpoint("pacs".into()), Service::tcp(104));
    let world = with(vec![grant("ct-1", pacs, 10)]);
    let out = world.from("ct-1").to("10.20.0.10").tcp(1, 104);
    story
        .once(&world, "both allow", DEVICE, &out.clone().syn(), GRANTED)
        .by("ct-scanner[1]")
        .frame("answered", UPLINK, &out.reversed().untagged().syn_ack(), KNOWN)
        .wait(10)
        .frame("the end of a grant ends no rule", DEVICE, &out.ack(), KNOWN)
        .by("ct-scanner[1]");
}

fn the_grant_that_ends_last_counts(story: &mut Story) {
    let rule = || Rule::to(Peer::Net(net("10.20.9.9")), Service::udp(514));
    for grants in [
        vec![grant("ct-1", rule(), 10), grant("ct-1", rule(), 40)],
        vec![grant("ct-1", rule(), 40), grant("ct-1", rule(), 10)],
    ] {
        let last = if grants[0].expires > grants[1].expires { "grant[1]" } else { "grant[2]" };
        let world = with(grants);
        let out = |port| world.from("ct-1").to("10.20.9.9").udp(port, 514);
        story
            .once(&world, "two grants", DEVICE, &out(1), GRANTED)
            .by(last)
            .wait(20)
            .frame("one has ended", DEVICE, &out(1), KNOWN)
            .by(last)
            .wait(20)
            .frame("both have", DEVICE, &out(2), REFUSED);
    }
    let wide = Rule::to(Peer::Any, Service::Any);
    let world = with(vec![grant("ct-1", rule(), 10), grant("ct-1", wide, 40)]);
    let out = |port| world.from("ct-1").to("10.20.9.9").udp(port, 514);
    story
        .once(&world, "a narrow and a wide one", DEVICE, &out(1), GRANTED)
        .wait(20)
        .frame("the narrow one has ended", DEVICE, &out(2), GRANTED)
        .by("grant[2]");
}

fn what_a_grant_does_not_change(story: &mut Story) {
    let any = |device| with(vec![grant(device, Rule::to(Peer::Any, Service::Any), HOUR)]);
    let ct = |world: &World, to: &str| world.from("ct-1").to(to).udp(1, 9);
    let world = any("ct-1");
    story.once(&world, "listed", DEVICE, &ct(&world, "203.0.113.9"), "drop blocklist ct-1");
    story.once(&world, "abroad", DEVICE, &ct(&world, "198.51.100.200"), "drop geo ct-1");
    story.once(&world, "no flow", DEVICE, &ct(&world, "10.20.9.9").tcp(1, 9).ack(), "drop no-flow ct-1");
    story.once(&world, "spoofed", DEVICE, &ct(&world, "10.20.9.9").source_mac([9; 6]), "drop spoofed ct-1");
    let locked = any("locked-1");
    let out = locked.from("locked-1").to("10.20.9.9").udp(1, 9);
    story.once(&locked, "quarantine", DEVICE, &out, "drop quarantine locked-1");
    for mode in [Mode::Learn, Mode::Monitor] {
        let world = any("ct-1").with_mode("ct-scanner", mode);
        story.once(&world, mode.name(), DEVICE, &ct(&world, "10.20.9.9"), GRANTED).by("grant[1]");
    }
}

fn between_two_devices_both_need_something(story: &mut Story) {
    let to = || grant("ct-1", Rule::to(Peer::Any, Service::udp(9)), HOUR);
    let from = |seconds| grant("pump-1", Rule::from(Peer::Any, Service::udp(9)), seconds);
    let frame = |port| hospital().from("ct-1").to(hospital().v4("pump-1")).udp(port, 9);
    story.once(&with(vec![to()]), "the sender's alone", DEVICE, &frame(1), "drop not-allowed pump-1");
    story.once(&with(vec![from(HOUR)]), "the receiver's alone", DEVICE, &frame(1), REFUSED);
    story
        .once(&with(vec![to(), from(20)]), "both", DEVICE, &frame(1), GRANTED)
        .by("grant[1]")
        .wait(19)
        .frame("goes on", DEVICE, &frame(1), KNOWN)
        .wait(1)
        .frame("until the first of them ends", DEVICE, &frame(1), "drop not-allowed pump-1");
    let mut ruled = with(vec![to()]);
    ruled.profiles[1].rules.push(Rule::from(Peer::Any, Service::udp(9)));
    story.once(&ruled, "a grant and a rule", DEVICE, &frame(1), GRANTED).by("grant[1]").wait(HOUR).frame(
        "the grant ends",
        DEVICE,
        &frame(1),
        REFUSED,
    );
}
