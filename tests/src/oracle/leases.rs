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
/// Questions that are kept of a device in a family.
const KEPT: usize = 4;

/// A transaction, and when it was last asked for.
type Question = (u32, u64);

/// What devices asked, by name and whether it is about IPv4, the latest last; and what they were given, with its
/// end where it has one.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases {
    asked: HashMap<(String, bool), Vec<Question>>,
    given: HashMap<(String, bool), (IpAddr, Option<u64>)>,
}

impl Oracle {
    /// Learns from a DHCP message, if it is one.
    pub(super) fn learn(&mut self, ip: &Ip, fields: &Fields, vlan: u16, port: Port) {
        match (ip.dhcp, port) {
            (Some(Dhcp::Asks { transaction, .. }), Port::Device) => {
                let is_there = |device: &&Device| device.vlan.is_none_or(|own| own == vlan);
                let client = self.asking(ip, fields.macs.0, vlan).filter(is_there);
                let owner = self.device_with(ip.source).map(|owner| &owner.name);
                let client = client.map(|device| &device.name);
                let is_honest = owner.is_none() || owner == client;
                if let Some(client) = client.filter(|_| is_honest).cloned() {
                    let asked = self.leases.asked.entry((client, ip.source.is_ipv4())).or_default();
                    asked.retain(|(earlier, _)| *earlier != transaction);
                    asked.push((transaction, self.now));
                    if asked.len() > KEPT {
                        asked.remove(0);
                    }
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

    fn bind(&mut self, transaction: u32, mac: [u8; 6], address: IpAddr, seconds: Option<u32>) {
        let clients = self.world.devices.iter().filter(|device| device.by_dhcp && device.mac == Some(mac));
        let asked = clients.filter_map(|device| {
            let asked = self.leases.asked.get(&(device.name.clone(), address.is_ipv4()))?;
            let is_it =
                |(other, _): &&Question| *other == transaction || self.has(Flaw::AnyTransactionWillDo);
            let (_, at) = asked.iter().rfind(is_it)?;
            (self.now.saturating_sub(*at) <= 60 * SECOND).then(|| (*at, device.name.clone()))
        });
        let Some((_, name)) = asked.max_by_key(|(at, _)| *at) else { return };
        let taken = self.world.devices.iter().flat_map(|device| &device.addresses);
        let is_free = taken.chain(&self.world.own).all(|other| *other != address);
        if is_free && self.in_segment(address) && is_unicast(address) {
            self.leases.given.retain(|_, (given, _)| *given != address);
            let until = seconds.map(|seconds| self.now + u64::from(seconds.max(60)) * SECOND);
            self.leases.given.insert((name, address.is_ipv4()), (address, until));
        }
    }

    /// The device that an address was given to.
    pub(super) fn lessee(&self, address: IpAddr) -> Option<&Device> {
        let given = |device: &Device| {
            let lease = self.leases.given.get(&(device.name.clone(), address.is_ipv4()));
            lease.is_some_and(|(given, until)| {
                let is_over = until.is_some_and(|until| until <= self.now);
                *given == address && (!is_over || self.has(Flaw::LeasesNeverEnd))
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
