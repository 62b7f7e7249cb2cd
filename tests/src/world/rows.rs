//! A world as table rows, by the plainest compiler that can be right: one class for each set of
//! selectors, whatever that costs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use iomt_filter::rows::{GrantCell, Prefix, Rows, RuleCell, ServicePrefix};
use iomt_filter_common::abi::{CLIENT, MANAGEMENT_PROFILE, PEER_ANY, PEER_PROFILE, PeerClass, SERVICE_ANY};
use iomt_filter_common::geo::{Country, GeoPolicy};
use iomt_filter_common::policy::{self, Otherwise, RuleDirection, Settings};
use iomt_filter_common::reputation::Listing;
use iomt_filter_common::{Mac, device};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{CountryCode, Opens, Peer, Profile, Rule, Service, World};

impl World {
    /// The rows that the filter's tables should hold for this world.
    pub fn rows(&self) -> Rows {
        let mut rows = Rows { settings: self.settings(), ..Rows::default() };
        self.devices_into(&mut rows);
        self.profiles_into(&mut rows);
        self.listings_into(&mut rows);
        self.rules_into(&mut rows);
        rows
    }

    /// Number of a profile, from 1.
    pub fn profile_number(&self, name: &str) -> u16 {
        let index = self.profiles.iter().position(|profile| profile.name == name);
        index.map_or(0, |index| index as u16 + 1)
    }

    fn settings(&self) -> Settings {
        let strict =
            |choice: Otherwise| if choice == Otherwise::Pass { Otherwise::Pass } else { Otherwise::Drop };
        Settings {
            unknown_device: self.unknown_device as u8,
            unparsed: strict(self.unparsed) as u8,
            midstream: strict(self.midstream) as u8,
            has_management: u8::from(!self.management.is_empty()),
            has_protected: u8::from(!self.protected.is_empty()),
            has_dhcp: u8::from(self.devices.iter().any(|device| device.by_dhcp)),
            agent_loss_seconds: self.heartbeat.loss_after,
        }
    }

    fn devices_into(&self, rows: &mut Rows) {
        for (number, device) in (1u32..).zip(&self.devices) {
            let mac = device.mac.map_or(Mac::UNSET, Mac);
            let vlan = device.vlan.unwrap_or(0);
            let profile = self.profile_number(&device.profile);
            let mode = self.profile(&device.profile).mode as u8;
            let flags = self.flags_of(device);
            rows.devices.insert(number, device::Device { mac, vlan, profile, mode, flags });
            if device.mac.is_some() {
                rows.device_macs.insert((mac, vlan), number);
                rows.know_everywhere(number);
            }
            if device.by_dhcp {
                let before = &self.devices[..number as usize - 1];
                let clients = before.iter().filter(|other| other.by_dhcp && other.mac == device.mac);
                rows.device_macs.insert((mac, CLIENT + clients.count() as u16), number);
            }
            for address in &device.addresses {
                rows.device_addresses.insert((*address).into(), number);
            }
            for pair in self.protected.iter().filter(|pair| pair.covers(&device.name)) {
                rows.protected.extend(without_mapped(pair.peer).into_iter().map(|prefix| (number, prefix)));
            }
            rows.names.devices.insert(number, device.name.clone());
        }
    }

    fn flags_of(&self, device: &super::Device) -> u8 {
        let flags = [
            (self.profile(&device.profile).fails_open, device::Device::FAIL_OPEN),
            (self.grants.iter().any(|grant| grant.device == device.name), device::Device::HAS_GRANTS),
            (device.by_dhcp, device::Device::BY_DHCP),
        ];
        flags.iter().filter(|(is_set, _)| *is_set).fold(0, |all, (_, flag)| all | flag)
    }

    fn profiles_into(&self, rows: &mut Rows) {
        let named: BTreeSet<CountryCode> = self
            .profiles
            .iter()
            .filter_map(|profile| profile.geo.as_ref())
            .flat_map(|geo| geo.list.clone())
            .collect();
        for (number, profile) in (1u16..).zip(&self.profiles) {
            let geo = geo_of(profile);
            let row = policy::Profile {
                geo,
                block_score: profile.block_score,
                reset: u8::from(profile.resets),
                has_geo: u8::from(!geo.is_empty()),
                fail_open: u8::from(profile.fails_open),
                open_on_agent_loss: u8::from(profile.open_on_agent_loss),
                is_set: 1,
                limits: limits_of(profile),
                ..policy::Profile::default()
            };
            if !profile.is_unset {
                rows.profiles.insert(number, row);
            }
            rows.names.profiles.insert(number, profile.name.clone());
        }
        let of = |code: &_| if named.contains(code) { country(*code) } else { Country::OTHER };
        rows.countries = self.countries.iter().map(|(net, code)| ((*net).into(), of(code))).collect();
    }

    fn listings_into(&self, rows: &mut Rows) {
        let entries = || {
            let numbered = (1u16..).zip(&self.feeds);
            numbered.flat_map(|(number, feed)| feed.entries.iter().map(move |net| (*net, number, feed.score)))
        };
        let listed = entries().filter_map(|(net, ..)| {
            let covering = entries().filter(|(other, ..)| other.contains(&net));
            let (other, feed, score) =
                covering.max_by_key(|&(other, feed, score)| (score, other.prefix_len(), u16::MAX - feed))?;
            Some((net.into(), Listing { feed, score, prefix_bits: Prefix::from(other).bits }))
        });
        rows.listings = listed.collect();
        rows.names.feeds =
            (1u16..).zip(&self.feeds).map(|(number, feed)| (number, feed.name.clone())).collect();
    }

    fn rules_into(&self, rows: &mut Rows) {
        let peers = Peers::of(self);
        let services = Services::of(self);
        for (net, class) in &peers.classes {
            let in_segment = u8::from(self.segments.iter().any(|segment| segment.contains(net)));
            let is_named = u8::from(self.names(net));
            let is_own = u8::from(self.own.iter().any(|own| IpNet::from(*own) == *net));
            let class = PeerClass { class: *class, in_segment, is_own, is_named, ..PeerClass::default() };
            rows.peers.insert((*net).into(), class);
        }
        rows.services = services.prefixes.clone().into();

        let cells_of = |rule: &Rule| {
            let (peers, services) = (peers.cells(&rule.peer, self), &services);
            let pairs = move |service: &Service| {
                let cells = services.cells(*service);
                peers
                    .clone()
                    .into_iter()
                    .flat_map(move |peer| cells.clone().into_iter().map(move |service| (peer, service)))
            };
            rule.services.iter().flat_map(pairs).collect::<Vec<_>>()
        };
        let mut number = 0;
        let mut named = |name: &str, index: usize, rule: &Rule, rows: &mut Rows| {
            number += 1;
            let (word, direction) = match rule.opens {
                Opens::Device => ("to", RuleDirection::To),
                Opens::Peer => ("from", RuleDirection::From),
            };
            let label = format!("{name}[{index}] {word} {:?} service {:?}", rule.peer, rule.services);
            rows.names.rules.insert(number, label);
            (number, direction)
        };
        let own = self.profiles.iter().filter(|profile| !profile.is_unset).flat_map(|profile| {
            let owner = self.profile_number(&profile.name);
            (1..).zip(&profile.rules).map(move |(index, rule)| (owner, &profile.name, index, rule))
        });
        let (management, name) = (self.management_rules(), "management".to_owned());
        let management = (1..).zip(&management).map(|(index, rule)| (MANAGEMENT_PROFILE, &name, index, rule));
        for (profile, name, index, rule) in own.chain(management) {
            let (number, direction) = named(name, index, rule, rows);
            // What it reaches for DHCP it does under its own number.
            for (peer, service) in [rule].into_iter().chain(&reach(rule)).flat_map(cells_of) {
                rows.rules.entry(RuleCell { profile, direction, peer, service }).or_insert(number);
            }
        }
        for (index, grant) in (1..).zip(&self.grants) {
            let (rule, direction) = named("grant", index, &grant.rule, rows);
            let row = policy::Grant { expires: grant.expires, rule, reserved: 0 };
            let Some(place) = self.devices.iter().position(|device| device.name == grant.device) else {
                continue;
            };
            for (peer, service) in cells_of(&grant.rule) {
                let cell = GrantCell { device: place as u32 + 1, direction, peer, service };
                let longest = rows.grants.entry(cell).or_insert(row);
                if longest.expires < row.expires {
                    *longest = row;
                }
            }
        }
    }

    fn management_rules(&self) -> Vec<Rule> {
        let rule = |pair: &super::Management| Rule {
            opens: Opens::Peer,
            peer: Peer::Net(pair.address.into()),
            services: pair.services.clone(),
        };
        self.management.iter().map(rule).collect()
    }

    fn all_rules(&self) -> Vec<Rule> {
        let own = self.profiles.iter().flat_map(|profile| profile.rules.clone());
        let granted = self.grants.iter().map(|grant| grant.rule.clone());
        let all: Vec<Rule> = own.chain(self.management_rules()).chain(granted).collect();
        all.iter().cloned().chain(all.iter().flat_map(reach)).collect()
    }

    /// Whether a rule names an address by itself.
    pub(crate) fn names(&self, address: &IpNet) -> bool {
        let is_single = address.prefix_len() == address.max_prefix_len();
        is_single && self.all_rules().iter().any(|rule| self.nets_of(&rule.peer).contains(address))
    }

    /// The prefixes that a selector names by address.
    fn nets_of(&self, peer: &Peer) -> Vec<IpNet> {
        match peer {
            Peer::Net(net) => vec![net.trunc()],
            Peer::Endpoint(name) => {
                let named = self.endpoints.iter().filter(|endpoint| endpoint.name == *name);
                named.flat_map(|endpoint| endpoint.addresses.iter().map(IpNet::trunc)).collect()
            }
            Peer::Any | Peer::Profile(_) => Vec::new(),
        }
    }
}

/// What a rule for DHCP allows besides: to ask everybody, where it names the service alone.
fn reach(rule: &Rule) -> Vec<Rule> {
    let everybody = [(67, IpAddr::from([255; 4])), (547, IpAddr::from([0xff02, 0, 0, 0, 0, 0, 1, 2]))];
    let asked = everybody
        .iter()
        .filter(|(port, _)| rule.opens == Opens::Device && rule.services.contains(&Service::udp(*port)));
    asked.map(|(port, address)| Rule::to(Peer::Net((*address).into()), Service::udp(*port))).collect()
}

fn limits_of(profile: &Profile) -> policy::Limits {
    let limits = profile.limits;
    policy::Limits {
        packets_from: limits.from.packets.unwrap_or(0),
        packets_to: limits.to.packets.unwrap_or(0),
        connections_from: limits.from.connections.unwrap_or(0),
        connections_to: limits.to.connections.unwrap_or(0),
        flows: limits.flows.unwrap_or(16_384),
        reserved: 0,
    }
}

/// Every prefix that a rule or a segment names, and its class.
struct Peers {
    classes: BTreeMap<IpNet, u16>,
    /// The nets whose rules hold in a class.
    members: BTreeMap<BTreeSet<IpNet>, u16>,
}

impl Peers {
    fn of(world: &World) -> Self {
        let selected: BTreeSet<IpNet> =
            world.all_rules().iter().flat_map(|rule| world.nets_of(&rule.peer)).collect();
        // `::/0` covers IPv4 as well in the form that tables hold: IPv4 gets an answer of its own.
        let everything_v4 = IpNet::V4(Ipv4Net::default());
        let segments = world.segments.iter().map(IpNet::trunc);
        let own = world.own.iter().copied().map(IpNet::from);
        let all = selected.iter().copied().chain(segments).chain(own).chain([everything_v4]);
        let mut found = Self { classes: BTreeMap::new(), members: BTreeMap::new() };
        for net in all {
            let covering: BTreeSet<IpNet> =
                selected.iter().copied().filter(|other| other.contains(&net)).collect();
            let next = found.members.len() as u16 + 1;
            let class = if covering.is_empty() { 0 } else { *found.members.entry(covering).or_insert(next) };
            found.classes.insert(net, class);
        }
        found
    }

    fn cells(&self, peer: &Peer, world: &World) -> Vec<u16> {
        match peer {
            Peer::Any => vec![PEER_ANY],
            Peer::Profile(name) => vec![PEER_PROFILE + world.profile_number(name)],
            Peer::Net(_) | Peer::Endpoint(_) => {
                let nets = world.nets_of(peer);
                let named =
                    self.members.iter().filter(|(members, _)| nets.iter().any(|net| members.contains(net)));
                named.map(|(_, class)| *class).collect()
            }
        }
    }
}

/// Every port that a rule names, and its class.
struct Services {
    prefixes: BTreeMap<ServicePrefix, u16>,
    members: BTreeMap<BTreeSet<Service>, u16>,
}

impl Services {
    fn of(world: &World) -> Self {
        let named: BTreeSet<Service> = world.all_rules().into_iter().flat_map(|rule| rule.services).collect();
        let mut found = Self { prefixes: BTreeMap::new(), members: BTreeMap::new() };
        let protocols: BTreeSet<u8> = named.iter().filter_map(protocol_of).collect();
        for protocol in protocols {
            found.protocol(protocol, &named);
        }
        found
    }

    fn protocol(&mut self, protocol: u8, named: &BTreeSet<Service>) {
        if !has_ports(protocol) {
            let covering: BTreeSet<Service> =
                named.iter().copied().filter(|service| *service == Service::Protocol(protocol)).collect();
            if !covering.is_empty() {
                let class = self.class(covering);
                self.prefixes.insert(ServicePrefix { protocol, port: 0, bits: 16 }, class);
            }
            return;
        }
        let mut starts = BTreeSet::from([0u32, 0x1_0000]);
        for service in named {
            if let Service::Ports { first, last, .. } = *service {
                starts.extend([u32::from(first), u32::from(last) + 1]);
            }
        }
        let starts: Vec<u32> = starts.into_iter().collect();
        for bounds in starts.windows(2) {
            let covering = covering(protocol, bounds[0], named);
            if covering.is_empty() {
                continue;
            }
            let class = self.class(covering);
            for (port, bits) in power_of_two_ranges(bounds[0], bounds[1] - 1) {
                self.prefixes.insert(ServicePrefix { protocol, port, bits }, class);
            }
        }
    }

    fn class(&mut self, members: BTreeSet<Service>) -> u16 {
        let next = self.members.len() as u16 + 1;
        *self.members.entry(members).or_insert(next)
    }

    fn cells(&self, service: Service) -> Vec<u16> {
        if service == Service::Any {
            return vec![SERVICE_ANY];
        }
        self.members
            .iter()
            .filter(|(members, _)| members.contains(&service))
            .map(|(_, class)| *class)
            .collect()
    }
}

const fn protocol_of(service: &Service) -> Option<u8> {
    match *service {
        Service::Any => None,
        Service::Protocol(protocol) | Service::Ports { protocol, .. } => Some(protocol),
    }
}

const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 132)
}

fn covering(protocol: u8, port: u32, named: &BTreeSet<Service>) -> BTreeSet<Service> {
    let covers = |service: &Service| match *service {
        Service::Any => false,
        Service::Protocol(number) => number == protocol,
        Service::Ports { protocol: number, first, last } => {
            number == protocol && (u32::from(first)..=u32::from(last)).contains(&port)
        }
    };
    named.iter().copied().filter(covers).collect()
}

/// What a prefix covers in the form that tables hold, less the IPv4 addresses that lie in `::/80` there.
fn without_mapped(net: IpNet) -> Vec<Prefix> {
    let mapped = IpNet::V6(MAPPED);
    match net {
        IpNet::V6(v6) if net.contains(&mapped) && net != mapped => {
            let halves = v6.subnets(v6.prefix_len() + 1).into_iter().flatten();
            halves.flat_map(|half| without_mapped(half.into())).collect()
        }
        IpNet::V6(_) if net == mapped => Vec::new(),
        _ => vec![net.into()],
    }
}

/// Where IPv4 addresses are mapped to (RFC 4291 §2.5.5.2).
const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);

/// `first..=last` as ranges whose size is a power of two and divides their start.
fn power_of_two_ranges(mut first: u32, last: u32) -> Vec<(u16, u8)> {
    let mut ranges = Vec::new();
    while first <= last {
        let mut size = 1;
        while size < 0x1_0000 && first.is_multiple_of(size * 2) && first + size * 2 - 1 <= last {
            size *= 2;
        }
        ranges.push((first as u16, 16 - size.trailing_zeros() as u8));
        first += size;
    }
    ranges
}

fn geo_of(profile: &Profile) -> GeoPolicy {
    let mut policy = GeoPolicy::default();
    let Some(geo) = &profile.geo else { return policy };
    let list: Vec<Country> = geo.list.iter().map(|code| country(*code)).collect();
    for number in 1..=Country::OTHER.0 {
        let listed = list.contains(&Country(number));
        if listed != geo.allow {
            policy.deny(Country(number));
        }
    }
    if !geo.unknown_allowed {
        policy.deny(Country::UNKNOWN);
    }
    policy
}

fn country(code: CountryCode) -> Country {
    Country::from_code(code).unwrap_or(Country::UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_exactly_what_they_should() {
        for (first, last) in [(0, 0xffff), (1, 0xffff), (104, 104), (67, 68), (1023, 8193)] {
            let mut covered = Vec::new();
            for (port, bits) in power_of_two_ranges(first, last) {
                covered.extend(u32::from(port)..u32::from(port) + (1 << (16 - bits)));
            }
            assert_eq!(covered, (first..=last).collect::<Vec<_>>());
        }
    }
}
