//! Leased addresses as bindings: for how long, of whom, and what comes before them.

use std::net::IpAddr;

use super::dhcp::{self, ACK, DISCOVER, Message, REQUEST};
use super::roamer::{
    GIVEN, KNOWN, MAC, OTHER, PASS, SERVER, SPOOFED, V6, V6_OTHER, asks, at, gives, leased, uses, v6_client,
    v6_uses, world,
};
use super::{DEVICE, Story, UPLINK};
use crate::packet::{End, Frame};
use crate::world::{Device, World, net};

stories![
    how_long_a_lease_is_good,
    a_lease_without_an_end_is_good_until_another_replaces_it,
    a_device_has_its_last_four_requests,
    nobody_pushes_out_anothers_request,
    one_hardware_address_in_two_vlans_is_two_clients,
    an_address_of_this_host_is_leased_by_nobody,
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
        ("a year", Some(31_536_000), 31_536_000),
        ("nothing said", None, 86_400),
        ("as long as can be said", Some(u32::MAX - 1), 4_294_967_294),
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

fn a_lease_without_an_end_is_good_until_another_replaces_it(story: &mut Story) {
    const A_CENTURY: u64 = 100 * 31_536_000;
    let world = world();
    let for_good = Message { seconds: Some(u32::MAX), ..Message::gives(ACK, 7, MAC, GIVEN) }.unicast(SERVER);
    for (what, address) in [("another address", OTHER), ("the same for an hour", GIVEN)] {
        story
            .once(&world, "the device asks", DEVICE, &asks(REQUEST, 7), PASS)
            .frame("for ever", UPLINK, &for_good, KNOWN)
            .wait(A_CENTURY)
            .frame("still good", DEVICE, &uses(GIVEN), PASS)
            .frame("and received", UPLINK, &uses(GIVEN).reversed(), KNOWN)
            .frame("not another's", DEVICE, &uses(OTHER), SPOOFED)
            .frame("it asks again", DEVICE, &asks(REQUEST, 8), PASS)
            .frame(what, UPLINK, &gives(ACK, 8, address), KNOWN)
            .wait(3_601)
            .frame("the first is good no more", DEVICE, &uses(GIVEN), SPOOFED)
            .family_matters();
    }
    for (what, seconds, told) in
        [("without an end", u32::MAX, PASS), ("as long as can be said", u32::MAX - 1, SPOOFED)]
    {
        story
            .once(&world, "the device asks", DEVICE, &dhcp::v6_asks(3, 7, v6_client()), PASS)
            .frame(what, UPLINK, &dhcp::v6_gives(7, 7, v6_client(), V6, seconds), KNOWN)
            .wait(4_294_967_293)
            .frame("still good", DEVICE, &v6_uses(V6), PASS)
            .wait(2)
            .frame("for ever, or no longer", DEVICE, &v6_uses(V6).udp(2, 53), told)
            .family_matters();
    }
}

fn a_device_has_its_last_four_requests(story: &mut Story) {
    let world = world();
    for (answered, told) in [(1, SPOOFED), (2, PASS), (5, PASS)] {
        let play = story.once(&world, "it asks", DEVICE, &asks(REQUEST, 1), PASS);
        for transaction in 2..=5 {
            play.wait(1).frame("and again", DEVICE, &asks(REQUEST, transaction), KNOWN);
        }
        play.frame("one is answered", UPLINK, &gives(ACK, answered, GIVEN), KNOWN)
            .frame("its own, or not", DEVICE, &uses(GIVEN), told)
            .family_matters();
    }
    let play = story.once(&world, "it asks", DEVICE, &asks(REQUEST, 1), PASS);
    for transaction in [2, 3, 1, 4, 5] {
        play.wait(1).frame("and again, the first twice", DEVICE, &asks(REQUEST, transaction), KNOWN);
    }
    play.frame("the first is answered", UPLINK, &gives(ACK, 1, GIVEN), KNOWN)
        .frame("its own", DEVICE, &uses(GIVEN), PASS)
        .family_matters();
    let v6_asks = |transaction| dhcp::v6_asks(1, transaction, v6_client());
    let play = story.once(&world, "it asks for IPv4", DEVICE, &asks(REQUEST, 7), PASS);
    play.wait(1).frame("and for IPv6", DEVICE, &v6_asks(7), PASS);
    for transaction in 8..=10 {
        play.wait(1).frame("and again", DEVICE, &v6_asks(transaction), KNOWN);
    }
    play.frame("IPv4 is answered", UPLINK, &gives(ACK, 7, GIVEN), KNOWN)
        .frame("its own", DEVICE, &uses(GIVEN), PASS)
        .frame("IPv6 too", UPLINK, &dhcp::v6_gives(7, 7, v6_client(), V6, 3_600), KNOWN)
        .frame("its own", DEVICE, &v6_uses(V6), PASS)
        .wait(1)
        .frame("a fifth request", DEVICE, &v6_asks(11), KNOWN)
        .frame("one too old", UPLINK, &dhcp::v6_gives(7, 7, v6_client(), V6_OTHER, 3_600), KNOWN)
        .frame("not its own", DEVICE, &v6_uses(V6_OTHER), SPOOFED)
        .frame("the fifth", UPLINK, &dhcp::v6_gives(7, 11, v6_client(), V6_OTHER, 3_600), KNOWN)
        .frame("its own", DEVICE, &v6_uses(V6_OTHER), PASS)
        .family_matters();
}

fn nobody_pushes_out_anothers_request(story: &mut Story) {
    let twin = [2, 0, 0, 0, 1, 0x72];
    let world = with_a_twin(twin, None, None);
    let play = story.once(&world, "a device asks", DEVICE, &asks(REQUEST, 7), PASS);
    for transaction in 8..1_208 {
        let request = Message::asks(DISCOVER, transaction, twin).broadcast(End { mac: twin, ..at([0; 4]) });
        play.wait_nanoseconds(1_000).frame(
            "another asks a thousand times",
            DEVICE,
            &request,
            "pass established roamer-2",
        );
    }
    play.frame("the first is answered", UPLINK, &gives(ACK, 7, GIVEN), KNOWN)
        .frame("its own", DEVICE, &uses(GIVEN), PASS)
        .family_matters();
}

/// A second device like the first, and the VLANs of both.
fn with_a_twin(mac: [u8; 6], first: Option<u16>, second: Option<u16>) -> World {
    let mut world = world();
    let mut twin = world.devices[world.devices.len() - 1].clone();
    (twin.name, twin.mac, twin.vlan) = ("roamer-2".into(), Some(mac), second);
    if let Some(device) = world.devices.last_mut() {
        device.vlan = first;
    }
    world.devices.push(twin);
    world
}

fn one_hardware_address_in_two_vlans_is_two_clients(story: &mut Story) {
    let world = with_a_twin(MAC, Some(110), Some(111));
    let relayed = |transaction, address| {
        Message::gives(ACK, transaction, MAC, address).within(Frame::from(SERVER).to("10.30.0.1").udp(67, 67))
    };
    let in_vlan = |vlan| move |frame: Frame| frame.vlan(vlan);
    let (first, second) = (in_vlan(110), in_vlan(111));
    story
        .once(&world, "the first asks", DEVICE, &first(asks(REQUEST, 7)), PASS)
        .frame("the second asks", DEVICE, &second(asks(REQUEST, 8)), "pass established roamer-2")
        .frame("a relay is answered without a tag", UPLINK, &relayed(7, GIVEN), "pass no-device")
        .frame("it is the first's", DEVICE, &first(uses(GIVEN)), PASS)
        .frame("and not the second's", DEVICE, &second(uses(GIVEN)), SPOOFED)
        .frame("in another VLAN", UPLINK, &relayed(8, OTHER).vlan(300), "pass no-device")
        .frame("it is the second's", DEVICE, &second(uses(OTHER)), "pass allowed roamer-2")
        .frame("and not the first's", DEVICE, &first(uses(OTHER)), "drop spoofed roamer-2")
        .family_matters()
        .tags_matter();
    story
        .once(&world, "the first asks", DEVICE, &first(asks(REQUEST, 7)), PASS)
        .wait(1)
        .frame("the second asks the same", DEVICE, &second(asks(REQUEST, 7)), "pass established roamer-2")
        .frame("an answer", UPLINK, &relayed(7, GIVEN), "pass no-device")
        .frame("it is whose question was last", DEVICE, &second(uses(GIVEN)), "pass allowed roamer-2")
        .frame("and not the first's", DEVICE, &first(uses(GIVEN)), "drop spoofed roamer-2")
        .family_matters()
        .tags_matter();
}

fn an_address_of_this_host_is_leased_by_nobody(story: &mut Story) {
    let world = World { own: vec![IpAddr::from(GIVEN), net(V6).addr()], ..world() };
    story
        .once(&world, "the device asks", DEVICE, &asks(REQUEST, 7), PASS)
        .frame("and is given the host's", UPLINK, &gives(ACK, 7, GIVEN), KNOWN)
        .frame("not its own", DEVICE, &uses(GIVEN), SPOOFED)
        .frame("nor by ARP", DEVICE, &Frame::arp(at(GIVEN), "10.10.0.1"), SPOOFED)
        .frame(
            "nor a stranger's",
            DEVICE,
            &Frame::arp(End { mac: [8; 6], ..at(GIVEN) }, "10.10.0.1"),
            "drop spoofed",
        )
        .frame("another is", UPLINK, &gives(ACK, 7, OTHER), KNOWN)
        .frame("its own", DEVICE, &uses(OTHER), PASS)
        .family_matters();
    story
        .once(&world, "the device asks", DEVICE, &dhcp::v6_asks(3, 7, v6_client()), PASS)
        .frame("and is given the host's", UPLINK, &dhcp::v6_gives(7, 7, v6_client(), V6, 60), KNOWN)
        .frame("not its own", DEVICE, &v6_uses(V6), SPOOFED)
        .frame("another is", UPLINK, &dhcp::v6_gives(7, 7, v6_client(), V6_OTHER, 60), KNOWN)
        .frame("its own", DEVICE, &v6_uses(V6_OTHER), PASS)
        .family_matters();
}

fn another_lease_replaces_the_first(story: &mut Story) {
    let world = world();
    leased(story, &world)
        .frame("it asks again", DEVICE, &asks(REQUEST, 8), KNOWN)
        .frame("and has another address", UPLINK, &gives(ACK, 8, OTHER), KNOWN)
        .frame("the new one", DEVICE, &uses(OTHER), PASS)
        .frame("not the old one", DEVICE, &uses(GIVEN), SPOOFED);
    let two = with_a_twin([2, 0, 0, 0, 1, 0x72], None, None);
    let second = End { mac: [2, 0, 0, 0, 1, 0x72], ..at([0; 4]) };
    let request = Message::asks(REQUEST, 9, second.mac).broadcast(second);
    let answer = Message::gives(ACK, 9, second.mac, GIVEN).unicast(SERVER);
    let moved = Message::gives(ACK, 9, second.mac, [10, 10, 0, 73]).unicast(SERVER);
    let twin_uses = uses(GIVEN).source_mac(second.mac);
    leased(story, &two)
        .frame("another device asks, from where the first did", DEVICE, &request, "pass established roamer-2")
        .frame("and is given the same address", UPLINK, &answer, "pass established roamer-2")
        .frame("it has it", DEVICE, &twin_uses, "pass allowed roamer-2")
        .frame("the first has it no more", DEVICE, &uses(GIVEN), "drop spoofed roamer-2")
        .frame("the first is given another", UPLINK, &gives(ACK, 7, OTHER), KNOWN)
        .frame("it has that", DEVICE, &uses(OTHER), PASS)
        .frame("and the second its own", DEVICE, &twin_uses, "pass established roamer-2")
        .frame("the second moves on", DEVICE, &request, "pass established roamer-2")
        .frame("to a third", UPLINK, &moved, "pass established roamer-2")
        .frame("what it had is nobody's", DEVICE, &uses(GIVEN), SPOOFED)
        .frame("nor the second's", DEVICE, &twin_uses, "drop spoofed roamer-2");
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
