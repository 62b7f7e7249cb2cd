//! Who talks to whom about what: mostly what a rule allows.

use std::net::IpAddr;

use iomt_filter_common::device::Port;
use iomt_filter_common::policy::Mode;
use ipnet::IpNet;

use crate::generate::worlds::{MACS, PORTS, address, address_of};
use crate::packet::{End, Frame, ROUTER};
use crate::random::Random;
use crate::world::{Device, Opens, Peer, Service, World};

/// Two ends, each behind its port, and what is opened.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) opener: (Port, End),
    pub(super) responder: (Port, End),
    /// IP protocol number.
    pub(super) protocol: u8,
    /// The opener's port and the service's; of a ping the identifier is the first.
    pub(super) ports: (u16, u16),
}

impl Opening {
    /// One of a few that were thought of: rather one that nothing forbids.
    pub(super) fn new(random: &mut Random, world: &World) -> Self {
        let first = Self::any(random, world);
        if first.is_allowed(world) || random.chance(15) {
            return first;
        }
        let others: Vec<Self> = (0..6).map(|_| Self::any(random, world)).collect();
        others.into_iter().find(|opening| opening.is_allowed(world)).unwrap_or(first)
    }

    /// Whether every device at an end may do this, its lists and countries aside.
    fn is_allowed(&self, world: &World) -> bool {
        let owner = |end: &End| world.devices.iter().find(|device| device.addresses.contains(&end.address));
        let ends = [
            (self.opener.1, self.responder.1, Opens::Device),
            (self.responder.1, self.opener.1, Opens::Peer),
        ];
        ends.iter().all(|(own, far, opens)| {
            let Some(device) = owner(own) else { return true };
            let profile = world.profile(&device.profile);
            profile.mode != Mode::Quarantine
                && profile.rules.iter().any(|rule| {
                    let far_profile = owner(far).map(|far| far.profile.as_str());
                    let names = match &rule.peer {
                        Peer::Profile(name) => far_profile == Some(name),
                        peer => covers(&nets_of(world, peer), far.address),
                    };
                    let covers = |service: &Service| service.covers(self.protocol, self.ports.1);
                    rule.opens == *opens && names && rule.services.iter().any(covers)
                })
        })
    }

    fn any(random: &mut Random, world: &World) -> Self {
        let device = &world.devices[random.below(world.devices.len())];
        let near = address_of(random, device);
        let rules = &world.profile(&device.profile).rules;
        let (opens, peer, service) = match rules.get(random.below(rules.len())) {
            Some(rule) if random.chance(85) => {
                (rule.opens, rule.peer.clone(), random.pick(rule.services.as_slice()))
            }
            _ => (random.pick(&[Opens::Device, Opens::Peer]), Peer::Any, Service::Any),
        };
        let far = far_end(random, world, &peer, near);
        let near = (Port::Device, end_of(random, Some(device), near));
        let owner = world.devices.iter().find(|device| device.addresses.contains(&far));
        let port = if owner.is_some() { Port::Device } else { Port::Uplink };
        let far = (port, end_of(random, owner, far));
        let (opener, responder) = match opens {
            Opens::Device => (near, far),
            Opens::Peer => (far, near),
        };
        let (protocol, port) = opened(random, service);
        let any = random.pick(PORTS);
        let own = random.pick(&[49_152, 49_153, port, any]);
        Self { opener, responder, protocol, ports: (own, port) }
    }

    /// From opener to responder, with nothing in it.
    pub(super) fn there(&self) -> (Port, Frame) {
        (self.opener.0, Frame::from(self.opener.1).to(self.responder.1))
    }

    /// From responder to opener, with nothing in it.
    pub(super) fn back(&self) -> (Port, Frame) {
        (self.responder.0, Frame::from(self.responder.1).to(self.opener.1))
    }
}

/// The end of a device as it is bound, or of somebody else at the router's hardware address.
pub(super) fn end_of(random: &mut Random, device: Option<&Device>, address: IpAddr) -> End {
    let mac = device.and_then(|device| device.mac);
    let mac = if random.chance(2) { Some(random.pick(MACS)) } else { mac };
    End { mac: mac.unwrap_or(ROUTER), address, vlan: device.and_then(|device| device.vlan) }
}

/// An address that `peer` stands for, of the family of `near`, as far as one is found.
fn far_end(random: &mut Random, world: &World, peer: &Peer, near: IpAddr) -> IpAddr {
    let nets = nets_of(world, peer);
    let wants_device = matches!(peer, Peer::Profile(_)) || random.chance(15);
    let is_device = |far: IpAddr| world.devices.iter().any(|device| device.addresses.contains(&far));
    let is_named = |address: IpAddr| covers(&nets, address);
    let fits = |address: IpAddr| address.is_ipv4() == near.is_ipv4() && address != near && can_talk(address);
    let candidates: Vec<IpAddr> = (0..80).map(|_| address(random)).filter(|far| fits(*far)).collect();
    let named: Vec<IpAddr> = candidates.iter().copied().filter(|far| is_named(*far)).collect();
    let wanted = named.iter().copied().find(|far| is_device(*far) == wants_device);
    wanted.or_else(|| named.first().copied()).or_else(|| candidates.first().copied()).unwrap_or(near)
}

/// The addresses that `peer` stands for; none for any.
fn nets_of(world: &World, peer: &Peer) -> Vec<IpNet> {
    match peer {
        Peer::Any => Vec::new(),
        Peer::Net(net) => vec![*net],
        Peer::Endpoint(name) => {
            let named = world.endpoints.iter().filter(|endpoint| endpoint.name == *name);
            named.flat_map(|endpoint| endpoint.addresses.clone()).collect()
        }
        Peer::Profile(name) => {
            let named = world.devices.iter().filter(|device| device.profile == *name);
            named.flat_map(|device| device.addresses.iter().map(|address| (*address).into())).collect()
        }
    }
}

fn covers(nets: &[IpNet], address: IpAddr) -> bool {
    nets.is_empty() || nets.iter().any(|net| net.contains(&address))
}

/// An address that can send as well as receive.
fn can_talk(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_multicast() || address.is_loopback() || address.is_unspecified() || is_broadcast)
}

/// Protocol and port of something that `service` covers.
fn opened(random: &mut Random, service: Service) -> (u8, u16) {
    let port = random.pick(PORTS);
    match service {
        Service::Any => (random.pick(&[6, 6, 6, 17, 17, 1, 132, 47]), port),
        Service::Protocol(protocol) => (protocol, port),
        Service::Ports { protocol, first, last } => (protocol, random.pick(&[first, last])),
    }
}
