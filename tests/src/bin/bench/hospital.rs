//! The hospital that is measured: its devices, their policy, and the lists it believes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use iomt_filter::rows::{Rows, RuleCell, ServicePrefix};
use iomt_filter_common::Mac;
use iomt_filter_common::abi::{MANAGEMENT_PROFILE, PeerClass};
use iomt_filter_common::device::Device;
use iomt_filter_common::geo::Country;
use iomt_filter_common::packet::protocol;
use iomt_filter_common::policy::{Mode, Otherwise, Profile, RuleDirection, Settings};
use ipnet::IpNet;
use serde::Serialize;

use crate::countries::{Countries, is_denied};
use crate::far_ends;

/// The service that is allowed.
pub(crate) const ALLOWED_PORT: u16 = 443;
/// A service that is not.
pub(crate) const OTHER_PORT: u16 = 8443;

const PROFILES: u16 = 8;
/// Peer classes that no frame here meets, so that their table is as large as a policy makes it.
const OTHER_PEERS: u32 = 200;
const OTHER_SERVICES: u16 = 20;
/// Services of rules that allow nothing here begin with this port.
const FIRST_OF_RULES: u16 = 30_000;
const FAR_CLASS: u16 = 1;
const SERVICE_CLASS: u16 = 1;
const OTHER_SERVICE_CLASS: u16 = 10_000;
const MANAGEMENT_CLASS: u16 = 2;
const MANAGEMENT_SERVICE_CLASS: u16 = 20_000;

/// IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Family {
    V4,
    V6,
}

/// What differs between the hospitals that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Hospital {
    /// Listed hosts of IPv4; networks of IPv6 as many, up to 100,000.
    pub(crate) listed: u32,
    /// Devices of the inventory, numbered from 1.
    pub(crate) devices: u32,
    /// Flows that are remembered.
    pub(crate) flows: u32,
    /// Rules of each profile, of which one allows what is allowed here.
    pub(crate) rules: u16,
    /// Whether management pairs are configured.
    pub(crate) has_management: bool,
    /// Whether every frame that is dropped is recorded, and not the first few of a second.
    pub(crate) records_all: bool,
}

impl Hospital {
    /// The content of its tables.
    pub(crate) fn rows(self, countries: &Countries) -> Rows {
        let mut rows = Rows { settings: self.settings(), ..Rows::default() };
        self.add_devices(&mut rows);
        add_policy(&mut rows, self.rules);
        if self.has_management {
            add_management(&mut rows);
        }
        rows.countries = countries.rows.clone();
        rows.listings = far_ends::listings(self.listed).collect();
        rows
    }

    fn settings(self) -> Settings {
        Settings {
            unknown_device: Otherwise::Drop as u8,
            unparsed: Otherwise::Drop as u8,
            // Connections that new ones have pushed out of the table are picked up again.
            midstream: Otherwise::Pass as u8,
            has_management: u8::from(self.has_management),
            ..Settings::default()
        }
    }

    fn add_devices(self, rows: &mut Rows) {
        for device in 1..=self.devices {
            let profile = (device % u32::from(PROFILES)) as u16 + 1;
            let mac = device_mac(device);
            let row = Device { mac, vlan: 0, profile, mode: Mode::Enforce as u8, flags: 0 };
            rows.devices.insert(device, row);
            rows.device_macs.insert((mac, 0), device);
            for family in [Family::V4, Family::V6] {
                rows.device_addresses.insert(device_address(family, device).into(), device);
            }
        }
    }
}

/// The service of each rule of a profile.
pub(crate) fn services(rules: u16) -> impl Iterator<Item = u16> {
    [ALLOWED_PORT].into_iter().chain(FIRST_OF_RULES..).take(usize::from(rules))
}

/// The address of a device.
pub(crate) fn device_address(family: Family, device: u32) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(0x0a14_0000 | device).into(),
        Family::V6 => Ipv6Addr::from_bits(0xfd00_0020_u128 << 96 | u128::from(device)).into(),
    }
}

/// Its hardware address.
pub(crate) fn device_mac(device: u32) -> Mac {
    let [a, b, c, d] = device.to_be_bytes();
    Mac([0x02, 0x10, a, b, c, d])
}

fn add_policy(rows: &mut Rows, rules: u16) {
    let mut profile = Profile { block_score: 50, has_geo: 1, is_set: 1, ..Profile::default() };
    (0..1024)
        .map(Country)
        .filter(|country| is_denied(*country))
        .for_each(|country| profile.geo.deny(country));
    for number in 1..=PROFILES {
        rows.profiles.insert(number, profile);
    }
    for (class, port) in (SERVICE_CLASS..).zip(services(rules)) {
        rows.services.insert(ServicePrefix { protocol: protocol::TCP, port, bits: 16 }, class);
        for profile in 1..=PROFILES {
            let direction = RuleDirection::To;
            let cell = RuleCell { profile, direction, peer: FAR_CLASS, service: class };
            rows.rules.insert(cell, u32::from(class) * u32::from(PROFILES) + u32::from(profile));
        }
    }
    for other in 1..=OTHER_SERVICES {
        let service = ServicePrefix { protocol: protocol::TCP, port: other * 1000, bits: 16 };
        rows.services.insert(service, OTHER_SERVICE_CLASS + other);
    }
    let segment = PeerClass { in_segment: 1, ..PeerClass::default() };
    let far = PeerClass { class: FAR_CLASS, ..PeerClass::default() };
    for (address, bits, class) in [
        (device_address(Family::V4, 0), 16, segment),
        (device_address(Family::V6, 0), 64, segment),
        (Ipv4Addr::UNSPECIFIED.into(), 0, far),
        (Ipv6Addr::from_bits(0x2000 << 112).into(), 3, far),
    ] {
        rows.peers.insert(IpNet::new_assert(address, bits).into(), class);
    }
    for other in 0..OTHER_PEERS {
        let class = PeerClass { class: 100 + other as u16, ..PeerClass::default() };
        let address = Ipv4Addr::from_bits(0x0a28_0000 | other << 8);
        rows.peers.insert(IpNet::new_assert(address.into(), 24).into(), class);
    }
}

fn add_management(rows: &mut Rows) {
    let class = PeerClass { class: MANAGEMENT_CLASS, ..PeerClass::default() };
    rows.peers.insert(IpNet::new_assert(Ipv4Addr::new(10, 30, 0, 0).into(), 28).into(), class);
    let service = ServicePrefix { protocol: protocol::TCP, port: 22, bits: 16 };
    rows.services.insert(service, MANAGEMENT_SERVICE_CLASS);
    let (profile, direction) = (MANAGEMENT_PROFILE, RuleDirection::From);
    let cell = RuleCell { profile, direction, peer: MANAGEMENT_CLASS, service: MANAGEMENT_SERVICE_CLASS };
    rows.rules.insert(cell, 1);
}
