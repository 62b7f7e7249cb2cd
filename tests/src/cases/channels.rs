//! Ways around the rules that frames of an unusual kind could open.

use iomt_filter_common::policy::Mode;

use super::errors::error;
use super::{DEVICE, Story, UPLINK};
use crate::packet::{Frame, Transport};
use crate::world::{Limits, Peer, Rates, Rule, Service, World, hospital, net};

stories![
    nobody_asks_in_the_name_of_a_device,
    a_question_to_one_is_no_question_to_all,
    a_link_local_address_is_its_devices,
    dropped_fragments_touch_no_others,
    management_sessions_find_their_path,
    a_dhcp_server_is_known_by_whom_it_answers,
    what_is_opened_to_a_device_leaves_it_its_own,
    errors_count_as_packets,
    a_device_is_known_in_every_vlan,
    this_host_opens_what_a_rule_says,
    an_address_that_is_nobodys_goes_nowhere_far,
    opening_again_is_opening,
    one_link_local_address_is_not_everybodys,
    the_time_is_answered,
];

const DISCOVERY: u16 = 3_702;
const GROUP: &str = "239.255.255.250";
const STRANGER: [u8; 6] = [2, 0, 0, 0, 9, 9];

fn nobody_asks_in_the_name_of_a_device(story: &mut Story) {
    let mut world = hospital();
    world.profiles[1].rules.push(Rule::to(Peer::Net(net(GROUP)), Service::udp(DISCOVERY)));
    for (group, service) in [(GROUP, DISCOVERY), ("255.255.255.255", 67)] {
        let attack = Frame::from("10.20.3.4").to(world.v4("pump-1")).udp(service, 161);
        let bait = Frame::from("10.10.0.21").to(group).udp(161, service);
        story
            .once(&world, "not allowed", UPLINK, &attack, "drop not-allowed pump-1")
            .frame("somebody asks in the pump's name", UPLINK, &bait, "pass no-device")
            .frame("not allowed all the same", UPLINK, &attack, "drop not-allowed pump-1")
            .frame(
                "the pump asks",
                DEVICE,
                &world.from("pump-1").to(group).udp(161, service),
                "pass allowed pump-1",
            )
            .frame("it is answered", UPLINK, &attack, "pass established pump-1")
            .family_matters();
    }
}

fn a_question_to_one_is_no_question_to_all(story: &mut Story) {
    let world = hospital();
    let answer = Frame::from("10.99.3.4").to(world.v4("ct-1")).untagged().udp(53, 40_000);
    let question = world.from("ct-1").to("10.0.0.53").udp(40_000, 53).destination_mac([0xff; 6]);
    story
        .once(&world, "not allowed", UPLINK, &answer, "drop not-allowed ct-1")
        .frame("to one, by everybody's hardware address", DEVICE, &question, "pass allowed ct-1")
        .frame("not allowed all the same", UPLINK, &answer, "drop not-allowed ct-1")
        .family_matters();
    let mut near = world;
    near.profiles[1].rules.push(Rule::to(Peer::Net(net("10.10.255.255")), Service::udp(137)));
    let question = near.from("pump-1").to("10.10.255.255").udp(137, 137).destination_mac([0xff; 6]);
    let from = |address: &str| Frame::from(address).to(near.v4("pump-1")).udp(137, 137);
    story
        .once(&near, "the network's own broadcast", DEVICE, &question, "pass allowed pump-1")
        .frame("answered from further away", UPLINK, &from("10.20.3.4"), "drop not-allowed pump-1")
        .family_matters();
}

fn a_link_local_address_is_its_devices(story: &mut Story) {
    let world = hospital();
    let pump = world.v4("pump-1").mac;
    let from_network = Frame::from("fe80::bad").to("fe80::21").destination_mac(pump).tcp(40_000, 104).syn();
    story
        .once(&world, "from the network", UPLINK, &from_network, "drop not-allowed pump-1")
        .frame("to nobody we know", UPLINK, &from_network.clone().destination_mac(STRANGER), "pass no-device")
        .family_matters();
    let learner = world.v4("learner-1").mac;
    let beside = Frame::from("fe80::41").source_mac(learner).to("fe80::21").destination_mac(pump);
    story
        .once(&world, "from another device", DEVICE, &beside.udp(40_000, 161), "drop not-allowed pump-1")
        .family_matters();
}

fn dropped_fragments_touch_no_others(story: &mut Story) {
    let world = hospital();
    let whole = world.from("ct-1").to("10.0.0.53").udp(1_000, 53).transport(|transport| {
        if let Transport::Udp(udp) = transport {
            udp.body = vec![0x55; 24];
        }
    });
    let part = |start| whole.clone().protocol(17, &[0xaa; 32]).fragment(700, start, true);
    let first = whole.clone().fragment(700, 0, true);
    let poison = whole.clone().udp(1_000, 161).fragment(700, 0, true);
    let from_network = Frame::from("10.10.0.11").to("10.0.0.53").udp(1_000, 161).fragment(700, 0, true);
    story
        .once(&world, "the first", DEVICE, &first, "pass allowed ct-1")
        .frame("a stranger's", DEVICE, &poison.source_mac(STRANGER), "drop spoofed ct-1")
        .frame("one from the other side", UPLINK, &from_network, "pass no-device")
        .frame("a stranger's later one", DEVICE, &part(32).source_mac(STRANGER), "drop spoofed ct-1")
        .frame("the device's own", DEVICE, &part(32), "pass established ct-1")
        .frame("again", DEVICE, &part(32), "drop fragment");
}

fn management_sessions_find_their_path(story: &mut Story) {
    let world = hospital();
    let pump = world.v4("pump-1");
    let syn = Frame::from("10.0.0.5").to(pump).tcp(40_000, 22).syn();
    let data = world.from("pump-1").to("10.0.0.5").tcp(22, 40_000).ack();
    let other = world.from("pump-1").to("10.0.0.5").tcp(23, 40_000).ack();
    let tells = Frame::from(pump).to("10.0.0.5").icmp(3, 3, 0).transport(|transport| {
        if let Transport::Icmp(icmp) = transport {
            icmp.body = syn.bytes()[14..].to_vec();
        }
    });
    story
        .once(&world, "a session", UPLINK, &syn, "pass management")
        .frame("a large answer", DEVICE, &data, "pass management")
        .frame("too big", UPLINK, &error("10.99.0.1", &data, 3, 4), "pass management")
        .frame("of another service", UPLINK, &error("10.99.0.1", &other, 3, 4), "drop not-allowed pump-1")
        .frame("the device tells the peer", DEVICE, &tells, "pass management")
        .frame("and nobody else", DEVICE, &tells.clone().to("10.20.9.9"), "drop not-allowed pump-1")
        .family_matters();
}

fn a_dhcp_server_is_known_by_whom_it_answers(story: &mut Story) {
    let world = hospital().with_mode("ct-scanner", Mode::Monitor);
    for port in [67, 1_067] {
        let answer = world.from("ct-1").to("255.255.255.255").udp(port, 68);
        story.once(&world, "an answer", DEVICE, &answer, "drop rogue-dhcp").family_matters();
    }
    for port in [547, 1_547] {
        let answer = Frame::from(world.v6("ct-1")).to("ff02::1").udp(port, 546);
        story.once(&world, "an answer", DEVICE, &answer, "drop rogue-dhcp").family_matters();
    }
}

fn what_is_opened_to_a_device_leaves_it_its_own(story: &mut Story) {
    let mut world = hospital();
    world.profiles[0].limits = Limits { flows: Some(2), ..Limits::default() };
    let peer = |port| Frame::from("10.20.0.10").to(world.v4("ct-1")).untagged().tcp(port, 104).syn();
    let own = |port| world.from("ct-1").to("10.20.0.10").tcp(port, 104).syn();
    story
        .once(&world, "one", UPLINK, &peer(1_000), "pass allowed ct-1")
        .frame("two", UPLINK, &peer(1_001), "pass allowed ct-1")
        .frame("three", UPLINK, &peer(1_002), "drop rate-limit ct-1")
        .frame("its own", DEVICE, &own(40_000), "pass allowed ct-1")
        .frame("its second", DEVICE, &own(40_001), "pass allowed ct-1")
        .frame("its third", DEVICE, &own(40_002), "drop rate-limit ct-1");
}

fn errors_count_as_packets(story: &mut Story) {
    let mut world = hospital();
    world.profiles[0].limits.to = Rates { packets: Some(2), connections: None };
    let syn = world.from("ct-1").to("10.20.0.10").tcp(40_000, 104).syn();
    let about = error("10.99.0.1", &syn, 3, 1);
    story
        .once(&world, "opening", DEVICE, &syn, "pass allowed ct-1")
        .frame("an error", UPLINK, &about, "pass related ct-1")
        .frame("another", UPLINK, &about, "pass related ct-1")
        .frame("a flood", UPLINK, &about, "drop rate-limit ct-1")
        .family_matters();
}

fn a_device_is_known_in_every_vlan(story: &mut Story) {
    let world = hospital();
    let scanner = world.v4("ct-1").mac;
    for vlan in [None, Some(7)] {
        let tagged = |frame: Frame| {
            let frame = frame.untagged();
            vlan.map_or(frame.clone(), |vlan| frame.vlan(vlan))
        };
        for (what, source, answer) in [
            ("its own address", "10.10.0.11", "drop spoofed ct-1"),
            ("nobody's address", "10.10.0.222", "drop spoofed ct-1"),
            ("a monitor's address", "10.10.0.31", "drop spoofed ct-1"),
            ("one of a device without a hardware address", "10.10.9.61", "drop spoofed lab-1"),
        ] {
            let frame = tagged(Frame::from(source).source_mac(scanner).to("10.20.0.10").udp(1, 9));
            story.once(&world, what, DEVICE, &frame, answer).tags_matter().family_matters();
        }
        let arp = tagged(Frame::arp("10.10.0.222", "10.10.0.1").source_mac(scanner));
        story.once(&world, "nobody's address by ARP", DEVICE, &arp, "drop spoofed ct-1").tags_matter();
    }
}

fn this_host_opens_what_a_rule_says(story: &mut Story) {
    let mut world = hospital();
    world.own = vec![net("10.10.0.1").addr()];
    let host = Peer::Net(net("10.10.0.1"));
    let services = vec![Service::tcp(104), Service::udp(161), Service::Protocol(1)];
    world.profiles[1].rules.push(Rule { services, ..Rule::from(host, Service::Any) });
    let pump = |world: &World| world.from("pump-1").to("10.10.0.1");
    for (what, frame, answer) in [
        ("an answer", pump(&world).tcp(104, 40_000).syn_ack(), "pass allowed pump-1"),
        ("a datagram", pump(&world).udp(161, 40_000), "pass allowed pump-1"),
        ("an echo", pump(&world).pong(9), "pass allowed pump-1"),
        ("of another service", pump(&world).tcp(105, 40_000).syn_ack(), "drop no-flow pump-1"),
        ("it opens itself", pump(&world).tcp(104, 40_000).syn(), "drop not-allowed pump-1"),
        ("it asks itself", pump(&world).ping(9), "drop not-allowed pump-1"),
        (
            "to somebody else",
            world.from("pump-1").to("10.20.3.4").tcp(104, 40_000).syn_ack(),
            "drop no-flow pump-1",
        ),
    ] {
        story.once(&world, what, DEVICE, &frame, answer).family_matters();
    }
}

fn an_address_that_is_nobodys_goes_nowhere_far(story: &mut Story) {
    let world = hospital();
    let scanner = world.v4("ct-1");
    for source in ["0.0.0.0", "::", "fe80::11"] {
        let to = if source == "0.0.0.0" { "10.20.0.10" } else { "2001:db8:20::10" };
        let frame = Frame::from(source).source_mac(scanner.mac).to(to).vlan(110).tcp(40_000, 104).syn();
        story.once(&world, source, DEVICE, &frame, "drop spoofed ct-1").family_matters().tags_matter();
    }
}

fn opening_again_is_opening(story: &mut Story) {
    let mut world = hospital();
    world.profiles[0].limits.from = Rates { packets: None, connections: Some(2) };
    let out = world.from("ct-1").to("10.20.0.10").tcp(40_000, 104);
    let reset = out.reversed().untagged().flags(crate::packet::RST);
    story
        .once(&world, "one", DEVICE, &out.clone().syn(), "pass allowed ct-1")
        .frame("refused", UPLINK, &reset, "pass established ct-1")
        .frame("two", DEVICE, &out.clone().syn(), "pass allowed ct-1")
        .frame("refused", UPLINK, &reset, "pass established ct-1")
        .frame("three", DEVICE, &out.syn(), "drop rate-limit ct-1");
}

fn one_link_local_address_is_not_everybodys(story: &mut Story) {
    for group in [[0xff; 6], [0x33, 0x33, 0, 0, 0, 1]] {
        for port in [DEVICE, UPLINK] {
            for (from, to) in [("fe80::99", "fe80::21"), ("169.254.9.9", "169.254.0.21")] {
                let frame = Frame::from(from).to(to).udp(1_000, DISCOVERY).destination_mac(group);
                story.once(&hospital(), "by a group", port, &frame, "drop malformed").family_matters();
            }
        }
    }
    let broadcast = Frame::from("169.254.9.9").to("169.254.255.255").udp(137, 137).destination_mac([0xff; 6]);
    story.once(&hospital(), "to all of them", UPLINK, &broadcast, "pass no-device").family_matters();
}

fn the_time_is_answered(story: &mut Story) {
    let world = hospital();
    let asks = world.from("ct-1").to("10.20.0.10").icmp(13, 0, 7);
    let answers = asks.reversed().untagged().icmp(14, 0, 7);
    story
        .once(&world, "nobody asked", UPLINK, &answers, "drop not-allowed ct-1")
        .frame("the time", DEVICE, &asks, "pass allowed ct-1")
        .frame("here it is", UPLINK, &answers, "pass established ct-1")
        .frame("another's", UPLINK, &answers.clone().icmp(14, 0, 8), "drop not-allowed ct-1")
        .family_matters();
}
