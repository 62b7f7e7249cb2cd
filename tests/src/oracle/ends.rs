//! Which ends of a packet are devices, and whether the sender is who it says.

use std::net::IpAddr;

use iomt_filter_common::Direction;
use iomt_filter_common::device::Port;

use super::frame::Ip;
use super::queries::is_group;
use super::{Flaw, Oracle};
use crate::world::Device;

/// A device at one end.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) device: Device,
    pub(super) direction: Direction,
    /// The address at the other end, and the device there.
    pub(super) far: IpAddr,
    pub(super) peer: Option<Device>,
    pub(super) spoofed: bool,
}

/// What identification finds.
pub(super) enum Ends {
    NotOurs,
    /// The device at the other end, where there is one.
    Unknown(Option<End>),
    /// One or two, the sender first.
    Ours(Vec<End>),
}

impl Oracle {
    pub(super) fn ends_of(&self, ip: &Ip, macs: ([u8; 6], [u8; 6]), vlan: u16, port: Port) -> Ends {
        let mac = macs.0;
        let owner = self.device_with(ip.source);
        let receiver = self.receiver(ip, macs.1, vlan, port);
        if port == Port::Uplink {
            return match receiver {
                Some(receiver) => Ends::Ours(ends(ip, owner, Some(receiver), false)),
                None if self.in_segment(ip.destination) => Ends::Unknown(None),
                None => Ends::NotOurs,
            };
        }
        let by_mac = self.device_seen_as(mac, vlan);
        let (sender, spoofed) = match (owner, by_mac) {
            (Some(owner), _) if self.is_bound(owner, mac, vlan) => (owner, false),
            (Some(owner), _) => (self.stricter_device(owner, mac, vlan), true),
            (None, Some(device)) => {
                let is_near = is_group(ip.destination)
                    || is_link_local(ip.destination)
                    || self.in_segment(ip.destination)
                    || self.world.own.contains(&ip.destination);
                let is_honest = (is_anybodys(ip.source) && is_near) || self.asking(ip, mac, vlan).is_some();
                (device, !is_honest || device.vlan.is_some_and(|own| own != vlan))
            }
            (None, None) => return Ends::Unknown(ends(ip, None, receiver, false).pop()),
        };
        Ends::Ours(ends(ip, Some(sender), receiver, spoofed))
    }

    /// The device that a packet goes to: by the inventory, by its hardware address where only that can tell, by what
    /// a DHCP server gives, by lease.
    fn receiver(&self, ip: &Ip, mac: [u8; 6], vlan: u16, port: Port) -> Option<&Device> {
        let listed = self.world.devices.iter().find(|device| device.addresses.contains(&ip.destination));
        if listed.is_some() {
            return listed;
        }
        if is_link_local(ip.destination) {
            return self.device_seen_as(mac, vlan);
        }
        let is_given = port == Port::Uplink && self.in_segment(ip.destination);
        let offered = self.device_offered(ip, mac, vlan).filter(|_| is_given);
        offered.or_else(|| self.lessee(ip.destination))
    }

    /// The device that an address is bound to, by inventory or by DHCP.
    pub(super) fn device_with(&self, address: IpAddr) -> Option<&Device> {
        let bound = self.world.devices.iter().find(|device| device.addresses.contains(&address));
        bound.or_else(|| self.lessee(address))
    }

    /// The device that a DHCP server offers an address which is nobody's yet.
    fn device_offered(&self, ip: &Ip, mac: [u8; 6], vlan: u16) -> Option<&Device> {
        let offers = ip.protocol == 17 && ip.ports() == (67, 68);
        let is_there = |device: &&Device| device.vlan.is_none_or(|own| own == vlan);
        self.device_seen_as(mac, vlan).filter(|device| offers && device.by_dhcp).filter(is_there)
    }

    /// The device of a hardware address in a VLAN; one that is bound to the VLAN before one that is not, and the
    /// strictest of those that belong elsewhere after both.
    pub(super) fn device_seen_as(&self, mac: [u8; 6], vlan: u16) -> Option<&Device> {
        let with_vlan = |wanted: Option<u16>| {
            self.world.devices.iter().find(|device| device.mac == Some(mac) && device.vlan == wanted)
        };
        let tagged = if vlan == 0 { None } else { with_vlan(Some(vlan)) };
        tagged.or_else(|| with_vlan(None)).or_else(|| {
            let elsewhere = self.world.devices.iter().filter(|device| device.mac == Some(mac));
            elsewhere.rev().max_by_key(|device| self.world.profile(&device.profile).mode)
        })
    }

    /// Whether `device` may be seen with this hardware address in this VLAN. A device without a hardware
    /// address of its own may be seen with any that is no other device's.
    pub(super) fn is_bound(&self, device: &Device, mac: [u8; 6], vlan: u16) -> bool {
        let right_mac = match device.mac {
            Some(own) => own == mac || self.has(Flaw::AnyMacWillDo),
            None => self.device_seen_as(mac, vlan).is_none_or(|other| other.name == device.name),
        };
        right_mac && device.vlan.is_none_or(|own| own == vlan)
    }

    /// Whom a spoofed frame is attributed to: the address' owner, or the hardware address' where that one
    /// is judged more strictly.
    pub(super) fn stricter_device<'a>(&'a self, owner: &'a Device, mac: [u8; 6], vlan: u16) -> &'a Device {
        match self.device_seen_as(mac, vlan) {
            Some(device) if self.mode_of(device) > self.mode_of(owner) => device,
            _ => owner,
        }
    }
}

/// `0.0.0.0`, `::` and link-local IPv6: no binding says whose these are.
pub(super) fn is_anybodys(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(v4) => v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_unicast_link_local(),
    }
}

fn ends(ip: &Ip, sender: Option<&Device>, receiver: Option<&Device>, spoofed: bool) -> Vec<End> {
    let sending = sender.map(|device| End {
        device: device.clone(),
        direction: Direction::FromDevice,
        far: ip.destination,
        peer: receiver.cloned(),
        spoofed,
    });
    let receiving = receiver.map(|device| End {
        device: device.clone(),
        direction: Direction::ToDevice,
        far: ip.source,
        peer: sender.cloned(),
        spoofed,
    });
    sending.into_iter().chain(receiving).collect()
}

/// Addresses that no router passes on.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// The first half of two IPv6 addresses is the same.
pub(super) fn is_one_network(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V6(a), IpAddr::V6(b)) => a.segments()[..4] == b.segments()[..4],
        _ => false,
    }
}
