//! Questions to groups and broadcast addresses, and who may answer them.

use iomt_filter_common::policy::Mode;

use super::{DEVICE, Story, UPLINK};
use crate::packet::Frame;
use crate::world::{Peer, Rule, Service, World, hospital, net};

stories![
    an_answer_to_a_group_question,
    what_is_no_answer,
    an_answer_comes_from_any_port_but_a_well_known_one,
    a_question_is_good_for_half_a_minute,
    only_what_was_allowed_is_a_question,
    a_consumer_in_the_network_asks,
    a_device_asks_and_a_device_answers,
    lists_and_countries_are_asked_about_who_answers,
    an_answer_from_whom_nobody_asked_by_dhcp,
    a_rule_for_dhcp_reaches_everybody,
];

const DISCOVERY: u16 = 3_702;
const GROUP: &str = "239.255.255.250";

/// Pumps may ask the discovery group, and may be asked by nobody.
fn asking() -> World {
    let mut world = hospital();
    world.profiles[1].rules.push(Rule::to(Peer::Net(net(GROUP)), Service::udp(DISCOVERY)));
    world
}

fn question(world: &World) -> Frame {
    world.from("pump-1").to(GROUP).udp(50_000, DISCOVERY)
}

/// What `from` answers to the pump.
fn answer(world: &World, from: &str) -> Frame {
    Frame::from(from).to(world.v4("pump-1")).udp(DISCOVERY, 50_000)
}

fn an_answer_to_a_group_question(story: &mut Story) {
    let world = asking();
    story
        .once(&world, "nobody asked", UPLINK, &answer(&world, "10.20.3.4"), "drop not-allowed pump-1")
        .frame("a question", DEVICE, &question(&world), "pass allowed pump-1")
        .by("infusion-pump[5]")
        .frame("an answer", UPLINK, &answer(&world, "10.20.3.4"), "pass established pump-1")
        .by("infusion-pump[5]")
        .frame("and another", UPLINK, &answer(&world, "10.20.3.5"), "pass established pump-1")
        .frame("and the first again", UPLINK, &answer(&world, "10.20.3.4"), "pass established pump-1")
        .frame(
            "in fragments",
            UPLINK,
            &answer(&world, "10.20.3.6").fragment(8, 0, true),
            "pass established pump-1",
        )
        .frame(
            "the device has nothing to say to it",
            DEVICE,
            &answer(&world, "10.20.3.4").reversed(),
            "drop not-allowed pump-1",
        );
}

fn what_is_no_answer(story: &mut Story) {
    let world = asking();
    let to_pump = || Frame::from("10.20.3.4").to(world.v4("pump-1"));
    for (what, frame, told) in [
        ("from a well-known port", to_pump().udp(1_023, 50_000), "drop not-allowed pump-1"),
        ("to another port", to_pump().udp(DISCOVERY, 50_001), "drop not-allowed pump-1"),
        ("ports the wrong way round", to_pump().udp(50_000, DISCOVERY), "drop not-allowed pump-1"),
        ("TCP", to_pump().tcp(DISCOVERY, 50_000).syn(), "drop not-allowed pump-1"),
        ("TCP without a flow", to_pump().tcp(DISCOVERY, 50_000).syn_ack(), "drop no-flow pump-1"),
        ("SCTP", to_pump().sctp(DISCOVERY, 50_000), "drop not-allowed pump-1"),
        ("ICMP", to_pump().ping(DISCOVERY), "drop not-allowed pump-1"),
        (
            "to another device",
            Frame::from("10.20.3.4").to(world.v4("ct-2")).untagged().udp(DISCOVERY, 50_000),
            "drop not-allowed ct-2",
        ),
        ("to the group", Frame::from("10.20.3.4").to(GROUP).udp(DISCOVERY, 50_000), "pass no-device"),
    ] {
        story
            .once(&world, "a question", DEVICE, &question(&world), "pass allowed pump-1")
            .frame(what, UPLINK, &frame, told);
    }
    let everybody = to_pump().udp(DISCOVERY, 50_000).destination_mac([0xff; 6]);
    story
        .once(&world, "a question", DEVICE, &question(&world), "pass allowed pump-1")
        .frame("to everybody's hardware address", UPLINK, &everybody, "pass established pump-1")
        .family_matters();
    let unicast = world.from("pump-1").to("10.0.0.9").udp(50_000, 67);
    let other = Frame::from("10.0.0.8").to(world.v4("pump-1")).udp(67, 50_000);
    story.once(&world, "a question to one", DEVICE, &unicast, "pass allowed pump-1").frame(
        "answered by another",
        UPLINK,
        &other,
        "drop not-allowed pump-1",
    );
}

/// Who speaks SOAP over UDP may answer from a port of its own.
fn an_answer_comes_from_any_port_but_a_well_known_one(story: &mut Story) {
    let world = asking();
    let from = |port| Frame::from("10.20.3.4").to(world.v4("pump-1")).udp(port, 50_000);
    story
        .once(&world, "nobody asked", UPLINK, &from(40_404), "drop not-allowed pump-1")
        .frame("a question", DEVICE, &question(&world), "pass allowed pump-1")
        .frame("from a port of chance", UPLINK, &from(40_404), "pass established pump-1")
        .by("infusion-pump[5]")
        .frame("from the first that may", UPLINK, &from(1_024), "pass established pump-1")
        .frame("from DNS's", UPLINK, &from(53), "drop not-allowed pump-1")
        .wait(31)
        .frame("too late", UPLINK, &from(40_404), "drop not-allowed pump-1");
    // What is asked of a well-known port is answered from there.
    let mut world = hospital();
    world.profiles[1].rules.push(Rule::to(Peer::Net(net(GROUP)), Service::udp(427)));
    let located = world.from("pump-1").to(GROUP).udp(50_000, 427);
    story
        .once(&world, "a question", DEVICE, &located, "pass allowed pump-1")
        .frame("from a port of chance", UPLINK, &from(40_404), "drop not-allowed pump-1")
        .frame("from the port", UPLINK, &from(427), "pass established pump-1");
    // One port asks one thing at a time.
    let mut world = asking();
    world.profiles[1].rules.push(Rule::to(Peer::Net(net(GROUP)), Service::udp(427)));
    story
        .once(&world, "a question", DEVICE, &question(&world), "pass allowed pump-1")
        .frame("another one", DEVICE, &located, "pass allowed pump-1")
        .frame("the first's answer", UPLINK, &from(DISCOVERY), "drop not-allowed pump-1")
        .frame("the other's", UPLINK, &from(427), "pass established pump-1");
    // A device that may be asked answers whoever asked, and only that one.
    let consumer = "10.20.5.5";
    let asks = Frame::from(consumer).to(GROUP).udp(40_000, DISCOVERY);
    let mut world = hospital();
    world.profiles[1].rules.push(Rule::from(Peer::Net(net(consumer)), Service::udp(DISCOVERY)));
    let reply = |to: &str, port| world.from("pump-1").to(to).udp(41_414, port);
    story
        .once(&world, "nobody asked", DEVICE, &reply(consumer, 40_000), "drop not-allowed pump-1")
        .frame("a question", UPLINK, &asks, "pass no-device")
        .frame("the pump answers", DEVICE, &reply(consumer, 40_000), "pass established pump-1")
        .by("infusion-pump[5]")
        .frame("to another port", DEVICE, &reply(consumer, 40_001), "drop not-allowed pump-1")
        .frame("to somebody else", DEVICE, &reply("10.20.5.6", 40_000), "drop not-allowed pump-1");
}

fn a_question_is_good_for_half_a_minute(story: &mut Story) {
    let world = asking();
    let reply = answer(&world, "10.20.3.4");
    story
        .once(&world, "a question", DEVICE, &question(&world), "pass allowed pump-1")
        .wait(30)
        .frame("in time", UPLINK, &reply, "pass established pump-1")
        .wait(1)
        .frame("too late: answers do not prolong it", UPLINK, &reply, "drop not-allowed pump-1")
        .frame("asked again", DEVICE, &question(&world), "pass allowed pump-1")
        .wait(20)
        .frame("and again, which is a flow", DEVICE, &question(&world), "pass established pump-1")
        .wait(25)
        .frame("the last question counts", UPLINK, &reply, "pass established pump-1");
    let mut forbidden = world.clone();
    forbidden.profiles[1].rules.pop();
    story
        .once(&world, "a question", DEVICE, &question(&world), "pass allowed pump-1")
        .load(&world)
        .frame("in another generation", UPLINK, &reply, "pass established pump-1")
        .load(&forbidden)
        .frame("that no longer allows the question", UPLINK, &reply, "drop not-allowed pump-1");
}

fn only_what_was_allowed_is_a_question(story: &mut Story) {
    let reply = |world: &World| answer(world, "10.20.3.4");
    let world = hospital();
    story.once(&world, "not allowed", DEVICE, &question(&world), "drop not-allowed pump-1").frame(
        "its answer",
        UPLINK,
        &reply(&world),
        "drop not-allowed pump-1",
    );
    for (mode, sent, received) in [
        (Mode::Monitor, "would-drop not-allowed pump-1", "would-drop not-allowed pump-1"),
        (Mode::Learn, "pass learned pump-1", "pass learned pump-1"),
    ] {
        let world = hospital().with_mode("infusion-pump", mode);
        story.once(&world, "softened", DEVICE, &question(&world), sent).frame(
            "its answer",
            UPLINK,
            &reply(&world),
            received,
        );
        let world = asking().with_mode("infusion-pump", mode);
        story.once(&world, "allowed", DEVICE, &question(&world), "pass allowed pump-1").frame(
            "its answer",
            UPLINK,
            &reply(&world),
            "pass established pump-1",
        );
    }
    let world = asking();
    let first = question(&world).fragment(9, 0, true);
    story.once(&world, "a first fragment asks", DEVICE, &first, "pass allowed pump-1").frame(
        "its answer",
        UPLINK,
        &reply(&world),
        "pass established pump-1",
    );
    let spoofed = question(&world).source_mac([9; 6]);
    story.once(&world, "spoofed", DEVICE, &spoofed, "drop spoofed pump-1").frame(
        "its answer",
        UPLINK,
        &reply(&world),
        "drop not-allowed pump-1",
    );
}

fn a_consumer_in_the_network_asks(story: &mut Story) {
    let consumer = "10.20.5.5";
    let asks = Frame::from(consumer).to(GROUP).udp(40_000, DISCOVERY);
    let mut world = hospital();
    world.profiles[1].rules.push(Rule::from(Peer::Net(net(consumer)), Service::udp(DISCOVERY)));
    let reply = world.from("pump-1").to(consumer).udp(DISCOVERY, 40_000);
    story
        .once(&world, "nobody asked", DEVICE, &reply, "drop not-allowed pump-1")
        .frame("a question", UPLINK, &asks, "pass no-device")
        .frame("the pump answers", DEVICE, &reply, "pass established pump-1")
        .by("infusion-pump[5]")
        .frame("which leaves no flow", UPLINK, &reply.reversed().udp(40_000, 9), "drop not-allowed pump-1")
        .wait(31)
        .frame("too late", DEVICE, &reply, "drop not-allowed pump-1");
    let other = Frame::from("10.20.5.6").to(GROUP).udp(40_000, DISCOVERY);
    let to_other = world.from("pump-1").to("10.20.5.6").udp(DISCOVERY, 40_000);
    story
        .once(&world, "somebody else asks", UPLINK, &other, "pass no-device")
        .frame("whom no rule names", DEVICE, &to_other, "drop not-allowed pump-1")
        .frame("and who is not the consumer", DEVICE, &reply, "drop not-allowed pump-1");
    let world = hospital();
    story.once(&world, "a question", UPLINK, &asks, "pass no-device").frame(
        "no rule lets the pump answer",
        DEVICE,
        &reply,
        "drop not-allowed pump-1",
    );
}

fn a_device_asks_and_a_device_answers(story: &mut Story) {
    let mut world = asking();
    let reply = world.from("ct-1").to(world.v4("pump-1")).udp(DISCOVERY, 50_000);
    story.once(&world, "a question", DEVICE, &question(&world), "pass allowed pump-1").frame(
        "the scanner may not be asked",
        DEVICE,
        &reply,
        "drop not-allowed ct-1",
    );
    world.profiles[0].rules.push(Rule::from(Peer::Profile("infusion-pump".into()), Service::udp(DISCOVERY)));
    story
        .once(&world, "a question", DEVICE, &question(&world), "pass allowed pump-1")
        .frame("it may", DEVICE, &reply, "pass established ct-1")
        .by("ct-scanner[10]");
    let mut world = hospital();
    world.profiles[0].rules.push(Rule::from(Peer::Any, Service::udp(DISCOVERY)));
    story
        .once(&world, "a question that is not allowed", DEVICE, &question(&world), "drop not-allowed pump-1")
        .frame("its answer", DEVICE, &reply, "drop not-allowed ct-1");
}

fn lists_and_countries_are_asked_about_who_answers(story: &mut Story) {
    let mut world = asking();
    let ask = Rule::to(Peer::Net(net(GROUP)), Service::udp(DISCOVERY));
    world.profiles[0].rules.push(ask);
    let asks = world.from("ct-1").to(GROUP).udp(50_000, DISCOVERY);
    let from = |address: &str| Frame::from(address).to(world.v4("ct-1")).untagged().udp(DISCOVERY, 50_000);
    story
        .once(&world, "a question", DEVICE, &asks, "pass allowed ct-1")
        .frame("a listed one answers", UPLINK, &from("203.0.113.9"), "drop blocklist ct-1")
        .frame("one abroad answers", UPLINK, &from("198.51.100.200"), "drop geo ct-1")
        .frame("one at home answers", UPLINK, &from("198.51.100.7"), "pass established ct-1")
        .by("ct-scanner[10]");
    let locked = world.clone().with_mode("ct-scanner", Mode::Quarantine);
    story.once(&world, "a question", DEVICE, &asks, "pass allowed ct-1").load(&locked).frame(
        "in quarantine",
        UPLINK,
        &from("198.51.100.7"),
        "drop quarantine ct-1",
    );
}

/// A pump asks from 0.0.0.0 and is answered at the address that it has.
fn an_answer_from_whom_nobody_asked_by_dhcp(story: &mut Story) {
    let world = hospital();
    let mac = world.v4("pump-1").mac;
    let discover = Frame::from("0.0.0.0").to("255.255.255.255").source_mac(mac).udp(68, 67);
    let offer = |device: &str| Frame::from("10.0.0.7").to(world.v4(device)).untagged().udp(67, 68);
    let play = story.once(&world, "nobody asked", UPLINK, &offer("pump-1"), "drop not-allowed pump-1");
    play.frame("a question", DEVICE, &discover, "pass allowed pump-1")
        .by("infusion-pump[3]")
        .frame("a server's offer", UPLINK, &offer("pump-1"), "pass established pump-1")
        .by("infusion-pump[3]")
        .frame("to another device", UPLINK, &offer("ct-2"), "drop not-allowed ct-2")
        .frame("from another port", UPLINK, &offer("pump-1").udp(69, 68), "drop not-allowed pump-1")
        .frame("to another port", UPLINK, &offer("pump-1").udp(67, 69), "drop not-allowed pump-1")
        .wait(31)
        .frame("too late", UPLINK, &offer("pump-1"), "drop not-allowed pump-1")
        .family_matters();
    let broadcast = Frame::from("10.0.0.7").to("255.255.255.255").udp(67, 68);
    story
        .once(&world, "to everybody, which is nobody of ours", UPLINK, &broadcast, "pass no-device")
        .family_matters();
}

fn a_rule_for_dhcp_reaches_everybody(story: &mut Story) {
    let server = Peer::Net(net("10.0.0.7"));
    let with = |rule: Rule| {
        let mut world = hospital();
        world.profiles[1].rules = vec![rule];
        world
    };
    let mac = hospital().v4("pump-1").mac;
    let discover = |port| Frame::from("0.0.0.0").to("255.255.255.255").source_mac(mac).udp(68, port);
    let renew = hospital().from("pump-1").to("10.0.0.7").udp(68, 67);
    let several = |services: Vec<Service>| Rule { services, ..Rule::to(server.clone(), Service::Any) };
    let range = |first, last| Service::Ports { protocol: 17, first, last };
    for (what, rule, is_reached) in [
        ("67/udp", Rule::to(server.clone(), Service::udp(67)), true),
        ("67/udp among others", several(vec![Service::tcp(80), Service::udp(67)]), true),
        ("a range with it", Rule::to(server.clone(), range(60, 70)), false),
        ("any", Rule::to(server.clone(), Service::Any), false),
        ("UDP by its number", Rule::to(server.clone(), Service::Protocol(17)), false),
    ] {
        let world = with(rule);
        let play = story.once(&world, what, DEVICE, &renew, "pass allowed pump-1");
        play.by("infusion-pump[1]");
        let play = if is_reached {
            play.frame("to everybody", DEVICE, &discover(67), "pass allowed pump-1").by("infusion-pump[1]")
        } else {
            play.frame("to everybody", DEVICE, &discover(67), "drop not-allowed pump-1")
        };
        // What a range names is not what the same range names of DHCPv6.
        play.frame("another port", DEVICE, &discover(71), "drop not-allowed pump-1").family_matters();
    }
    let world = with(Rule::to(server.clone(), Service::udp(67)));
    story
        .once(&world, "in both families", DEVICE, &discover(67), "pass allowed pump-1")
        .by("infusion-pump[1]")
        .frame("another port", DEVICE, &discover(71), "drop not-allowed pump-1");
    let near = world.from("pump-1").to("10.10.255.255").udp(68, 67);
    story.once(&world, "a network's own broadcast", DEVICE, &near, "drop not-allowed pump-1");
    let group = world.from("pump-1").to("224.0.0.12").udp(68, 67);
    story.once(&world, "another group", DEVICE, &group, "drop not-allowed pump-1");
    let world = with(Rule::from(server.clone(), Service::udp(67)));
    story.once(&world, "`from`", DEVICE, &discover(67), "drop not-allowed pump-1");
    let world = with(Rule::to(server, Service::tcp(67)));
    story.once(&world, "67/tcp", DEVICE, &discover(67), "drop not-allowed pump-1");
    // DHCPv6's is a group, which a rule for DHCP does not reach.
    let world = with(Rule::to(Peer::Net(net("10.0.0.7")), Service::udp(67)));
    let v6 = Frame::from("fe80::21").to("ff02::1:2").source_mac(mac).udp(546, 547);
    story.once(&world, "DHCPv6 by a rule for DHCP", DEVICE, &v6, "drop not-allowed pump-1").family_matters();
}
