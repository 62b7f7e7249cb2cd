//! From what policy and inventory mean to what is loaded.
//!
//! Policy, inventory and what the host adds come in; [`Rows`] go out, without listings and countries,
//! which feeds and geo add. Pure: the same input always makes the same rows.

use std::collections::BTreeMap;
use std::net::IpAddr;

use iomt_filter_common::abi::{CLIENT, MANAGEMENT_PROFILE, MAX_CLIENTS, MAX_PROFILES};
use iomt_filter_common::device::Device;
use iomt_filter_common::policy as table;
use iomt_filter_common::{Address, Mac};
use ipnet::IpNet;

use super::error::Problem;
use super::matrix::Matrix;
use super::model::{Geo, GeoStale, Grant, Management, Policy, Profile};
use super::peer::{Peers, without_mapped};
use super::service::Services;
use crate::diagnostic::{Diagnostic, unless_errors};
use crate::glob;
use crate::inventory::{self, Inventory, show_mac};
use crate::nearest::did_you_mean;
use crate::numbers::Numbers;
use crate::rows::{Prefix, Rows};

/// What host and configuration add to a policy.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// The host's own addresses: the endpoint `gateway`.
    pub gateway: Vec<IpAddr>,
    /// Networks that live behind the device ports.
    pub segments: Vec<IpNet>,
    /// Pairs that nothing may cut.
    pub management: Vec<Management>,
    /// Whether a country database is configured.
    pub has_country_database: bool,
    /// Whether there is one, and young enough.
    pub has_fresh_countries: bool,
    /// How long the agent may be missing, in seconds.
    pub agent_loss_seconds: u16,
    /// What devices are granted for a time.
    pub grants: Vec<Grant>,
}

/// Makes rows, and warnings beside them; or every error and warning there is.
///
/// Rules are numbered from 1 in the order of the file, management pairs after them; profiles from 1 by
/// name; devices as `numbers` says.
pub fn compile(
    policy: &Policy,
    inventory: &Inventory,
    extras: &Extras,
    numbers: &mut Numbers,
) -> Result<(Rows, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut compiler =
        Compiler { policy, rows: Rows::default(), profiles: BTreeMap::new(), found: Vec::new() };
    compiler.profiles(extras);
    compiler.devices(inventory, numbers);
    compiler.protected(inventory, extras);
    let grants = compiler.grants(&extras.grants);
    compiler.matrix(extras, &grants);
    compiler.rows.settings = table::Settings {
        has_management: u8::from(!extras.management.is_empty()),
        has_protected: u8::from(!compiler.rows.protected.is_empty()),
        has_dhcp: u8::from(inventory.devices.iter().any(|device| device.by_dhcp)),
        agent_loss_seconds: extras.agent_loss_seconds,
        ..policy.settings
    };
    if extras.segments.is_empty() {
        compiler.found.push(Problem::NoSegments.warning(&policy.place));
    }
    let Compiler { rows, found, .. } = compiler;
    Ok((rows, unless_errors(found)?))
}

/// The networks of `peers`, with the host's own addresses where it names them.
pub(super) fn networks(peers: &Peers, gateway: &[IpAddr]) -> Vec<IpNet> {
    let own = gateway.iter().copied().map(IpNet::from);
    let mut networks: Vec<_> = peers.networks.iter().copied().chain(own.filter(|_| peers.gateway)).collect();
    networks.sort_unstable();
    networks.dedup();
    networks
}

struct Compiler<'p> {
    policy: &'p Policy,
    rows: Rows,
    profiles: BTreeMap<&'p str, u16>,
    found: Vec<Diagnostic>,
}

impl Compiler<'_> {
    fn profiles(&mut self, extras: &Extras) {
        let policy = self.policy;
        if policy.profiles.len() >= MAX_PROFILES as usize {
            self.found.push(Problem::TooManyProfiles(policy.profiles.len()).error(&policy.place));
        }
        let mut by_name: Vec<&Profile> = policy.profiles.iter().collect();
        by_name.sort_by_key(|profile| &profile.name);
        by_name.truncate(MAX_PROFILES as usize - 1);
        for (number, profile) in (MANAGEMENT_PROFILE + 1..).zip(by_name) {
            self.profiles.insert(&profile.name, number);
            self.rows.names.profiles.insert(number, profile.name.clone());
            let is_untold = policy.geo_stale == GeoStale::Deny && !extras.has_fresh_countries;
            self.rows.profiles.insert(number, profile_row(profile, is_untold));
            if let Some(geo) = profile.geo.as_ref().filter(|_| !extras.has_country_database) {
                let problem = if is_untold { Problem::NoDatabaseDenied } else { Problem::NoDatabase };
                self.found.push(problem.warning(&geo.place));
            }
        }
    }

    fn devices(&mut self, inventory: &Inventory, numbers: &mut Numbers) {
        for device in &inventory.devices {
            let name = device.profile.value.as_str();
            let Some(profile) = self.policy.profile(name) else {
                let known = self.policy.profiles.iter().map(|profile| profile.name.as_str());
                let problem = Problem::UnknownProfile(name.to_owned()).error(&device.profile.place);
                self.found.push(problem.help(did_you_mean(name, known)));
                continue;
            };
            let Some(number) = numbers.device(&device.name) else {
                self.found.push(Problem::NoNumber(device.name.clone()).error(&device.place));
                continue;
            };
            self.device(device, number, profile);
        }
    }

    fn device(&mut self, device: &inventory::Device, number: u32, profile: &Profile) {
        let rows = &mut self.rows;
        let row = Device {
            mac: device.mac.unwrap_or(Mac::UNSET),
            vlan: device.vlan,
            profile: self.profiles.get(profile.name.as_str()).copied().unwrap_or_default(),
            mode: device.mode.unwrap_or(profile.mode) as u8,
            flags: if profile.fail_open { Device::FAIL_OPEN } else { 0 }
                | if device.by_dhcp { Device::BY_DHCP } else { 0 },
        };
        rows.names.devices.insert(number, device.name.clone());
        rows.devices.insert(number, row);
        if let Some(mac) = device.mac {
            rows.device_macs.insert((mac, device.vlan), number);
            if device.by_dhcp {
                self.client(device, mac, number);
            }
        }
        self.rows.know_everywhere(number);
        let addresses = device.addresses.iter().map(|&address| (Address::from(address), number));
        self.rows.device_addresses.extend(addresses);
    }

    /// Gives a device by DHCP a place among those with its hardware address.
    fn client(&mut self, device: &inventory::Device, mac: Mac, number: u32) {
        let macs = &mut self.rows.device_macs;
        let mut places = (0..MAX_CLIENTS).map(|n| (mac, CLIENT + n));
        match places.find(|place| !macs.contains_key(place)) {
            Some(place) => {
                macs.insert(place, number);
            }
            None => {
                let problem = Problem::TooManyClients(show_mac(mac), device.name.clone());
                self.found.push(problem.warning(&device.place));
            }
        }
    }

    fn protected(&mut self, inventory: &Inventory, extras: &Extras) {
        for pair in &self.policy.protected {
            let is_meant = |name: &str| glob::matches(&pair.device, name);
            if !inventory.devices.iter().any(|device| is_meant(&device.name)) {
                self.found.push(Problem::NoSuchDevice(pair.device.clone()).warning(&pair.place));
            }
            let devices = self.rows.names.devices.iter();
            let matching: Vec<u32> =
                devices.filter(|(_, name)| is_meant(name)).map(|(&number, _)| number).collect();
            let networks = networks(&pair.peers, &extras.gateway);
            for network in networks.into_iter().flat_map(without_mapped) {
                let prefix = Prefix::from(network);
                self.rows.protected.extend(matching.iter().map(|&device| (device, prefix)));
            }
        }
    }

    /// The grants that mean something, with the number of their device, who and what. One whose device, peer
    /// or service has gone allows nothing, and is said.
    fn grants<'g>(&mut self, grants: &'g [Grant]) -> Vec<(u32, &'g Grant, Peers, Services)> {
        let mut meant = Vec::new();
        for grant in grants {
            let devices = &mut self.rows.names.devices.iter();
            let number = devices.find(|(_, name)| **name == grant.device).map(|(&number, _)| number);
            let words = &self.policy.vocabulary;
            let read =
                words.peers(&grant.peers).and_then(|peers| Ok((peers, words.services(&grant.services)?)));
            let lost = match (number, read) {
                (Some(number), Ok((peers, services))) => {
                    meant.push((number, grant, peers, services));
                    if let Some(device) = self.rows.devices.get_mut(&number) {
                        device.flags |= Device::HAS_GRANTS;
                    }
                    continue;
                }
                (None, _) => format!("no device is called `{}`", grant.device),
                (_, Err(errors)) => errors.join("; "),
            };
            let message = format!("`{}` of `{}` allows nothing: {lost}", grant.name, grant.device);
            self.found.push(Diagnostic::warning(&self.policy.place, message));
        }
        meant
    }

    fn matrix(&mut self, extras: &Extras, grants: &[(u32, &Grant, Peers, Services)]) {
        let mut matrix = Matrix::new(&extras.gateway);
        for profile in &self.policy.profiles {
            let number = self.profiles.get(profile.name.as_str()).copied().unwrap_or_default();
            for rule in &profile.rules {
                if rule.peers.gateway && extras.gateway.is_empty() {
                    self.found.push(Problem::NoGateway.warning(&rule.place));
                }
                matrix.add_rule(number, rule, &self.profiles);
            }
        }
        for management in &extras.management {
            matrix.add_management(management);
        }
        for (device, grant, peers, services) in grants {
            matrix.add_grant(*device, grant, peers, services, &self.profiles);
        }
        matrix.fill(&extras.segments, &self.policy.place, &mut self.rows, &mut self.found);
    }
}

/// A row; where countries cannot be told and the policy does not bear that, one that refuses all of them.
fn profile_row(profile: &Profile, is_untold: bool) -> table::Profile {
    let refused = |geo: &Geo| if is_untold { Geo::all() } else { geo.refused() };
    let geo = profile.geo.as_ref().map(refused).unwrap_or_default();
    table::Profile {
        geo,
        block_score: profile.block_score,
        reset: u8::from(profile.reset),
        has_geo: u8::from(!geo.is_empty()),
        fail_open: u8::from(profile.fail_open),
        open_on_agent_loss: u8::from(profile.open_on_agent_loss),
        is_set: 1,
        reserved: [0; 2],
        limits: profile.limits.row(),
    }
}
