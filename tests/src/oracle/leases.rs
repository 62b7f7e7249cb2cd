//! Addresses that DHCP gave: what the model learns from requests and their answers.

use std::collections::HashMap;
use std::net::IpAddr;

use iomt_filter_common::device::Port;

use super::dhcp::Dhcp;
use super::frame::Ip;
use super::{Flaw, Oracle};
use crate::judge::Fields;
use crate::world::Device;

const SECOND: u64 = 1_000_000_000;
pub(super) const DAY: u32 = 86_400;

/// Transaction and hardware address of a client, and whether it is about IPv4.
type Request = (u32, [u8; 6], bool);

/// What devices asked, by name and time, and what they were given.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases {
    asked: HashMap<Request, (String, u64)>,
    given: HashMap<(String, bool), (IpAddr, u64)>,
}

impl Oracle {
    /// Learns from a DHCP message, if it is one.
    pub(super) fn learn(&mut self, ip: &Ip, fields: &Fields, vlan: u16, port: Port) {
        match (ip.dhcp, port) {
            (Some(Dhcp::Asks { transaction, mac }), Port::Device) => {
                let client = self.asking(ip, fields.macs.0, vlan);
                let owner = self.device_with(ip.source).map(|owner| &owner.name);
                let client = client.map(|device| &device.name);
                let is_honest = owner.is_none() || owner == client;
                if let Some(client) = client.filter(|_| is_honest).cloned() {
                    let request = (transaction, mac.unwrap_or(fields.macs.0), ip.source.is_ipv4());
                    self.leases.asked.insert(request, (client, self.now));
                }
            }
            (Some(Dhcp::Gives { transaction, mac, address, seconds }), Port::Uplink) => {
                let mac = mac.unwrap_or(fields.macs.1);
                self.bind(transaction, mac, address, seconds);
            }
            _ => {}
        }
    }

    /// The device by DHCP that asks for an address of its own.
    pub(super) fn asking(&self, ip: &Ip, frame_mac: [u8; 6], vlan: u16) -> Option<&Device> {
        let Some(Dhcp::Asks { mac, .. }) = ip.dhcp else { return None };
        let is_own = mac.is_none_or(|mac| mac == frame_mac);
        self.device_seen_as(frame_mac, vlan).filter(|device| device.by_dhcp && is_own)
    }

    fn bind(&mut self, transaction: u32, mac: [u8; 6], address: IpAddr, seconds: u32) {
        let request = (transaction, mac, address.is_ipv4());
        let asked = if self.has(Flaw::AnyTransactionWillDo) {
            self.leases.asked.iter().find(|((_, asker, _), _)| *asker == mac).map(|(_, asked)| asked)
        } else {
            self.leases.asked.get(&request)
        };
        let Some((name, at)) = asked.cloned() else { return };
        let is_recent = self.now.saturating_sub(at) <= 60 * SECOND;
        let is_theirs = self
            .world
            .devices
            .iter()
            .any(|device| device.name == name && device.by_dhcp && device.mac == Some(mac));
        let is_free = !self.world.devices.iter().any(|device| device.addresses.contains(&address));
        if is_recent && is_theirs && is_free && self.in_segment(address) && is_unicast(address) {
            self.leases.given.retain(|_, (given, _)| *given != address);
            let until = self.now + u64::from(seconds.clamp(60, 30 * DAY)) * SECOND;
            self.leases.given.insert((name, address.is_ipv4()), (address, until));
        }
    }

    /// The device that an address was given to.
    pub(super) fn lessee(&self, address: IpAddr) -> Option<&Device> {
        let given = |device: &Device| {
            let lease = self.leases.given.get(&(device.name.clone(), address.is_ipv4()));
            lease.is_some_and(|(given, until)| {
                *given == address && (self.now < *until || self.has(Flaw::LeasesNeverEnd))
            })
        };
        self.world.devices.iter().find(|device| device.by_dhcp && given(device))
    }

    pub(super) fn in_segment(&self, address: IpAddr) -> bool {
        self.world.segments.iter().any(|net| net.contains(&address))
    }
}

fn is_unicast(address: IpAddr) -> bool {
    let is_broadcast = address == IpAddr::from([255; 4]);
    !(address.is_multicast() || address.is_unspecified() || address.is_loopback() || is_broadcast)
}
