//! What nobody honest sends: in a device's name, past its address, or under somebody else's packet.

use std::net::IpAddr;

use iomt_filter_common::device::Port;

use super::{dhcp, groups};
use crate::generate::worlds::{self, MACS};
use crate::packet::{End, Frame, ROUTER, SYN, Transport};
use crate::random::Random;
use crate::world::{Device, Opens, Peer, World, net};

/// Services that groups and everybody are asked for: WS-Discovery, DHCP, SSDP, multicast DNS.
const QUESTIONS: &[u16] = &[3_702, 67, 1_900, 5_353];
const EVERYBODY: [u8; 6] = [0xff; 6];
const SOME_GROUP: [u8; 6] = [1, 0, 0x5e, 0x7f, 0xff, 0xfa];

/// Frames that are to get something through, and those that would then get through.
pub(super) fn attempt(random: &mut Random, world: &World) -> Vec<(Port, Frame)> {
    let device = &world.devices[random.below(world.devices.len())];
    let near = End {
        mac: device.mac.unwrap_or(ROUTER),
        address: worlds::address_of(random, device),
        vlan: device.vlan,
    };
    match random.below(6) {
        0 => question_in_its_name(random, world, device, near),
        1 => to_one_under_a_group(random, near),
        2 => to_link_local(random, device),
        3 => dhcp::misplaced(random, device),
        4 => claims(random, near),
        _ => pieces_of_others(random, near),
    }
}

/// The network asks a group as the device would, and somebody answers the device.
fn question_in_its_name(
    random: &mut Random,
    world: &World,
    device: &Device,
    near: End,
) -> Vec<(Port, Frame)> {
    let is_v4 = near.address.is_ipv4();
    let groups: &[&str] =
        if is_v4 { &["239.255.255.255", "255.255.255.255", "224.0.0.5"] } else { &["ff02::1", "ff02::1:2"] };
    // Rather a group and a service that the device may ask.
    let rules = world.profile(&device.profile).rules.iter();
    let mut asked: Vec<(IpAddr, u16)> = rules
        .filter(|rule| rule.opens == Opens::Device && !matches!(rule.peer, Peer::Profile(_)))
        .flat_map(|rule| {
            let covers = |port: &u16| rule.services.iter().any(|service| service.covers(17, *port));
            let group = random.pick(groups);
            QUESTIONS.iter().copied().filter(covers).map(move |port| (net(group).addr(), port))
        })
        .collect();
    asked.push((net(random.pick(groups)).addr(), random.pick(QUESTIONS)));
    let (group, service) = random.pick(&asked);
    let own = random.pick(&[49_152, 68, service]);
    let group_mac = random.pick(&[EVERYBODY, SOME_GROUP]);
    let asker = End { mac: random.pick(&[near.mac, ROUTER]), vlan: None, ..near };
    let nobody = End { address: if is_v4 { [0; 4].into() } else { [0; 16].into() }, ..asker };
    let asker = if random.chance(15) { nobody } else { asker };
    let group = End { mac: group_mac, address: group, vlan: None };
    let far = groups::other(random, is_v4);
    vec![
        (Port::Uplink, Frame::from(asker).to(group).udp(own, service)),
        (Port::Uplink, Frame::from(far).to(near).udp(service, own)),
    ]
}

/// A packet to one address in a frame to many, and an answer from somewhere else.
fn to_one_under_a_group(random: &mut Random, near: End) -> Vec<(Port, Frame)> {
    let is_v4 = near.address.is_ipv4();
    let many = random.pick(&[EVERYBODY, SOME_GROUP]);
    let (service, own) = (random.pick(QUESTIONS), 49_152);
    let one = End { mac: many, ..groups::other(random, is_v4) };
    let other = groups::other(random, is_v4);
    let mut said = vec![(Port::Device, Frame::from(near).to(one).udp(own, service))];
    said.push((Port::Uplink, Frame::from(other).to(near).udp(service, own)));
    let under = End { mac: many, ..near };
    let sent = Frame::from(other).to(under);
    said.push((
        Port::Uplink,
        match random.below(3) {
            0 => sent.tcp(own, 104).flags(SYN),
            1 => sent.ping(7),
            _ => sent.udp(service, own),
        },
    ));
    said
}

/// At the device's hardware address, to an address that no inventory knows.
fn to_link_local(random: &mut Random, device: &Device) -> Vec<(Port, Frame)> {
    let to =
        |text: &str| End { mac: device.mac.unwrap_or(ROUTER), address: net(text).addr(), vlan: device.vlan };
    let near = to(random.pick(&["fe80::1", "fe80::2", "fe80::3", "febf::1"]));
    let far = random.pick(&["fe80::fe", "2001:db8:20::1", "2001:db8:bad::1"]);
    let (own, service) = (49_152, random.pick(worlds::PORTS));
    let sent = Frame::from(far).to(near);
    let there = match random.below(4) {
        0 => sent.tcp(own, service).flags(SYN),
        1 => sent.ping(own),
        2 => sent.udp(own, service).fragment(5, 0, true),
        _ => sent.udp(own, service),
    };
    let back = Frame::from(near).to(far).udp(service, own);
    vec![(Port::Uplink, there), (Port::Device, back)]
}

/// Neighbour advertisements with more than one option, for own addresses, others', and link-local ones.
fn claims(random: &mut Random, near: End) -> Vec<(Port, Frame)> {
    let near = if near.address.is_ipv4() { End { address: net("fe80::1").addr(), ..near } } else { near };
    let all = End { mac: [0x33, 0x33, 0, 0, 0, 1], address: net("ff02::1").addr(), vlan: None };
    let target = random.pick(&["2001:db8:10::1", "2001:db8:10::2", "2001:db8:10::77", "fe80::1", "fe80::2"]);
    let mut body = match net(target).addr() {
        IpAddr::V6(v6) => v6.octets().to_vec(),
        IpAddr::V4(_) => Vec::new(),
    };
    for _ in 0..random.below(4) {
        let mac = if random.chance(60) { near.mac } else { random.pick(MACS) };
        match random.below(5) {
            // A nonce (RFC 3971 §5.3.2) in front of, or behind, the hardware addresses.
            0 => body.extend([14, 1, 1, 2, 3, 4, 5, 6]),
            // An option without a length, which ends whatever walks them (RFC 4861 §4.6).
            1 => body.extend([2, 0, 9, 9, 9, 9, 9, 9]),
            2 => body.extend([2, 2, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9]),
            kind => {
                body.extend([kind as u8 - 2, 1]);
                body.extend(mac);
            }
        }
    }
    let kind = random.pick(&[135, 136, 136, 136]);
    let frame = Frame::from(near).to(all).icmp(kind, 0, 0).hop_limit(255).transport(|transport| {
        if let Transport::Icmp(icmp) = transport {
            icmp.body = body;
        }
    });
    vec![(if random.chance(85) { Port::Device } else { Port::Uplink }, frame)]
}

/// A packet in two pieces, with pieces between that somebody else sends under its name.
fn pieces_of_others(random: &mut Random, near: End) -> Vec<(Port, Frame)> {
    let far = groups::other(random, near.address.is_ipv4());
    let (mut port, mut frame) = (Port::Device, Frame::from(near).to(far));
    if random.chance(30) {
        (port, frame) = (Port::Uplink, Frame::from(far).to(near));
    }
    let service = random.pick(worlds::PORTS);
    let frame = frame.udp(49_152, service);
    let id = random.pick(&[1, 2, 0x1_0001]);
    let first = frame.clone().fragment(id, 0, true);
    let rest = frame.protocol(17, &[0x77; 16]).fragment(id, 16, false);
    let mut said = vec![(port, first), (port, rest)];
    let (at, stolen) = (random.below(3), said[random.below(2)].1.clone());
    let by = if random.chance(60) { stolen.source_mac(random.pick(MACS)) } else { stolen };
    let elsewhere = match port {
        Port::Device => Port::Uplink,
        Port::Uplink => Port::Device,
    };
    said.insert(at, (if random.chance(50) { elsewhere } else { port }, by));
    said
}
