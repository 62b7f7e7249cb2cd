//! Addresses that devices have from DHCP: which messages say so, and which do not.

use super::dhcp::{self, ACK, DECLINE, DISCOVER, INFORM, Message, NAK, OFFER, RELEASE, REQUEST};
use super::roamer::{
    GIVEN, KNOWN, MAC, OTHER, PASS, SERVER, SPOOFED, V6, asks, at, gives, leased, uses, v6_client, v6_uses,
    world,
};
use super::{DEVICE, Play, Story, UPLINK, errors};
use crate::packet::{End, Frame, TPID_8021AD};
use crate::world::{Device, Peer, Rule, Service, World};

stories![
    an_address_is_learned_from_request_and_answer,
    answers_that_bind_nothing,
    requests_that_bind_nothing,
    an_offer_finds_its_device,
    an_address_that_goes_to_another_device,
    an_address_at_the_other_end_goes_to_another_device,
    options_of_a_message,
    an_address_by_dhcpv6,
    dhcpv6_that_binds_nothing,
    answers_come_from_any_port,
    a_lease_outside_the_segments_ends,
    a_lease_outside_the_segments_is_its_owners,
    a_lease_outside_the_segments_hides_nobody,
    a_grant_ends_for_a_flow_that_was_anothers,
];

fn an_address_is_learned_from_request_and_answer(story: &mut Story) {
    let world = world();
    for tags in [vec![], vec![30], vec![30, 7]] {
        let tagged = |frame: Frame| {
            let base = frame.untagged();
            let with_vlan = if tags.is_empty() { base } else { base.vlan(tags[0]) };
            if tags.len() < 2 { with_vlan } else { with_vlan.outer_tag(TPID_8021AD, tags[1]) }
        };
        story
            .once(&world, "before", DEVICE, &tagged(uses(GIVEN)), SPOOFED)
            .frame("received before", UPLINK, &tagged(uses(GIVEN).reversed()), "drop unknown-device")
            .frame("discover", DEVICE, &tagged(asks(DISCOVER, 6)), PASS)
            .frame("offer", UPLINK, &tagged(gives(OFFER, 6, GIVEN)), KNOWN)
            .frame("an offer is no lease", DEVICE, &tagged(uses(GIVEN)), SPOOFED)
            .frame("request", DEVICE, &tagged(asks(REQUEST, 7)), KNOWN)
            .frame("acknowledged", UPLINK, &tagged(gives(ACK, 7, GIVEN)), KNOWN)
            .frame("its own now", DEVICE, &tagged(uses(GIVEN)), PASS)
            .by("roamer[3]")
            .frame("and received", UPLINK, &tagged(uses(GIVEN).reversed()), KNOWN)
            .frame("not another's", DEVICE, &tagged(uses(OTHER)), SPOOFED)
            .family_matters();
    }
    let everybody = Message::gives(ACK, 7, MAC, GIVEN)
        .within(Frame::from(SERVER).to("255.255.255.255").destination_mac([0xff; 6]).udp(67, 68));
    story
        .once(&world, "request", DEVICE, &asks(REQUEST, 7), PASS)
        .frame("acknowledged to everybody", UPLINK, &everybody, "pass no-device")
        .frame("its own now", DEVICE, &uses(GIVEN), PASS)
        .family_matters();
    let relay = Message::gives(ACK, 7, MAC, GIVEN).within(Frame::from(SERVER).to("10.30.0.1").udp(67, 67));
    story
        .once(&world, "request", DEVICE, &asks(REQUEST, 7), PASS)
        .frame("acknowledged to a relay", UPLINK, &relay, "pass no-device")
        .frame("its own now", DEVICE, &uses(GIVEN), PASS)
        .family_matters();
    story
        .once(&world, "discover", DEVICE, &asks(DISCOVER, 7), PASS)
        .frame("acknowledged at once (RFC 4039)", UPLINK, &gives(ACK, 7, GIVEN), KNOWN)
        .frame("its own now", DEVICE, &uses(GIVEN), PASS)
        .family_matters();
}

fn answers_that_bind_nothing(story: &mut Story) {
    let world = world();
    let with = |change: fn(&mut Message)| {
        let mut message = Message::gives(ACK, 7, MAC, GIVEN);
        change(&mut message);
        message.unicast(SERVER).destination_mac(MAC)
    };
    for (what, port, frame, told) in [
        ("another transaction", UPLINK, with(|message| message.transaction = 8), KNOWN),
        ("another client", UPLINK, with(|message| message.client = [8; 6]), KNOWN),
        ("a refusal", UPLINK, with(|message| message.kind = NAK), KNOWN),
        ("an offer", UPLINK, with(|message| message.kind = OFFER), KNOWN),
        ("a question from a server's port", UPLINK, with(|message| message.operation = 1), KNOWN),
        ("an answer from a device port", DEVICE, with(|_| ()).source_mac(MAC), "drop rogue-dhcp"),
        ("from another port, without a message", UPLINK, with(|_| ()).udp(66, 68), "drop unknown-device"),
        ("to another port", UPLINK, with(|_| ()).ports(67, 69), "drop unknown-device"),
        ("without a message", UPLINK, gives(ACK, 7, GIVEN).udp(67, 68), KNOWN),
    ] {
        story
            .once(&world, "the device asks", DEVICE, &asks(REQUEST, 7), PASS)
            .frame(what, port, &frame, told)
            .frame("not its own", DEVICE, &uses(GIVEN), SPOOFED)
            .family_matters();
    }
    let outside = gives(ACK, 7, [10, 20, 9, 71]);
    story
        .once(&world, "the device asks", DEVICE, &asks(REQUEST, 7), PASS)
        .frame("an address outside of the segments", UPLINK, &outside, "pass no-device")
        .frame("not its own", DEVICE, &uses([10, 20, 9, 71]), SPOOFED)
        .family_matters();
    story
        .once(&world, "the device asks", DEVICE, &asks(REQUEST, 7), PASS)
        .wait(61)
        .frame("after a minute", UPLINK, &gives(ACK, 7, GIVEN), "drop not-allowed roamer-1")
        .frame("not its own", DEVICE, &uses(GIVEN), SPOOFED)
        .family_matters();
    story
        .once(&world, "the device asks", DEVICE, &asks(REQUEST, 7), PASS)
        .wait(60)
        .frame(
            "at the last moment, when the question is forgotten",
            UPLINK,
            &gives(ACK, 7, GIVEN),
            "drop not-allowed roamer-1",
        )
        .frame("not its own", DEVICE, &uses(GIVEN), SPOOFED)
        .family_matters();
    story
        .once(&world, "nobody asked", UPLINK, &gives(ACK, 7, GIVEN), "drop not-allowed roamer-1")
        .frame("not its own", DEVICE, &uses(GIVEN), SPOOFED)
        .family_matters();
}

fn requests_that_bind_nothing(story: &mut Story) {
    let world = world();
    let nobody = at([0; 4]);
    let pump = world.v4("pump-1").mac;
    let other = Message::asks(REQUEST, 7, pump).broadcast(nobody);
    let borrowed = Message::asks(REQUEST, 7, MAC).broadcast(End { mac: pump, ..nobody });
    for (what, frame, told) in [
        ("for another client", other, PASS),
        ("by another device", borrowed, "pass allowed pump-1"),
        ("a release", asks(RELEASE, 7), PASS),
        ("a declination", asks(DECLINE, 7), PASS),
        ("an inquiry", asks(INFORM, 7), PASS),
        ("without a message", asks(REQUEST, 7).udp(68, 67), PASS),
    ] {
        story
            .once(&world, what, DEVICE, &frame, told)
            .frame("answered", UPLINK, &gives(ACK, 7, GIVEN).destination_mac([8; 6]), "drop unknown-device")
            .frame("not its own", DEVICE, &uses(GIVEN), SPOOFED)
            .family_matters();
    }
    let mut fixed = world.clone();
    fixed.devices.iter_mut().for_each(|device| device.by_dhcp = false);
    story
        .once(&fixed, "a device that has no address by DHCP", DEVICE, &asks(REQUEST, 7), PASS)
        .frame("answered", UPLINK, &gives(ACK, 7, GIVEN), "drop unknown-device")
        .frame("not its own", DEVICE, &uses(GIVEN), SPOOFED)
        .family_matters();
    let mut bound = world;
    bound.devices.iter_mut().for_each(|device| device.vlan = Some(110));
    story
        .once(&bound, "in another VLAN", DEVICE, &asks(REQUEST, 7).vlan(111), SPOOFED)
        .frame("answered", UPLINK, &gives(ACK, 7, GIVEN).vlan(110), "drop not-allowed roamer-1")
        .frame("not its own", DEVICE, &uses(GIVEN).vlan(110), SPOOFED)
        .family_matters()
        .tags_matter();
}

fn an_offer_finds_its_device(story: &mut Story) {
    let world = world();
    let offer = gives(OFFER, 6, GIVEN);
    story
        .once(&world, "nobody asked", UPLINK, &offer, "drop not-allowed roamer-1")
        .frame("a question", DEVICE, &asks(DISCOVER, 6), PASS)
        .frame("an offer", UPLINK, &offer, KNOWN)
        .frame(
            "to nobody's hardware address",
            UPLINK,
            &offer.clone().destination_mac([8; 6]),
            "drop unknown-device",
        )
        .frame(
            "to a device with a fixed address",
            UPLINK,
            &offer.clone().destination_mac([2, 0, 0, 0, 1, 0x21]),
            "drop unknown-device",
        )
        .frame("another service", UPLINK, &offer.clone().udp(53, 68), "drop unknown-device")
        .frame("another port", UPLINK, &offer.clone().udp(67, 69), "drop unknown-device")
        .frame(
            "from a listed server",
            UPLINK,
            &Message::gives(OFFER, 6, MAC, GIVEN).unicast("203.0.113.9"),
            "drop blocklist roamer-1",
        )
        .family_matters();
}

/// A second device by DHCP, which may do nothing but ask for an address.
const STROLLER: [u8; 6] = [2, 0, 0, 0, 1, 0x72];

fn with_a_stroller() -> World {
    let mut world = world();
    let mut profile = world.profiles[world.profiles.len() - 1].clone();
    profile.name = "stroller".into();
    profile.rules = vec![Rule::to(Peer::Any, Service::udp(67))];
    world.profiles.push(profile);
    let roamer = world.devices[world.devices.len() - 1].clone();
    world.devices.push(Device {
        name: "stroller-1".into(),
        profile: "stroller".into(),
        mac: Some(STROLLER),
        ..roamer
    });
    world
}

fn stroller_gets(play: &mut Play, address: [u8; 4]) -> &mut Play {
    let request = Message::asks(REQUEST, 8, STROLLER).broadcast(End { mac: STROLLER, ..at([0; 4]) });
    let answer = Message::gives(ACK, 8, STROLLER, address).unicast(SERVER).destination_mac(STROLLER);
    play.frame("another asks", DEVICE, &request, "pass established stroller-1").frame(
        "and is answered",
        UPLINK,
        &answer,
        "pass established stroller-1",
    )
}

fn an_address_that_goes_to_another_device(story: &mut Story) {
    let world = with_a_stroller();
    let theirs = uses(GIVEN).source_mac(STROLLER);
    let error = errors::error("10.0.0.53", &uses(GIVEN), 3, 3);
    let play = leased(story, &world)
        .frame("its own", DEVICE, &uses(GIVEN), PASS)
        .frame("answered", UPLINK, &uses(GIVEN).reversed(), KNOWN)
        .frame("an error", UPLINK, &error, "pass related roamer-1");
    stroller_gets(play, GIVEN)
        .frame("not the new owner's", DEVICE, &theirs, "drop not-allowed stroller-1")
        .frame("nor received", UPLINK, &theirs.reversed(), "drop not-allowed stroller-1")
        .frame("nor an error", UPLINK, &error, "drop not-allowed stroller-1")
        .frame("no longer the old one's", DEVICE, &uses(GIVEN), "drop spoofed stroller-1");
}

fn an_address_at_the_other_end_goes_to_another_device(story: &mut Story) {
    let mut world = with_a_stroller();
    for profile in world.profiles.iter_mut().filter(|profile| profile.name == "roamer") {
        profile.rules.push(Rule::from(Peer::Any, Service::udp(9)));
    }
    let lab = world.from("lab-1").to(at(GIVEN)).udp(1_000, 9);
    let play = leased(story, &world).frame("to its owner", DEVICE, &lab, "pass allowed lab-1").frame(
        "goes on",
        DEVICE,
        &lab,
        "pass established lab-1",
    );
    stroller_gets(play, GIVEN).frame("not to the new one", DEVICE, &lab, "drop not-allowed stroller-1");
}

fn options_of_a_message(story: &mut Story) {
    let world = world();
    let long = [&[43, 200][..], &[0x35; 200]].concat();
    for (what, before, is_read) in [
        ("padding in front", vec![0; 12], true),
        ("another option in front", vec![54, 4, 10, 0, 0, 7], true),
        ("a long option that holds others", long, true),
        ("an option without a value", vec![80, 0], true),
        ("the end in front", vec![255], false),
        ("an option that is longer than the message", vec![43, 255], false),
    ] {
        let request = Message { before: before.clone(), ..Message::asks(REQUEST, 7, MAC) };
        let answer = Message { before, ..Message::gives(ACK, 7, MAC, GIVEN) };
        story
            .once(&world, what, DEVICE, &request.broadcast(at([0; 4])), PASS)
            .frame("answered", UPLINK, &answer.unicast(SERVER), KNOWN)
            .frame("its own", DEVICE, &uses(GIVEN), if is_read { PASS } else { SPOOFED })
            .family_matters();
    }
}

fn an_address_by_dhcpv6(story: &mut Story) {
    let world = world();
    for kind in [1, 3, 5, 6] {
        story
            .once(&world, "before", DEVICE, &v6_uses(V6), SPOOFED)
            .frame(&format!("message {kind}"), DEVICE, &dhcp::v6_asks(kind, 7, v6_client()), PASS)
            .by("roamer[2]")
            .frame("a reply", UPLINK, &dhcp::v6_gives(7, 7, v6_client(), V6, 3_600), KNOWN)
            .frame("its own now", DEVICE, &v6_uses(V6), PASS)
            .frame("and received", UPLINK, &v6_uses(V6).reversed(), KNOWN)
            .frame("not another's", DEVICE, &v6_uses("2001:db8:10::72"), SPOOFED)
            .wait(3_599)
            .frame("still good", DEVICE, &v6_uses(V6).udp(2, 53), PASS)
            .wait(2)
            .frame("no longer", DEVICE, &v6_uses(V6), SPOOFED)
            .family_matters();
    }
    story
        .once(&world, "a request", DEVICE, &dhcp::v6_asks(3, 7, v6_client()), PASS)
        .frame("a reply", UPLINK, &dhcp::v6_gives(7, 7, v6_client(), V6, 3_600), KNOWN)
        .frame("and one of IPv4", DEVICE, &asks(REQUEST, 7), PASS)
        .frame("answered", UPLINK, &gives(ACK, 7, GIVEN), KNOWN)
        .frame("both are its own", DEVICE, &v6_uses(V6), PASS)
        .frame("both are its own", DEVICE, &uses(GIVEN), PASS)
        .family_matters();
}

fn dhcpv6_that_binds_nothing(story: &mut Story) {
    let world = world();
    let asks = |kind| dhcp::v6_asks(kind, 7, v6_client());
    let other = End { mac: [8; 6], ..v6_client() };
    let gives =
        |kind, transaction, client, address| dhcp::v6_gives(kind, transaction, client, address, 3_600);
    for (what, kind, frame, answer) in [
        ("another transaction", 3, gives(7, 8, v6_client(), V6), KNOWN),
        ("an advertisement", 3, gives(2, 7, v6_client(), V6), KNOWN),
        ("to another client", 3, gives(7, 7, other, V6), "pass no-device"),
        ("after a confirmation", 4, gives(7, 7, v6_client(), V6), KNOWN),
        ("after a release", 8, gives(7, 7, v6_client(), V6), KNOWN),
        ("after an inquiry", 11, gives(7, 7, v6_client(), V6), KNOWN),
    ] {
        story
            .once(&world, "the device asks", DEVICE, &asks(kind), PASS)
            .frame(what, UPLINK, &frame, answer)
            .frame("not its own", DEVICE, &v6_uses(V6), SPOOFED)
            .family_matters();
    }
    for (what, address, told) in [
        ("outside of the segments", "2001:db8:20::71", SPOOFED),
        ("a pump's", "2001:db8:10::21", "drop spoofed pump-1"),
    ] {
        story
            .once(&world, "the device asks", DEVICE, &asks(3), PASS)
            .frame(what, UPLINK, &gives(7, 7, v6_client(), address), KNOWN)
            .frame("not its own", DEVICE, &v6_uses(address), told)
            .family_matters();
    }
    story
        .once(&world, "the device asks", DEVICE, &asks(3), PASS)
        .frame("answered on a device port", DEVICE, &gives(7, 7, v6_client(), V6), "drop rogue-dhcp")
        .frame("not its own", DEVICE, &v6_uses(V6), SPOOFED)
        .wait(61)
        .frame("answered too late", UPLINK, &gives(7, 7, v6_client(), V6), "drop not-allowed roamer-1")
        .frame("not its own", DEVICE, &v6_uses(V6), SPOOFED)
        .family_matters();
}

/// RFC 2131 §4.1 and RFC 8415 §7.2 say which port an answer goes to, and not which it comes from.
fn answers_come_from_any_port(story: &mut Story) {
    let world = world();
    for port in [1, 66, 68, 1_067, 65_535] {
        story
            .once(&world, "the device asks", DEVICE, &asks(REQUEST, 7), PASS)
            .frame(
                "it alone is answered",
                UPLINK,
                &gives(ACK, 7, GIVEN).ports(port, 68),
                "drop unknown-device",
            )
            .frame("what is dropped gives nothing", DEVICE, &uses(GIVEN), SPOOFED)
            .family_matters();
        let everybody = Message::gives(ACK, 7, MAC, GIVEN)
            .within(Frame::from(SERVER).to("255.255.255.255").destination_mac([0xff; 6]).udp(port, 68));
        story
            .once(&world, "the device asks", DEVICE, &asks(REQUEST, 7), PASS)
            .frame("everybody is answered", UPLINK, &everybody, "pass no-device")
            .frame("its own now", DEVICE, &uses(GIVEN), PASS)
            .family_matters();
    }
    let reply = dhcp::v6_gives(7, 7, v6_client(), V6, 3_600);
    for (port, destination) in [(1, 546), (546, 546), (1_547, 546), (65_535, 546), (547, 547)] {
        story
            .once(&world, "the device asks", DEVICE, &dhcp::v6_asks(3, 7, v6_client()), PASS)
            .frame(
                "it is answered from elsewhere",
                UPLINK,
                &reply.clone().ports(port, destination),
                "drop not-allowed roamer-1",
            )
            .frame("not its own", DEVICE, &v6_uses(V6), SPOOFED)
            .family_matters();
    }
}

/// Other segments than the one in which the address was given.
fn moved() -> World {
    let mut moved = world();
    moved.management.clear();
    moved.segments = vec![crate::world::net("10.11.0.0/16"), crate::world::net("2001:db8:10::/48")];
    moved
}

fn a_lease_outside_the_segments_is_its_owners(story: &mut Story) {
    let play = leased(story, &world());
    let attack = Frame::from("10.0.0.53").to(at(GIVEN)).untagged().udp(4000, 9);
    play.frame("before", UPLINK, &attack, "drop not-allowed roamer-1");
    play.load(&moved());
    play.frame("icmp, by the stages", UPLINK, &attack.clone().icmp(8, 0, 1), "drop not-allowed roamer-1");
    play.frame("the segments are others", UPLINK, &attack, "drop not-allowed roamer-1").family_matters();
}

fn a_lease_outside_the_segments_hides_nobody(story: &mut Story) {
    let play = leased(story, &world());
    let attack = Frame::from("10.0.0.53").to(at(GIVEN)).untagged().tcp(4000, 22).syn();
    let locked = moved().with_mode("roamer", iomt_filter_common::policy::Mode::Quarantine);
    play.load(&locked);
    play.frame("in quarantine", UPLINK, &attack, "drop quarantine roamer-1").family_matters();
}

fn a_lease_outside_the_segments_ends(story: &mut Story) {
    let play = leased(story, &world());
    play.load(&moved()).wait(3_590);
    play.frame("opens", DEVICE, &uses(GIVEN), PASS);
    play.frame("goes on", DEVICE, &uses(GIVEN), KNOWN);
    play.frame("goes on", DEVICE, &uses(GIVEN), KNOWN);
    play.wait(10).frame("its lease is over", DEVICE, &uses(GIVEN), SPOOFED).family_matters();
}

fn a_grant_ends_for_a_flow_that_was_anothers(story: &mut Story) {
    let mut world = with_a_stroller();
    for profile in world.profiles.iter_mut().filter(|profile| profile.name == "roamer") {
        profile.rules.push(Rule::from(Peer::Any, Service::udp(9)));
    }
    world.grants.push(crate::world::Grant {
        device: "stroller-1".into(),
        rule: Rule::from(Peer::Any, Service::udp(9)),
        expires: super::BEGINNING + 20 * super::SECOND,
    });
    let lab = world.from("lab-1").to(at(GIVEN)).udp(1_000, 9);
    let play = leased(story, &world).frame("to its owner", DEVICE, &lab, "pass allowed lab-1");
    stroller_gets(play, GIVEN).frame("granted to the new one", DEVICE, &lab, "pass established lab-1");
    play.wait(19).frame("to the last", DEVICE, &lab, "pass established lab-1");
    play.wait(1).frame(
        "a new one is refused",
        DEVICE,
        &lab.clone().udp(1_001, 9),
        "drop not-allowed stroller-1",
    );
    play.frame("the grant is over", DEVICE, &lab, "drop not-allowed stroller-1");
}
