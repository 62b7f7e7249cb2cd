//! Leased addresses as bindings: for how long, of whom, and what comes before them.

use std::net::IpAddr;

use super::dhcp::{ACK, Message, REQUEST};
use super::roamer::{GIVEN, KNOWN, MAC, OTHER, PASS, SERVER, SPOOFED, asks, at, gives, leased, uses, world};
use super::{DEVICE, Story, UPLINK};
use crate::packet::{End, Frame};
use crate::world::{Device, net};

stories![
    how_long_a_lease_is_good,
    another_lease_replaces_the_first,
    the_latest_request_counts,
    the_inventory_comes_first,
    a_lease_is_a_binding_like_any_other,
];

fn how_long_a_lease_is_good(story: &mut Story) {
    let world = world();
    for (what, seconds, good) in [
        ("an hour", Some(3_600), 3_600),
        ("a minute at least", Some(1), 60),
        ("no time at all", Some(0), 60),
        ("a year is a month", Some(31_536_000), 30 * 86_400),
        ("nothing said", None, 86_400),
        ("for ever", Some(u32::MAX), 86_400),
    ] {
        let answer = Message { seconds, ..Message::gives(ACK, 7, MAC, GIVEN) }.unicast(SERVER);
        let again = |port| uses(GIVEN).udp(port, 53);
        story
            .once(&world, "the device asks", DEVICE, &asks(REQUEST, 7), PASS)
            .frame(what, UPLINK, &answer, KNOWN)
            .wait(good - 1)
            .frame("still good", DEVICE, &again(1), PASS)
            .wait(2)
            .frame("no longer", DEVICE, &again(1), SPOOFED)
            .frame("nor to it", UPLINK, &again(1).reversed(), "drop unknown-device")
            .family_matters();
    }
    let renews = Message::asks(REQUEST, 9, MAC).within(Frame::from(at(GIVEN)).to(SERVER).udp(68, 67));
    leased(story, &world)
        .wait(1_800)
        .frame("it asks its server again", DEVICE, &renews, PASS)
        .frame("which answers", UPLINK, &gives(ACK, 9, GIVEN), KNOWN)
        .wait(3_000)
        .frame("beyond the end of the first lease", DEVICE, &uses(GIVEN), PASS)
        .wait(601)
        .frame("beyond the end of the second", DEVICE, &uses(GIVEN), SPOOFED);
    leased(story, &world).load(&world).frame("a new generation", DEVICE, &uses(GIVEN), PASS);
}

fn another_lease_replaces_the_first(story: &mut Story) {
    let world = world();
    leased(story, &world)
        .frame("it asks again", DEVICE, &asks(REQUEST, 8), KNOWN)
        .frame("and has another address", UPLINK, &gives(ACK, 8, OTHER), KNOWN)
        .frame("the new one", DEVICE, &uses(OTHER), PASS)
        .frame("not the old one", DEVICE, &uses(GIVEN), SPOOFED);
    let mut two = world.clone();
    let mut twin = two.devices[two.devices.len() - 1].clone();
    twin.name = "roamer-2".into();
    twin.mac = Some([2, 0, 0, 0, 1, 0x72]);
    two.devices.push(twin);
    let second = End { mac: [2, 0, 0, 0, 1, 0x72], ..at([0; 4]) };
    let request = Message::asks(REQUEST, 9, second.mac).broadcast(second);
    let answer = Message::gives(ACK, 9, second.mac, GIVEN).unicast(SERVER);
    let twin_uses = uses(GIVEN).source_mac(second.mac);
    leased(story, &two)
        .frame("another device asks, from where the first did", DEVICE, &request, "pass established roamer-2")
        .frame("and is given the same address", UPLINK, &answer, "pass established roamer-2")
        .frame("it has it", DEVICE, &twin_uses, "pass allowed roamer-2")
        .frame("the first has it no more", DEVICE, &uses(GIVEN), "drop spoofed roamer-2");
}

fn the_latest_request_counts(story: &mut Story) {
    let world = world();
    story
        .once(&world, "a request", DEVICE, &asks(REQUEST, 7), PASS)
        .wait(10)
        .frame("and another", DEVICE, &asks(REQUEST, 8), KNOWN)
        .frame("what nobody asked is answered", UPLINK, &gives(ACK, 9, GIVEN), KNOWN)
        .frame("not its own", DEVICE, &uses(GIVEN), SPOOFED)
        .wait(55)
        .frame("the first is answered, too late", UPLINK, &gives(ACK, 7, GIVEN), "drop not-allowed roamer-1")
        .frame("not its own", DEVICE, &uses(GIVEN), SPOOFED)
        .frame(
            "the other is answered, just in time",
            UPLINK,
            &gives(ACK, 8, GIVEN),
            "drop not-allowed roamer-1",
        )
        .frame("what is dropped gives nothing", DEVICE, &uses(GIVEN), SPOOFED)
        .family_matters();
}

fn the_inventory_comes_first(story: &mut Story) {
    let world = world();
    let pump = [10, 10, 0, 21];
    story
        .once(&world, "the device asks", DEVICE, &asks(REQUEST, 7), PASS)
        .frame("and is given a pump's address", UPLINK, &gives(ACK, 7, pump), "drop not-allowed pump-1")
        .frame("not its own", DEVICE, &uses(pump), "drop spoofed pump-1")
        .family_matters();
    let mut fixed = world.clone();
    fixed.devices.iter_mut().for_each(|device| device.by_dhcp = false);
    leased(story, &world)
        .load(&fixed)
        .frame("no longer by DHCP", DEVICE, &uses(GIVEN), SPOOFED)
        .load(&world)
        .frame("by DHCP again", DEVICE, &uses(GIVEN), PASS);
    let mut bound = world.clone();
    bound.devices[2].addresses.push(IpAddr::from(GIVEN));
    leased(story, &world)
        .load(&bound)
        .frame("bound to a pump by now", DEVICE, &uses(GIVEN), "drop spoofed pump-1")
        .frame(
            "which uses it",
            DEVICE,
            &uses(GIVEN).source_mac([2, 0, 0, 0, 1, 0x21]),
            "drop not-allowed pump-1",
        );
    let mut beside = world;
    if let Some(device) = beside.devices.last_mut() {
        *device = Device { addresses: vec![net("10.10.0.79").addr()], ..device.clone() };
    }
    leased(story, &beside).frame("the fixed address", DEVICE, &uses([10, 10, 0, 79]), PASS).frame(
        "and the leased one",
        DEVICE,
        &uses(GIVEN),
        PASS,
    );
}

fn a_lease_is_a_binding_like_any_other(story: &mut Story) {
    let world = world();
    let arp = |mac| Frame::arp(End { mac, ..at(GIVEN) }, "10.10.0.1");
    let pump = world.v4("pump-1").mac;
    leased(story, &world)
        .frame("another device sends from it", DEVICE, &uses(GIVEN).source_mac(pump), "drop spoofed roamer-1")
        .frame("nobody sends from it", DEVICE, &uses(GIVEN).source_mac([9; 6]), SPOOFED)
        .frame("ARP", DEVICE, &arp(MAC), "pass link")
        .frame("another device's ARP", DEVICE, &arp(pump), "drop spoofed roamer-1")
        .frame("not allowed", DEVICE, &uses(GIVEN).udp(1, 54), "drop not-allowed roamer-1")
        .frame(
            "listed",
            DEVICE,
            &Frame::from(at(GIVEN)).to("203.0.113.9").udp(1, 53),
            "drop blocklist roamer-1",
        )
        .frame(
            "from a listed address",
            UPLINK,
            &Frame::from("203.0.113.9").to(at(GIVEN)).udp(53, 1),
            "drop blocklist roamer-1",
        )
        .frame(
            "management",
            UPLINK,
            &Frame::from("10.0.0.5").to(at(GIVEN)).tcp(9, 22).syn(),
            "pass management",
        );
    story.once(&world, "ARP for what it was not given", DEVICE, &arp(MAC), "drop spoofed roamer-1");
}
