//! The packet that opens a talk, as it comes in at this host.
//!
//! A device speaks with the hardware address, the VLAN and an address that it has now: those of the inventory that is in
//! force, or of the candidate's where that one knows nothing of it. Whatever the candidate says, the packet is the same.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};

use iomt_filter_common::device::{Device, Port};
use iomt_filter_common::packet::{TCP_SYN, protocol};
use iomt_filter_common::{Address, Mac};
use ipnet::IpNet;

use super::{Direction, Ground, Talk};
use crate::frame::{self, Host, Sent, group_mac};
use crate::rows::Rows;

/// A packet that opens, or answers where only the answer is seen.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    /// The likeliest first: where a sender in a segment is behind is not known.
    pub(super) ways: Vec<Sent>,
    /// Devices that have an address of the packet from DHCP.
    pub(super) leased: Vec<(u32, Address)>,
}

/// A device as it speaks.
#[derive(Clone, Debug)]
pub(super) struct Speaker {
    pub(super) number: u32,
    mac: Mac,
    vlan: u16,
    by_dhcp: bool,
    addresses: Vec<IpAddr>,
}

/// Who is who.
#[derive(Clone, Debug)]
pub(super) struct Ends<'g> {
    devices: HashMap<&'g str, Speaker>,
    holders: HashMap<IpAddr, &'g str>,
    leased: HashMap<IpAddr, u32>,
    rows: Vec<&'g Rows>,
    strangers: [Mac; 2],
}

impl<'g> Ends<'g> {
    pub(super) fn new(ground: &Ground<'g>) -> Self {
        let rows: Vec<&Rows> = ground.before.into_iter().chain([ground.after]).map(|it| &it.rows).collect();
        let taken: HashSet<Mac> =
            rows.iter().flat_map(|rows| rows.device_macs.keys()).map(|(mac, _)| *mac).collect();
        let strangers = [1, 2].map(|seed| frame::stranger(seed, |mac| taken.contains(&mac)));
        let (devices, holders, leased) = Default::default();
        let mut ends = Self { devices, holders, leased, rows, strangers };
        for rows in ends.rows.clone() {
            ends.add_bound(rows);
        }
        ends.add_leased(ground.leases);
        ends.suppose_leases(&ground.before.unwrap_or(ground.after).segments);
        ends
    }

    fn add_bound(&mut self, rows: &'g Rows) {
        let mut bound: HashMap<u32, Vec<IpAddr>> = HashMap::new();
        for (&address, &device) in &rows.device_addresses {
            bound.entry(device).or_default().push(address.into());
        }
        for (&number, row) in &rows.devices {
            let Some(name) = rows.names.devices.get(&number).map(String::as_str) else { continue };
            let addresses = bound.remove(&number).unwrap_or_default();
            for address in &addresses {
                self.holders.entry(*address).or_insert(name);
            }
            if row.mac != Mac::UNSET {
                self.holders.entry(link_local(row.mac)).or_insert(name);
            }
            let by_dhcp = row.has(Device::BY_DHCP);
            self.devices.entry(name).or_insert(Speaker {
                number,
                mac: row.mac,
                vlan: row.vlan,
                by_dhcp,
                addresses,
            });
        }
    }

    fn add_leased(&mut self, leases: &[(u32, IpAddr)]) {
        let names: HashMap<u32, &str> =
            self.devices.iter().map(|(name, device)| (device.number, *name)).collect();
        for &(number, address) in leases {
            let Some(name) = names.get(&number) else { continue };
            self.lease(name, address);
        }
    }

    fn lease(&mut self, name: &'g str, address: IpAddr) {
        if let Some(device) = self.devices.get_mut(name).filter(|device| device.by_dhcp) {
            device.addresses.push(address);
            self.leased.insert(address, device.number);
            self.holders.entry(address).or_insert(name);
        }
    }

    /// Gives devices by DHCP of which no lease is known one of each family: what is said of them is said of whatever
    /// address they get.
    fn suppose_leases(&mut self, segments: &[IpNet]) {
        for is_ipv4 in [true, false] {
            let is_lacking = |(_, device): &(&&'g str, &Speaker)| {
                device.by_dhcp && !device.addresses.iter().any(|address| address.is_ipv4() == is_ipv4)
            };
            let mut lacking: Vec<&'g str> =
                self.devices.iter().filter(is_lacking).map(|(name, _)| *name).collect();
            lacking.sort_unstable();
            let of_family = segments.iter().filter(|segment| segment.addr().is_ipv4() == is_ipv4);
            let mut addresses = of_family.flat_map(IpNet::hosts);
            for name in lacking {
                let is_free =
                    |address: &IpAddr| !self.holders.contains_key(address) && !self.is_own(*address);
                let Some(address) = addresses.find(is_free) else { break };
                self.lease(name, address);
            }
        }
    }

    /// A device by its name.
    pub(super) fn device(&self, name: &str) -> Option<&Speaker> {
        self.devices.get(name)
    }

    /// The device that an address belongs to.
    pub(super) fn holder(&self, address: IpAddr) -> Option<&'g str> {
        self.holders.get(&address).copied()
    }

    /// The address with which a device speaks with a far end.
    pub(super) fn address(&self, name: &str, far: IpAddr) -> Option<IpAddr> {
        let device = self.devices.get(name)?;
        let is_near = Address::from(far).is_link_local();
        let own = device.addresses.iter().find(|own| own.is_ipv4() == far.is_ipv4()).copied();
        let link_local = || (device.mac != Mac::UNSET).then(|| link_local(device.mac));
        match far {
            IpAddr::V4(_) => own,
            IpAddr::V6(_) if is_near => link_local().or(own),
            IpAddr::V6(far) if far.is_multicast() => own.or_else(link_local),
            IpAddr::V6(_) => own,
        }
    }

    /// The packet that opens a talk; nothing where it cannot be told how the device would speak.
    pub(super) fn opening(&self, talk: &Talk) -> Option<Opening> {
        let device = self.device(&talk.device)?;
        let own = match talk.own {
            Some(own) => own,
            None => self.address(&talk.device, talk.peer)?,
        };
        let near = Host { address: own, mac: self.mac_of(device), vlan: device.vlan, port: Port::Device };
        let far = self.far(talk.peer);
        let port = talk.port.unwrap_or(0);
        let source_port = frame::source_port(talk.protocol, port);
        let sent = |from, to| Sent {
            from,
            to,
            protocol: talk.protocol,
            source_port,
            destination_port: match talk.protocol {
                protocol::ICMP | protocol::ICMPV6 => source_port,
                _ => port,
            },
            flags: if talk.protocol == protocol::TCP { TCP_SYN } else { 0 },
            is_answer: false,
        };
        let ways = match talk.direction {
            Direction::FromDevice => vec![sent(near, far)],
            // Nobody is a group.
            Direction::ToDevice if far.mac.is_group() => return None,
            // What this host sends is not seen, and the answer is.
            Direction::ToDevice if self.is_own(talk.peer) => vec![sent(far, near).answer()?],
            Direction::ToDevice if far.port == Port::Device && self.holder(talk.peer).is_none() => {
                vec![sent(far, near), sent(Host { port: Port::Uplink, ..far }, near)]
            }
            Direction::ToDevice => vec![sent(far, near)],
        };
        let ends = [own, talk.peer].into_iter();
        let leased = ends.filter_map(|end| self.leased.get(&end).map(|&number| (number, end.into())));
        Some(Opening { ways, leased: leased.collect() })
    }

    /// Whether an address is this host's.
    fn is_own(&self, address: IpAddr) -> bool {
        self.rows.iter().any(|rows| rows.peer(address.into()).is_own != 0)
    }

    fn mac_of(&self, device: &Speaker) -> Mac {
        let [stranger, _] = self.strangers;
        if device.mac == Mac::UNSET { stranger } else { device.mac }
    }

    fn far(&self, address: IpAddr) -> Host {
        let [_, stranger] = self.strangers;
        if let Some(mac) = group_mac(address) {
            return Host { address, mac, vlan: 0, port: Port::Uplink };
        }
        let held = self.holder(address).and_then(|name| self.device(name));
        if let Some(device) = held {
            let mac = if device.mac == Mac::UNSET { stranger } else { device.mac };
            return Host { address, mac, vlan: device.vlan, port: Port::Device };
        }
        let is_inside = self.rows.iter().any(|rows| rows.in_segment(address.into()));
        let port = if is_inside { Port::Device } else { Port::Uplink };
        Host { address, mac: stranger, vlan: 0, port }
    }
}

/// The link-local address that a host makes of its hardware address (RFC 4291 appendix A).
fn link_local(Mac([a, b, c, d, e, f]): Mac) -> IpAddr {
    let id = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(id)).into()
}
