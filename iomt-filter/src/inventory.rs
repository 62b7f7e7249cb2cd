//! The device inventory: who is behind the device ports.
//!
//! The text of devices.toml or devices.csv comes in, [`Inventory`] goes out, every device with its
//! place. Nothing here reads files or knows of profiles more than their names.

use std::collections::BTreeMap;
use std::net::IpAddr;

use iomt_filter_common::Mac;
use iomt_filter_common::policy::Mode;

use crate::diagnostic::{Diagnostic, Place, SourceFile, unless_errors};
use crate::document::Located;

mod hardware;
mod table;
mod toml;

pub use hardware::{MacError, parse_mac, show_mac};

/// The largest VLAN identifier (IEEE 802.1Q).
const MAX_VLAN: u32 = 4094;
const NO_ADDRESS: &str = "give the address of the device, or `dhcp` where it has none of its own";
/// In place of an address: one that a server gives.
const DHCP: &str = "dhcp";

/// All known devices, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// The devices.
    pub devices: Vec<Device>,
}

/// A device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its hardware address; none for one behind a router.
    pub mac: Option<Mac>,
    /// Its addresses, at least one where it has none from DHCP.
    pub addresses: Vec<IpAddr>,
    /// Whether it has addresses from DHCP, beside others or alone.
    pub by_dhcp: bool,
    /// The VLAN that it must be seen in; 0 for any.
    pub vlan: u16,
    /// The name of its profile.
    pub profile: Located<String>,
    /// A mode of its own.
    pub mode: Option<Mode>,
    /// Where it stands.
    pub place: Place,
}

impl Inventory {
    /// Reads an inventory; by its name, `….csv` or otherwise TOML.
    pub fn parse(file: &SourceFile) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let is_table = file.name().to_ascii_lowercase().ends_with(".csv");
        let (devices, mut found) = if is_table { table::parse(file) } else { toml::parse(file) };
        check_duplicates(&devices, &mut found);
        Ok((Self { devices }, unless_errors(found)?))
    }
}

/// Reports what two devices share and may not.
fn check_duplicates(devices: &[Device], found: &mut Vec<Diagnostic>) {
    let mut names = BTreeMap::new();
    let mut macs = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    for device in devices {
        let mut claim = |earlier: Option<&Device>, what: String| {
            if let Some(earlier) = earlier {
                let note = format!("device `{}` at {} has it too", earlier.name, earlier.place);
                found.push(
                    Diagnostic::error(&device.place, what).note(note).help("remove or correct one of them"),
                );
            }
        };
        claim(names.insert(device.name.clone(), device), format!("device name `{}` is taken", device.name));
        if let Some(mac) = device.mac {
            let what = match device.vlan {
                0 => format!("hardware address `{}` is taken", show_mac(mac)),
                vlan => format!("hardware address `{}` is taken in VLAN {vlan}", show_mac(mac)),
            };
            claim(macs.insert((mac, device.vlan), device), what);
        }
        for &address in &device.addresses {
            claim(addresses.insert(address, device), format!("address `{address}` is taken"));
        }
    }
}

/// What both formats read alike: the fields of a device as text, each with its place.
#[derive(Default)]
struct Fields {
    name: Option<Located<String>>,
    mac: Option<Located<String>>,
    addresses: Vec<Located<String>>,
    vlan: Option<u16>,
    profile: Option<Located<String>>,
    mode: Option<Mode>,
    place: Place,
}

impl Fields {
    /// A device, or what keeps it from being one.
    fn device(self, found: &mut Vec<Diagnostic>) -> Option<Device> {
        let before = found.len();
        let place = self.place;
        let mut missing = |key: &str, help: &str| {
            found.push(Diagnostic::error(&place, format!("this device has no `{key}`")).help(help));
        };
        if self.name.is_none() {
            missing("name", "give every device a name of its own");
        }
        if self.profile.is_none() {
            missing("profile", "name a profile of the policy");
        }
        if self.addresses.is_empty() {
            missing("ip", NO_ADDRESS);
        }
        let is_dhcp = |text: &&Located<String>| text.value.eq_ignore_ascii_case(DHCP);
        let by_dhcp = self.addresses.iter().find(is_dhcp);
        if let Some(text) = by_dhcp.filter(|_| self.mac.is_none()) {
            let help = "give its `mac`, by which its lease is told; or its address";
            found.push(Diagnostic::error(&text.place, "a device with `dhcp` needs a `mac`").help(help));
        }
        let by_dhcp = by_dhcp.is_some();
        let fixed = self.addresses.iter().filter(|text| !is_dhcp(text));
        let addresses = fixed.filter_map(|text| address(text, found)).collect();
        let mac = self.mac.and_then(|text| mac(&text, found));
        if found.len() > before {
            return None;
        }
        let (name, profile) = (self.name?, self.profile?);
        Some(Device {
            name: name.value,
            mac,
            addresses,
            by_dhcp,
            vlan: self.vlan.unwrap_or(0),
            profile,
            mode: self.mode,
            place,
        })
    }
}

fn mac(text: &Located<String>, found: &mut Vec<Diagnostic>) -> Option<Mac> {
    match parse_mac(&text.value) {
        Ok(mac) => Some(mac),
        Err(error) => {
            found.push(Diagnostic::error(&text.place, error.to_string()).help(error.help()));
            None
        }
    }
}

fn address(text: &Located<String>, found: &mut Vec<Diagnostic>) -> Option<IpAddr> {
    let address: Option<IpAddr> = text.value.parse().ok();
    let address = address.map(|address| address.to_canonical());
    let reason = match address {
        None => {
            Some((format!("`{}` is no address", text.value), "write it as in `10.10.4.12` or `fd00::12`"))
        }
        Some(address) if address.is_unspecified() || address.is_multicast() || address.is_loopback() => {
            Some((format!("no device can have the address `{address}`"), "give the address of the device"))
        }
        Some(_) => None,
    };
    match reason {
        Some((message, help)) => {
            found.push(Diagnostic::error(&text.place, message).help(help));
            None
        }
        None => address,
    }
}
