//! What devices did with services that are vulnerable, and what the policy in force says of these.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use iomt_filter_common::Tables as _;
use iomt_filter_common::policy::{Mode, RuleDirection, Service};
use iomt_filter_common::reputation::Listing;
use jiff::Timestamp;

use super::assess::Device;
use super::rule::Rules;
use super::service::written;
use super::{Access, Exposure};
use crate::baseline::{Ground, is_once};
use crate::contacts::{Contact, Direction};
use crate::judge::{Memory, RowsTables};
use crate::plan::Judge;
use crate::policy::model::Management;
use crate::policy::service::{PortRange, Services};

/// Far ends of one service of one device, and of one rule, that are taken down; it is enough to say that there are many.
const MOST_PEERS: usize = 10_000;

/// A service of a device: who opens, protocol and port.
type Port = (Direction, u8, u16);
/// A rule of a profile that was used for a port.
type Used<'g> = (&'g str, Port, u32);

/// Contacts as they come.
#[derive(Debug)]
pub(super) struct Watch<'g> {
    ground: Ground<'g>,
    judge: Judge<'g>,
    memory: Memory,
    devices: HashMap<&'g str, (&'g str, u16)>,
    wanted: HashSet<(&'g str, u8, u16)>,
    watched: Watched<'g>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Watched<'g> {
    uses: HashMap<&'g str, BTreeMap<Port, Use>>,
    /// Far ends that used a rule, as rules write them.
    by_rule: BTreeMap<Used<'g>, BTreeSet<IpAddr>>,
    names: HashMap<IpAddr, String>,
    endpoints: Vec<(&'g str, &'g [ipnet::IpNet])>,
    /// Rules that were used once by somebody, and no more came of it.
    once: BTreeSet<Used<'g>>,
    /// From when to when anything is known of the devices of a profile.
    known: HashMap<&'g str, (Timestamp, Timestamp)>,
    management: &'g [Management],
}

#[derive(Debug, Default)]
struct Use {
    peers: BTreeSet<IpAddr>,
    packets: u64,
    last_seen: Option<Timestamp>,
}

impl<'g> Watch<'g> {
    pub(super) fn new(ground: Ground<'g>, management: &'g [Management]) -> Self {
        let rows = &ground.intent.rows;
        let device = |(number, name): (&u32, &'g String)| {
            let row = rows.devices.get(number)?;
            let profile = rows.names.profiles.get(&row.profile)?;
            Some((name.as_str(), (profile.as_str(), row.profile)))
        };
        let endpoints = ground.intent.vocabulary.endpoints.iter();
        let endpoints = endpoints.map(|(name, networks)| (name.as_str(), networks.as_slice())).collect();
        Self {
            judge: Judge::new(ground.intent, ground.leases, ground.now),
            memory: Memory::default(),
            devices: rows.names.devices.iter().filter_map(device).collect(),
            wanted: HashSet::new(),
            watched: Watched { endpoints, management, ..Watched::default() },
            ground,
        }
    }

    /// What devices of a profile do with this port is to be heard.
    pub(super) fn want(&mut self, profile: &'g str, protocol: u8, port: u16) {
        self.wanted.insert((profile, protocol, port));
    }

    /// Hears of a contact.
    pub(super) fn hear(&mut self, contact: &Contact) {
        let Some((&device, &(profile, number))) = self.devices.get_key_value(&*contact.device) else {
            return;
        };
        let known = self.watched.known.entry(profile).or_insert((contact.first_seen, contact.last_seen));
        *known = (known.0.min(contact.first_seen), known.1.max(contact.last_seen));
        let (protocol, port) = (contact.protocol, contact.port.unwrap_or(0));
        if !self.wanted.contains(&(profile, protocol, port)) {
            return;
        }
        let key = (contact.direction, protocol, port);
        let used = self.watched.uses.entry(device).or_default().entry(key).or_default();
        used.packets += contact.packets;
        used.last_seen = used.last_seen.max(Some(contact.last_seen));
        if used.peers.len() < MOST_PEERS {
            used.peers.insert(contact.peer);
        }
        let rows = &self.ground.intent.rows;
        // What lists refuse is no work that a rule is for.
        if rows.listing(contact.peer.into()) != Listing::NONE {
            return;
        }
        let holder = self.judge.holder(contact.peer).and_then(|name| self.devices.get(name));
        let tables = RowsTables::new(rows, &self.memory, 1);
        let service = Service::of(protocol, port);
        let peer_profile = holder.map_or(0, |held| held.1);
        let direction = rule_direction(contact.direction);
        let rule = tables.rule(number, direction, contact.peer.into(), peer_profile, service);
        if let Some(rule) = rule {
            if is_once(contact) {
                self.watched.once.insert((profile, key, rule));
                return;
            }
            let peers = self.watched.by_rule.entry((profile, key, rule)).or_default();
            if peers.len() < MOST_PEERS {
                peers.insert(contact.peer);
            }
            let is_own = rows.peer(contact.peer.into()).is_own != 0;
            let name = match holder {
                _ if is_own => Some("gateway".to_owned()),
                Some((profile, _)) => Some(format!("profile:{profile}")),
                None => None,
            };
            self.watched.names.extend(name.map(|name| (contact.peer, name)));
        }
    }

    pub(super) fn end(self) -> Watched<'g> {
        self.watched
    }
}

impl<'g> Watched<'g> {
    /// From when to when anything is known of the devices of a profile.
    pub(super) fn since(&self, profile: &str) -> Option<(Timestamp, Timestamp)> {
        self.known.get(profile).copied()
    }

    /// The far ends that used a port through a rule, as rules write them: an endpoint where all of its addresses did.
    pub(super) fn peers(&self, profile: &'g str, port: Port, rule: u32) -> Vec<String> {
        let Some(seen) = self.by_rule.get(&(profile, port, rule)) else { return Vec::new() };
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let mut addresses: BTreeSet<IpAddr> = BTreeSet::new();
        for peer in seen {
            match self.names.get(peer) {
                Some(name) => drop(names.insert(name)),
                None => drop(addresses.insert(*peer)),
            }
        }
        for (name, networks) in &self.endpoints {
            let is_seen = |network: &ipnet::IpNet| {
                network.prefix_len() == network.max_prefix_len() && addresses.contains(&network.addr())
            };
            if networks.iter().all(is_seen) && !networks.is_empty() {
                names.insert(name);
                addresses.retain(|address| !networks.iter().any(|network| network.addr() == *address));
            }
        }
        names.into_iter().map(str::to_owned).chain(addresses.iter().map(IpAddr::to_string)).collect()
    }

    /// Whether somebody used a port through a rule once, who does not count.
    pub(super) fn is_used_once(&self, profile: &'g str, port: Port, rule: u32) -> bool {
        self.once.contains(&(profile, port, rule))
    }

    /// A service of a device: what it does, and may do.
    pub(super) fn exposure(
        &self,
        device: Device<'g>,
        direction: Direction,
        (protocol, port): (u8, u16),
        rules: &Rules<'g>,
    ) -> Exposure {
        let uses = self.uses.get(device.name);
        let used = uses.and_then(|uses| uses.get(&(direction, protocol, port)));
        let other = match direction {
            Direction::FromDevice => Direction::ToDevice,
            Direction::ToDevice => Direction::FromDevice,
        };
        let other_way = uses.and_then(|uses| uses.get(&(other, protocol, port)));
        let allowing = rules.allowing(device.profile, direction, (protocol, port));
        let passes = matches!(device.mode, Mode::Learn | Mode::Monitor);
        let access = match (allowing.is_empty(), passes) {
            _ if device.mode == Mode::Quarantine => Access::Denied,
            (true, true) => Access::Reported,
            (true, false) => Access::Denied,
            (false, true) => Access::AllowedAndReported,
            (false, false) => Access::Allowed,
        };
        let of_port = Services::of(vec![PortRange { protocol, first: port, last: port }]);
        let pairs = self.management.iter().filter(|pair| pair.services.meets(&of_port));
        let management: Vec<String> = match direction {
            Direction::ToDevice => pairs.map(|pair| pair.name.clone()).collect(),
            Direction::FromDevice => Vec::new(),
        };
        let mode = device.mode.name();
        let mut proposal = match access {
            Access::Denied if allowing.is_empty() => "none needed, no rule allows it".to_owned(),
            Access::Denied => format!("none needed in `{mode}`"),
            Access::Reported => format!("no rule allows it, and it passes in `{mode}`: enforce the profile"),
            Access::Allowed => rules.said(&allowing),
            Access::AllowedAndReported => {
                format!(
                    "{}; until the profile is enforced, all of it passes in `{mode}`",
                    rules.said(&allowing)
                )
            }
        };
        if !management.is_empty() {
            proposal.push_str("; management pairs of the configuration have it besides");
        }
        Exposure {
            service: written(protocol, port),
            direction,
            peers: used.map_or(0, |used| used.peers.len()),
            packets: used.map_or(0, |used| used.packets),
            last_seen: used.and_then(|used| used.last_seen),
            other_way: other_way.map_or(0, |used| used.peers.len()),
            access,
            rules: allowing.iter().map(|rule| rule.name.clone()).collect(),
            management,
            proposal,
        }
    }
}

pub(super) const fn rule_direction(direction: Direction) -> RuleDirection {
    match direction {
        Direction::FromDevice => RuleDirection::To,
        Direction::ToDevice => RuleDirection::From,
    }
}
