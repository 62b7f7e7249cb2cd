//! Queries to groups and the answers that come from many; who is where on a link.

use std::net::IpAddr;

use iomt_filter_common::device::Port;

use super::opening::end_of;
use crate::generate::worlds::{self, PORTS, address};
use crate::packet::{End, Frame, ROUTER};
use crate::random::Random;
use crate::world::{World, net};

/// A device asks a group, or somebody asks the devices; whoever likes to answers.
pub(super) fn query(random: &mut Random, world: &World) -> Vec<(Port, Frame)> {
    let device = &world.devices[random.below(world.devices.len())];
    let near = worlds::address_of(random, device);
    let near = end_of(random, Some(device), near);
    let is_v4 = near.address.is_ipv4();
    let asks = random.chance(65);
    let (port, asker) =
        if asks { (Port::Device, near) } else { (Port::Uplink, End { mac: ROUTER, ..other(random, is_v4) }) };
    let group = random.pick(if is_v4 {
        &["239.255.255.255", "239.255.255.255", "255.255.255.255", "224.0.0.5"]
    } else {
        &["ff02::1", "ff02::1:2"]
    });
    let group = End { mac: [0xff; 6], address: net(group).addr(), vlan: None };
    let (service, any) = (random.pick(PORTS), random.pick(PORTS));
    let own = random.pick(&[49_152, 68, any]);
    let mut asked = Frame::from(asker).to(group).udp(own, service);
    if is_v4 && random.chance(15) {
        // Asked of one, at everybody's hardware address.
        let one = End { mac: [0xff; 6], ..other(random, is_v4) };
        asked = Frame::from(asker).to(one).udp(own, service);
    }
    let mut said = vec![(port, asked)];
    for _ in 0..1 + random.below(3) {
        let (port, answerer) = if asks && random.chance(70) {
            (Port::Uplink, other(random, is_v4))
        } else {
            (Port::Device, near)
        };
        let mut to = asker;
        if random.chance(8) {
            to.address = address_of(random, is_v4);
        }
        let source = if random.chance(90) { service } else { random.pick(PORTS) };
        let target = if random.chance(90) { own } else { random.pick(PORTS) };
        if answerer.address.is_ipv4() == to.address.is_ipv4() {
            said.push((port, Frame::from(answerer).to(to).udp(source, target)));
        }
    }
    said
}

/// ARP and neighbour discovery between a device and somebody, and what only routers say.
pub(super) fn discovery(random: &mut Random, world: &World) -> Vec<(Port, Frame)> {
    let device = &world.devices[random.below(world.devices.len())];
    let near = worlds::address_of(random, device);
    let near = end_of(random, Some(device), near);
    let far = other(random, near.address.is_ipv4());
    if near.address.is_ipv4() {
        let asked = Frame::arp(near, &far.address.to_string());
        return vec![(Port::Device, asked), (Port::Uplink, Frame::arp(far, &near.address.to_string()))];
    }
    let all = End { mac: [0x33, 0x33, 0, 0, 0, 1], address: net("ff02::1").addr(), vlan: None };
    let says = |from: End, to: End, kind: u8| Frame::from(from).to(to).icmp(kind, 0, 0).hop_limit(255);
    let mut said = vec![(Port::Device, says(near, far, 135)), (Port::Uplink, says(far, near, 136))];
    match random.below(4) {
        0 => said.push((Port::Uplink, says(far, all, 134))),
        1 => said.push((Port::Device, says(near, all, random.pick(&[134, 137])))),
        _ => said.push((Port::Device, says(near, all, random.pick(&[133, 136])))),
    }
    said
}

/// Somebody at the router's hardware address.
pub(super) fn other(random: &mut Random, is_v4: bool) -> End {
    End { mac: ROUTER, address: address_of(random, is_v4), vlan: None }
}

fn address_of(random: &mut Random, is_v4: bool) -> IpAddr {
    loop {
        let address = address(random);
        if address.is_ipv4() == is_v4 {
            return address;
        }
    }
}
