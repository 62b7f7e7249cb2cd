//! The hospital that is measured: its devices, their policy, and the rest of the world.
//!
//! All addresses are numbered, and the number is spread over the address space by a bijection: distinct
//! numbers are distinct addresses, and neighbours lie far apart, as in life.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use iomt_filter::rows::{Prefixes, Rows, RuleCell, ServicePrefix};
use iomt_filter_common::Mac;
use iomt_filter_common::abi::{MANAGEMENT_PROFILE, PeerClass};
use iomt_filter_common::device::Device;
use iomt_filter_common::geo::Country;
use iomt_filter_common::packet::protocol;
use iomt_filter_common::policy::{Mode, Otherwise, Profile, RuleDirection, Settings};
use iomt_filter_common::reputation::Listing;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Serialize;

/// Devices of the inventory, numbered from 1.
pub(crate) const DEVICES: u32 = 64;
/// Far ends from this number on are those that feeds list.
pub(crate) const FIRST_LISTED: u32 = 1 << 20;
/// The service that is allowed.
pub(crate) const ALLOWED_PORT: u16 = 443;
/// A service that is not.
pub(crate) const OTHER_PORT: u16 = 8443;

const PROFILES: u16 = 8;
const COUNTRIES_V4: u32 = 20_000;
const COUNTRIES_V6: u32 = 10_000;
/// Peer classes that no frame here meets, so that the trie is as deep as a policy makes it.
const OTHER_PEERS: u32 = 200;
const OTHER_SERVICES: u16 = 20;
const FAR_CLASS: u16 = 1;
const SERVICE_CLASS: u16 = 1;
const MANAGEMENT_CLASS: u16 = 2;

/// IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Family {
    V4,
    V6,
}

/// What differs between the tables that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hospital {
    /// Listed far ends of either family.
    pub(crate) listed: u32,
    /// Whether management pairs are configured.
    pub(crate) has_management: bool,
}

impl Hospital {
    /// The content of its tables.
    pub(crate) fn rows(self) -> Rows {
        let mut rows = Rows { settings: self.settings(), ..Rows::default() };
        add_devices(&mut rows);
        add_policy(&mut rows);
        if self.has_management {
            add_management(&mut rows);
        }
        rows.countries = countries();
        let listing = |prefix_bits| Listing { feed: 1, score: 90, prefix_bits };
        let listed = (FIRST_LISTED..FIRST_LISTED + self.listed).flat_map(|number| {
            let network = IpNet::new_assert(far_end(Family::V6, number), 64);
            [(far_end(Family::V4, number).into(), listing(128)), (network.into(), listing(64))]
        });
        rows.listings = listed.collect();
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
}

/// The address of a device; numbers beyond [`DEVICES`] are nobody's.
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

/// The address of a far end: one of 2^29 in 128.0.0.0/3, or of 2^52 networks in 2a00::/12.
pub(crate) fn far_end(family: Family, number: u32) -> IpAddr {
    match family {
        Family::V4 => {
            let spread = number.wrapping_mul(0x9e37_79b1) & 0x1fff_ffff;
            Ipv4Addr::from_bits(0x8000_0000 | spread).into()
        }
        Family::V6 => {
            let spread = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) & ((1 << 52) - 1);
            let network = 0x2a00_0000_0000_0000 | spread;
            Ipv6Addr::from_bits(u128::from(network) << 64 | u128::from(mix(u64::from(number)))).into()
        }
    }
}

/// A number that looks like chance and is always the same (the finaliser of SplitMix64).
pub(crate) const fn mix(number: u64) -> u64 {
    let a = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let b = (a ^ (a >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let c = (b ^ (b >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    c ^ (c >> 31)
}

fn add_devices(rows: &mut Rows) {
    for device in 1..=DEVICES {
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

fn add_policy(rows: &mut Rows) {
    let mut profile = Profile { block_score: 50, has_geo: 1, is_set: 1, ..Profile::default() };
    profile.geo.deny(Country::OTHER);
    for number in 1..=PROFILES {
        rows.profiles.insert(number, profile);
        let direction = RuleDirection::To;
        let cell = RuleCell { profile: number, direction, peer: FAR_CLASS, service: SERVICE_CLASS };
        rows.rules.insert(cell, u32::from(number));
    }
    let service = ServicePrefix { protocol: protocol::TCP, port: ALLOWED_PORT, bits: 16 };
    rows.services.insert(service, SERVICE_CLASS);
    for other in 1..=OTHER_SERVICES {
        let service = ServicePrefix { protocol: protocol::TCP, port: other * 1000, bits: 16 };
        rows.services.insert(service, SERVICE_CLASS + other);
    }
    let segment = PeerClass { in_segment: 1, ..PeerClass::default() };
    let far = PeerClass { class: FAR_CLASS, ..PeerClass::default() };
    for (address, bits, class) in [
        (device_address(Family::V4, 0), 16, segment),
        (device_address(Family::V6, 0), 64, segment),
        (Ipv4Addr::new(128, 0, 0, 0).into(), 3, far),
        (Ipv6Addr::from_bits(0x2a00 << 112).into(), 12, far),
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
    rows.services.insert(service, 100);
    let profile = MANAGEMENT_PROFILE;
    let cell = RuleCell { profile, direction: RuleDirection::From, peer: MANAGEMENT_CLASS, service: 100 };
    rows.rules.insert(cell, u32::from(PROFILES) + 1);
}

/// Prefixes of the lengths that country databases hold, over all of the far ends' space.
fn countries() -> Prefixes<Country> {
    let v4 = (0..COUNTRIES_V4).map(|number| {
        let chance = mix(u64::from(number));
        let address = Ipv4Addr::from_bits(0x8000_0000 | (chance as u32 >> 3));
        let network = Ipv4Net::new_assert(address, 13 + (chance >> 60) as u8);
        (IpNet::from(network).into(), country(chance))
    });
    let v6 = (0..COUNTRIES_V6).map(|number| {
        let chance = mix(u64::from(number));
        let address = Ipv6Addr::from_bits(0x2a00 << 112 | u128::from(chance >> 12) << 64);
        let network = Ipv6Net::new_assert(address, 29 + (chance >> 60) as u8);
        (IpNet::from(network).into(), country(chance))
    });
    v4.chain(v6).collect()
}

fn country(chance: u64) -> Country {
    Country((chance >> 32) as u16 % 676 + 1)
}
