//! What the inventory expects of a device, to be told beside what was seen of one that was `spoofed`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use iomt_filter_common::Mac;
use iomt_filter_common::device::Device;
use serde::{Deserialize, Serialize};

use crate::inventory::show_mac;
use crate::rows::Rows;

/// What belongs together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Hardware address; null where the device is known by its addresses alone.
    pub mac: Option<String>,
    /// VLAN; null for any.
    pub vlan: Option<u16>,
    /// Addresses; `dhcp` for those that a server gives.
    pub addresses: Vec<String>,
}

/// What is expected of every device.
#[must_use]
pub fn expectations(rows: &Rows) -> BTreeMap<u32, Expected> {
    let mut all: BTreeMap<u32, Expected> = BTreeMap::new();
    for (&number, device) in &rows.devices {
        let mac = (device.mac != Mac::UNSET).then(|| show_mac(device.mac));
        let vlan = (device.vlan != 0).then_some(device.vlan);
        all.insert(number, Expected { mac, vlan, addresses: Vec::new() });
    }
    for (&address, number) in &rows.device_addresses {
        if let Some(expected) = all.get_mut(number) {
            expected.addresses.push(IpAddr::from(address).to_string());
        }
    }
    for (number, _) in rows.devices.iter().filter(|(_, device)| device.has(Device::BY_DHCP)) {
        if let Some(expected) = all.get_mut(number) {
            expected.addresses.push("dhcp".to_owned());
        }
    }
    all
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.mac.as_deref().unwrap_or("any hardware address"))?;
        if let Some(vlan) = self.vlan {
            write!(f, " in VLAN {vlan}")?;
        }
        write!(f, " with {}", self.addresses.join(" "))
    }
}
