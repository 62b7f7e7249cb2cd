//! A device that has its addresses from DHCP, and what it and its server say.

use std::net::IpAddr;

use super::dhcp::{ACK, Message, REQUEST};
use super::{DEVICE, Play, Story, UPLINK};
use crate::packet::{End, Frame};
use crate::world::{Peer, Rule, Service, World, hospital};

pub(super) const MAC: [u8; 6] = [2, 0, 0, 0, 1, 0x71];
pub(super) const SERVER: &str = "10.0.0.7";
pub(super) const GIVEN: [u8; 4] = [10, 10, 0, 71];
pub(super) const OTHER: [u8; 4] = [10, 10, 0, 72];
pub(super) const SPOOFED: &str = "drop spoofed roamer-1";
pub(super) const PASS: &str = "pass allowed roamer-1";
pub(super) const KNOWN: &str = "pass established roamer-1";

/// The hospital with `roamer-1`, which has its addresses from DHCP.
pub(super) fn world() -> World {
    let mut world = hospital();
    let mut profile = world.profiles[1].clone();
    profile.name = "roamer".into();
    profile.rules = vec![
        Rule::to(Peer::Any, Service::udp(67)),
        Rule::to(Peer::Any, Service::udp(547)),
        Rule::to(Peer::Any, Service::udp(53)),
    ];
    world.profiles.push(profile);
    let mut device = world.devices[2].clone();
    device.name = "roamer-1".into();
    device.profile = "roamer".into();
    (device.mac, device.addresses, device.by_dhcp) = (Some(MAC), Vec::new(), true);
    world.devices.push(device);
    world
}

pub(super) fn at(address: [u8; 4]) -> End {
    End { mac: MAC, address: IpAddr::from(address), vlan: None }
}

/// What the device does with an address.
pub(super) fn uses(address: [u8; 4]) -> Frame {
    Frame::from(at(address)).to("10.0.0.53").udp(1_000, 53)
}

pub(super) fn asks(kind: u8, transaction: u32) -> Frame {
    Message::asks(kind, transaction, MAC).broadcast(at([0; 4]))
}

pub(super) fn gives(kind: u8, transaction: u32, address: [u8; 4]) -> Frame {
    Message::gives(kind, transaction, MAC, address).unicast(SERVER)
}

/// Addresses that a server gives it in IPv6.
pub(super) const V6: &str = "2001:db8:10::71";
pub(super) const V6_OTHER: &str = "2001:db8:10::72";

pub(super) fn v6_client() -> End {
    End { mac: MAC, ..End::from("fe80::71") }
}

/// What the device does with an address in IPv6.
pub(super) fn v6_uses(address: &str) -> Frame {
    Frame::from(End { mac: MAC, ..End::from(address) }).to("2001:db8:20::53").udp(1_000, 53)
}

/// A device that has just been given its address.
pub(super) fn leased<'a>(story: &'a mut Story, world: &World) -> &'a mut Play {
    story
        .once(world, "the device asks", DEVICE, &asks(REQUEST, 7), PASS)
        .frame("it is answered", UPLINK, &gives(ACK, 7, GIVEN), KNOWN)
        .family_matters()
}
