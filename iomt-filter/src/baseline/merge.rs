//! Contacts that lack a rule, as few and readable rules.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Confidence, Kind, Need, Rule, Target, service};
use crate::contacts::{Contact, Direction};
use crate::intent::Intent;
use crate::policy::service::{Broadcast, PortRange};

/// Addresses of one service in one network from which on the network stands for them.
const MANY_ADDRESSES: usize = 8;
/// The widest network that stands for addresses.
const WIDEST: [u8; 2] = [24, 64];
/// Peers that one rule names at most.
const MOST_PEERS: usize = 16;
/// Examples of a rule.
const EXAMPLES: usize = 3;

/// Who opens, the protocol and the port.
type Service = (Direction, u8, Option<u16>);
/// What peers have in common that one rule can name together: who opens, the peer where it stands alone, and what.
type Alike = (Direction, Option<Target>, BTreeSet<(u8, u16)>);
/// A peer, and what was seen of it.
type Seen<'n> = (Target, Vec<&'n Contact>);

/// Rules that cover all of `needs`: what devices open before what is opened to them, and what goes from device to
/// device last.
pub(super) fn rules(needs: &[Need], intent: &Intent) -> Vec<Rule> {
    let mut by_peer: BTreeMap<(Direction, Target), Vec<&Contact>> = BTreeMap::new();
    let networks = shared_networks(needs);
    for Need { contact, target } in needs.iter().filter(|need| !is_reached(need, needs)) {
        let target = match target {
            Target::Address(address) => {
                let service = (contact.direction, contact.protocol, contact.port);
                let shared = networks
                    .get(&service)
                    .and_then(|networks| networks.iter().find(|network| network.contains(address)).copied());
                shared.map_or(Target::Address(*address), Target::Network)
            }
            other => other.clone(),
        };
        by_peer.entry((contact.direction, target)).or_default().push(contact);
    }
    // Addresses that the same is done with go into one rule.
    let mut alike: BTreeMap<Alike, Vec<Seen<'_>>> = BTreeMap::new();
    for ((direction, target), contacts) in by_peer {
        let services = contacts.iter().map(|contact| (contact.protocol, contact.port.unwrap_or(0))).collect();
        let alone = if matches!(target, Target::Address(_)) { None } else { Some(target.clone()) };
        alike.entry((direction, alone, services)).or_default().push((target, contacts));
    }
    let mut rules = Vec::new();
    for ((direction, _, services), peers) in &alike {
        for peers in peers.chunks(MOST_PEERS) {
            rules.extend(rule(*direction, services, peers, intent));
        }
    }
    rules.sort_by(|one, other| {
        let order = |rule: &Rule| (rule.kind == Kind::Lateral, rule.direction);
        order(one).cmp(&order(other)).then(other.packets.cmp(&one.packets))
    });
    rules
}

/// Whether clients ask for a server by broadcast, and a rule that names the server allows that too.
fn is_reached(need: &Need, needs: &[Need]) -> bool {
    let Contact { direction, protocol, port, peer, .. } = &need.contact;
    let is_asked = Broadcast::ALL.into_iter().any(|broadcast| {
        let PortRange { protocol: of, first, .. } = broadcast.range();
        (*peer, *protocol, *port) == (broadcast.group(), of, Some(first))
    });
    let names_server = |Need { contact, .. }: &Need| {
        (contact.direction, contact.protocol, contact.port) == (*direction, *protocol, *port)
            && !contact.peer.is_multicast()
            && contact.peer != *peer
    };
    is_asked && *direction == Direction::FromDevice && needs.iter().any(names_server)
}

fn rule(
    direction: Direction,
    services: &BTreeSet<(u8, u16)>,
    peers: &[Seen<'_>],
    intent: &Intent,
) -> Option<Rule> {
    let (names, covers_more) = service::names(services, intent);
    let mut contacts: Vec<&Contact> = peers.iter().flat_map(|(_, contacts)| contacts).copied().collect();
    contacts.sort_by_key(|contact| std::cmp::Reverse(contact.packets));
    let devices: BTreeSet<String> = contacts.iter().map(|contact| contact.device.to_string()).collect();
    let first_seen = contacts.iter().map(|contact| contact.first_seen).min()?;
    let last_seen = contacts.iter().map(|contact| contact.last_seen).max()?;
    let packets = contacts.iter().map(|contact| contact.packets).sum();
    let widens = covers_more || peers.iter().any(|(target, _)| matches!(target, Target::Network(_)));
    let is_lateral = peers.iter().any(|(target, _)| matches!(target, Target::Profile(_)));
    let confidence = Confidence::of(packets, devices.len(), first_seen, last_seen);
    Some(Rule {
        direction,
        peers: peers.iter().map(|(target, _)| target.name()).collect(),
        services: names,
        kind: match direction {
            _ if is_lateral => Kind::Lateral,
            Direction::FromDevice => Kind::Outbound,
            Direction::ToDevice => Kind::Inbound,
        },
        confidence: if widens { confidence.min(Confidence::Medium) } else { confidence },
        examples: contacts.iter().take(EXAMPLES).map(|contact| example(contact)).collect(),
        devices,
        first_seen,
        last_seen,
        packets,
        bytes: contacts.iter().map(|contact| contact.bytes).sum(),
    })
}

/// A contact in a few words.
fn example(contact: &Contact) -> String {
    let Contact { device, peer, packets, .. } = contact;
    match contact.direction {
        Direction::FromDevice => format!("{device} to {peer} ({packets} packets)"),
        Direction::ToDevice => format!("{peer} to {device} ({packets} packets)"),
    }
}

/// By service: the networks that stand for the many addresses in them.
fn shared_networks(needs: &[Need]) -> BTreeMap<Service, Vec<IpNet>> {
    let mut addresses: BTreeMap<(Service, IpNet), BTreeSet<IpAddr>> = BTreeMap::new();
    for Need { contact, target } in needs {
        if let Target::Address(address) = target
            && !address.is_multicast()
        {
            let service = (contact.direction, contact.protocol, contact.port);
            addresses.entry((service, widest(*address))).or_default().insert(*address);
        }
    }
    let mut networks: BTreeMap<Service, Vec<IpNet>> = BTreeMap::new();
    for ((service, _), addresses) in addresses.into_iter().filter(|(_, found)| found.len() >= MANY_ADDRESSES)
    {
        networks.entry(service).or_default().extend(narrowest(&addresses));
    }
    networks
}

/// The widest network around an address that a rule may name for it.
fn widest(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(v4) => IpNet::V4(Ipv4Net::new_assert(v4, WIDEST[0]).trunc()),
        IpAddr::V6(v6) => IpNet::V6(Ipv6Net::new_assert(v6, WIDEST[1]).trunc()),
    }
}

/// The narrowest network that holds all of these, which are sorted.
fn narrowest(addresses: &BTreeSet<IpAddr>) -> Option<IpNet> {
    let (first, last) = (addresses.first()?, addresses.last()?);
    let mut network = IpNet::from(*first);
    while !network.contains(last) {
        network = network.supernet()?;
    }
    Some(network)
}
