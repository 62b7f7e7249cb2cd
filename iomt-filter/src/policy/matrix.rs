//! The rule matrix: which rule answers for a class of peers and a class of services.
//!
//! Rules are added in the order in which they are numbered, then the rows are filled: the first rule
//! in a cell stays. The program looks into the cells of a packet's classes and of `any`, and takes the
//! lowest number, so a cell with a wildcard needs no copies.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use iomt_filter_common::abi::{
    MANAGEMENT_PROFILE, MAX_PEER_CLASSES, PEER_ANY, PEER_PROFILE, PeerClass, SERVICE_ANY,
};
use iomt_filter_common::policy::{self as table, RuleDirection};
use ipnet::{IpNet, Ipv4Net};

use super::classes::{Classes, classify};
use super::compile::networks;
use super::error::{MAX_RULE_CELLS, Problem};
use super::model::{Grant, Management, Rule};
use super::overlap;
use super::peer::{Peers, mapped_range};
use super::service::{PortRange, Services, prefixes};
use crate::diagnostic::{Diagnostic, Place};
use crate::rows::{GrantCell, Prefix, Rows, RuleCell, ServicePrefix};

/// Rules on their way into the matrix.
pub(super) struct Matrix<'p> {
    gateway: &'p [IpAddr],
    entries: Vec<Entry<'p>>,
    grants: Vec<(u32, u64, Entry<'p>)>,
    networks: Sets<Vec<IpNet>>,
    ranges: Sets<Vec<PortRange>>,
}

/// A rule by what its peers and services are called in the matrix.
struct Entry<'p> {
    profile: u16,
    direction: RuleDirection,
    any_peer: bool,
    profiles: Vec<u16>,
    networks: Option<usize>,
    /// `None` for any service.
    ranges: Option<usize>,
    /// Groups at which its services are asked for, and those services.
    broadcasts: Vec<(usize, usize)>,
    name: &'p str,
    /// The rule, unless it is a management pair.
    rule: Option<&'p Rule>,
}

/// Sets by index; equal ones are one.
struct Sets<S>(HashMap<S, usize>, Vec<S>);

impl<S: Clone + Eq + std::hash::Hash> Sets<S> {
    fn index(&mut self, set: S) -> usize {
        let next = self.1.len();
        *self.0.entry(set).or_insert_with_key(|set| {
            self.1.push(set.clone());
            next
        })
    }
}

impl<'p> Matrix<'p> {
    pub(super) fn new(gateway: &'p [IpAddr]) -> Self {
        let (networks, ranges) = (Sets(HashMap::new(), Vec::new()), Sets(HashMap::new(), Vec::new()));
        Self { gateway, entries: Vec::new(), grants: Vec::new(), networks, ranges }
    }

    pub(super) fn add_rule(&mut self, profile: u16, rule: &'p Rule, numbers: &BTreeMap<&str, u16>) {
        let entry = self.entry(&rule.peers, &rule.services, &rule.name);
        let entry = self.directed(entry, rule.direction, &rule.peers, &rule.services, numbers);
        self.entries.push(Entry { profile, rule: Some(rule), ..entry });
    }

    /// Grants are numbered behind all rules, so that a grant renames none of them.
    pub(super) fn add_grant(
        &mut self,
        device: u32,
        grant: &'p Grant,
        peers: &Peers,
        services: &Services,
        numbers: &BTreeMap<&str, u16>,
    ) {
        let entry = self.entry(peers, services, &grant.name);
        let entry = self.directed(entry, grant.direction, peers, services, numbers);
        self.grants.push((device, grant.expires, entry));
    }

    /// What only an entry has that is no management pair: its direction, profiles, and the groups at which
    /// the servers of `to` are asked for.
    fn directed(
        &mut self,
        entry: Entry<'p>,
        direction: RuleDirection,
        peers: &Peers,
        services: &Services,
        numbers: &BTreeMap<&str, u16>,
    ) -> Entry<'p> {
        let named = peers.profiles.iter();
        let profiles = named.filter_map(|name| numbers.get(name.as_str()).copied()).collect();
        let asks = direction == RuleDirection::To && !peers.any;
        let asked = services.broadcasts.iter().filter(|_| asks);
        let broadcasts = asked
            .map(|broadcast| {
                let group = self.networks.index(vec![IpNet::from(broadcast.group())]);
                (group, self.ranges.index(vec![broadcast.range()]))
            })
            .collect();
        Entry { direction, profiles, broadcasts, ..entry }
    }

    pub(super) fn add_management(&mut self, pair: &'p Management) {
        let entry = self.entry(&pair.peers, &pair.services, &pair.name);
        self.entries.push(entry);
    }

    fn entry(&mut self, peers: &Peers, services: &Services, name: &'p str) -> Entry<'p> {
        let networks = networks(peers, self.gateway);
        let needs_networks = !peers.any && !networks.is_empty();
        Entry {
            profile: MANAGEMENT_PROFILE,
            direction: RuleDirection::From,
            any_peer: peers.any,
            profiles: Vec::new(),
            networks: needs_networks.then(|| self.networks.index(networks)),
            ranges: (!services.any).then(|| self.ranges.index(services.ranges.clone())),
            broadcasts: Vec::new(),
            name,
            rule: None,
        }
    }

    /// Fills peers, services, rules and their names.
    pub(super) fn fill(
        self,
        segments: &[IpNet],
        place: &Place,
        rows: &mut Rows,
        found: &mut Vec<Diagnostic>,
    ) {
        let peers = peer_classes(&self.networks.1, segments, self.gateway, place, rows, found);
        let services = service_classes(&self.ranges.1, place, rows, found);
        if found.iter().any(Diagnostic::is_error) {
            return;
        }
        for (number, entry) in (1..).zip(&self.entries) {
            rows.names.rules.insert(number, entry.name.to_owned());
            let mut taken_by = None;
            let mut has_own = false;
            for cell in entry.cells(&peers, &services) {
                match rows.rules.get(&cell) {
                    Some(&earlier) => taken_by = Some(earlier),
                    None => {
                        rows.rules.insert(cell, number);
                        has_own = true;
                    }
                }
            }
            if let (Some(earlier), false, Some(rule)) = (taken_by, has_own, entry.rule) {
                found.extend(self.shadowed_together(rule, earlier));
            }
            if rows.rules.len() > MAX_RULE_CELLS {
                return found.push(Problem::TooManyCells.error(place));
            }
        }
        self.fill_grants(&peers, &services, rows);
    }

    fn fill_grants(&self, peers: &[Vec<u16>], services: &[Vec<u16>], rows: &mut Rows) {
        let first = self.entries.len() as u32 + 1;
        for (rule, (device, expires, entry)) in (first..).zip(&self.grants) {
            rows.names.rules.insert(rule, entry.name.to_owned());
            for RuleCell { direction, peer, service, .. } in entry.cells(peers, services) {
                let cell = GrantCell { device: *device, direction, peer, service };
                let grant = table::Grant { expires: *expires, rule, reserved: 0 };
                let held = rows.grants.entry(cell).or_insert(grant);
                if held.expires < *expires {
                    *held = grant;
                }
            }
        }
    }

    fn shadowed_together(&self, rule: &Rule, earlier: u32) -> Option<Diagnostic> {
        let other = self.entries.get(earlier.saturating_sub(1) as usize)?.rule?;
        let diagnostic = Problem::ShadowedTogether.error(&rule.place);
        Some(diagnostic.note(format!("one of them: {}", overlap::there(other))))
    }
}

impl Entry<'_> {
    fn cells<'a>(&'a self, peers: &'a [Vec<u16>], all: &'a [Vec<u16>]) -> impl Iterator<Item = RuleCell> {
        let any_service = vec![SERVICE_ANY];
        let services = self.ranges.map_or(any_service, |set| all[set].clone());
        let mut classes = self.networks.map_or_else(Vec::new, |set| peers[set].clone());
        classes.extend(self.profiles.iter().map(|profile| PEER_PROFILE + profile));
        if self.any_peer {
            classes = vec![PEER_ANY];
        }
        let (profile, direction) = (self.profile, self.direction);
        let cells = move |classes: Vec<u16>, services: Vec<u16>| {
            classes.into_iter().flat_map(move |peer| {
                let cell = move |&service: &u16| RuleCell { profile, direction, peer, service };
                services.iter().map(cell).collect::<Vec<_>>()
            })
        };
        let broadcasts = self.broadcasts.iter();
        cells(classes, services).chain(
            broadcasts.flat_map(move |&(group, range)| cells(peers[group].clone(), all[range].clone())),
        )
    }
}

/// Fills the peers; by set of networks, the classes that it is in.
fn peer_classes(
    sets: &[Vec<IpNet>],
    segments: &[IpNet],
    gateway: &[IpAddr],
    place: &Place,
    rows: &mut Rows,
    found: &mut Vec<Diagnostic>,
) -> Vec<Vec<u16>> {
    let (segment, own, single) = (sets.len(), sets.len() + 1, sets.len() + 2);
    let mut all = sets.to_vec();
    all.push(segments.to_vec());
    all.push(gateway.iter().copied().map(IpNet::from).collect());
    let is_single = |network: &IpNet| network.prefix_len() == network.max_prefix_len();
    all.push(sets.iter().flatten().copied().filter(is_single).collect());
    let classes = classify(&all);
    // Being in a segment, or this host's own, or named by itself, is a flag, no class of its own.
    let mut numbers = HashMap::from([(Vec::new(), 0u16)]);
    let mut values = Vec::with_capacity(classes.sets.len());
    let mut members = vec![Vec::new(); sets.len()];
    for holds in &classes.sets {
        let named: Vec<usize> = holds.iter().copied().filter(|&set| set < segment).collect();
        let next = numbers.len();
        if next >= usize::from(MAX_PEER_CLASSES) {
            found.push(Problem::TooManyPeers(classes.sets.len()).error(place));
            return members;
        }
        let class = *numbers.entry(named).or_insert_with_key(|named| {
            named.iter().for_each(|&set| members[set].push(next as u16));
            next as u16
        });
        let has = |set| u8::from(holds.contains(&set));
        values.push(PeerClass {
            class,
            in_segment: has(segment),
            is_own: has(own),
            is_named: has(single),
            ..PeerClass::default()
        });
    }
    fill_peers(&classes, &values, rows);
    members
}

fn fill_peers(classes: &Classes<IpNet>, values: &[PeerClass], rows: &mut Rows) {
    for (&network, &class) in &classes.rows {
        rows.peers.insert(Prefix::from(network), values[class]);
    }
    let is_wide = |network: &IpNet| matches!(network, IpNet::V6(v6) if v6.contains(&mapped_range()));
    if classes.rows.keys().any(is_wide) {
        // In the 128-bit form `::/0` would hold IPv4 too, and nobody means that.
        let all_v4 = Prefix::from(IpNet::V4(Ipv4Net::default()));
        rows.peers.entry(all_v4).or_default();
    }
}

/// Fills the services; by set of ranges, the classes that it is in.
fn service_classes(
    sets: &[Vec<PortRange>],
    place: &Place,
    rows: &mut Rows,
    found: &mut Vec<Diagnostic>,
) -> Vec<Vec<u16>> {
    let split = |set: &Vec<PortRange>| set.iter().copied().flat_map(prefixes).collect();
    let sets: Vec<Vec<ServicePrefix>> = sets.iter().map(split).collect();
    let classes = classify(&sets);
    let mut members = vec![Vec::new(); sets.len()];
    if classes.sets.len() >= usize::from(SERVICE_ANY) {
        found.push(Problem::TooManyServices(classes.sets.len()).error(place));
        return members;
    }
    for (class, holds) in (0u16..).zip(&classes.sets) {
        holds.iter().for_each(|&set| members[set].push(class));
    }
    let numbered = classes.rows.into_iter().map(|(prefix, class)| (prefix, class as u16));
    rows.services.extend(numbered);
    members
}
