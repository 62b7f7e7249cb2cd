//! A profile as a MUD file, with a binding file beside it.
//!
//! Endpoints of the policy become `controller`s, profiles `model`s, addresses stay what they are; the bindings say who
//! is meant. Each rule has an entry for what it opens and one for the answers, in both versions of IP. What MUD has no
//! word for is named.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;
use url::Url;

use super::document::{Ace, Actions, Class, Container, Document, Header, Icmp, Matches, Port, Transport};
use super::entry::Families;
use crate::bindings::Bindings;
use crate::contacts::Direction;
use crate::policy::peer;
use crate::policy::service::{ICMP, ICMPV6, PortRange, SCTP, TCP, UDP};
use crate::policy::source::{ProfileSource, RuleSource};
use crate::policy::{Vocabulary, limits::Limits};

/// Classes that RFC 8520 §17.7 names, and the port that tells who belongs to them.
const CLASSES: [(&str, u16); 2] = [("urn:ietf:params:mud:dns", 53), ("urn:ietf:params:mud:ntp", 123)];
/// Characters of a name that goes into others: names have 64 at most.
const LONGEST: usize = 32;

/// What is exported, and how.
#[derive(Clone, Copy, Debug)]
pub struct Exporting<'e> {
    /// The profile, as a policy writes it.
    pub profile: &'e ProfileSource,
    /// The names that the policy gives.
    pub vocabulary: &'e Vocabulary,
    /// `mud-url`.
    pub url: &'e str,
    /// `systeminfo`.
    pub systeminfo: &'e str,
    /// `last-update`.
    pub last_update: Timestamp,
    /// `cache-validity`, in hours.
    pub cache_validity: u8,
    /// `is-supported`.
    pub is_supported: bool,
}

/// A profile as a MUD file.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    /// The file.
    pub mud: serde_json::Value,
    /// The same as a text, in the order of RFC 8520.
    #[serde(skip)]
    pub text: String,
    /// Who stands behind its classes, as a file.
    pub bindings: String,
    /// Rules, or parts of them, that MUD has no word for.
    pub left_out: Vec<String>,
    /// What else it does not say.
    pub notes: Vec<String>,
}

/// Why nothing is exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The URL.
    #[error("`{0}` is no URL that begins with `https://`, as a MUD URL does")]
    Url(String),
    /// JSON.
    #[error("failed to write it as JSON")]
    Json(#[from] serde_json::Error),
}

/// Makes a file of a profile.
///
/// # Errors
/// When the URL is none of a MUD file.
pub fn export(exporting: &Exporting<'_>) -> Result<Exported, ExportError> {
    let wrong = || ExportError::Url(exporting.url.to_owned());
    let url = Url::parse(exporting.url).map_err(|_| wrong())?;
    if url.scheme() != "https" || url.host_str().is_none() {
        return Err(wrong());
    }
    let name = &exporting.profile.name.value;
    let mud = Container {
        mud_version: 1,
        mud_url: exporting.url.to_owned(),
        last_update: exporting.last_update.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        cache_validity: exporting.cache_validity,
        is_supported: exporting.is_supported,
        systeminfo: exporting.systeminfo.to_owned(),
        ..Container::default()
    };
    let mut writer = Writer {
        exporting,
        url,
        list: slug(name),
        document: Document { mud, ..Document::default() },
        bindings: Bindings::default(),
        classes: BTreeMap::new(),
        left_out: Vec::new(),
        notes: Vec::new(),
        entries: 0,
    };
    writer.classes = writer.classes();
    for rule in &exporting.profile.rules {
        writer.rule(rule);
    }
    writer.settings();
    let Writer { document, bindings, left_out, notes, .. } = writer;
    Ok(Exported {
        mud: serde_json::to_value(&document)?,
        text: serde_json::to_string_pretty(&document)?,
        bindings: if bindings.is_empty() { String::new() } else { bindings.text() },
        left_out,
        notes,
    })
}

/// The other end of an entry.
#[derive(Clone, Debug)]
enum Peer {
    Any,
    Network(IpNet),
    Class(Class),
}

struct Writer<'e> {
    exporting: &'e Exporting<'e>,
    url: Url,
    list: String,
    document: Document,
    bindings: Bindings,
    /// Classes of RFC 8520 by the endpoint that alone belongs to them.
    classes: BTreeMap<String, &'static str>,
    left_out: Vec<String>,
    notes: Vec<String>,
    entries: usize,
}

impl Writer<'_> {
    /// Endpoints that alone are asked for names, or for the time.
    fn classes(&self) -> BTreeMap<String, &'static str> {
        let mut classes = BTreeMap::new();
        for (class, port) in CLASSES {
            let mut peers = BTreeSet::new();
            for rule in &self.exporting.profile.rules {
                let (Some(to), Some(services)) = (&rule.to, self.services(rule)) else { continue };
                if services.iter().any(|range| (range.protocol, range.first, range.last) == (UDP, port, port))
                {
                    peers.extend(to.iter().map(|text| text.value.as_str()));
                }
            }
            if let (Some(only), 1) = (peers.first(), peers.len())
                && self.exporting.vocabulary.endpoints.contains_key(*only)
            {
                classes.entry((*only).to_owned()).or_insert(class);
            }
        }
        classes
    }

    /// What a rule is about; nothing for `any`.
    fn services(&self, rule: &RuleSource) -> Option<Vec<PortRange>> {
        let texts: Vec<String> = rule.service.iter().flatten().map(|text| text.value.clone()).collect();
        let services = self.exporting.vocabulary.services(&texts).ok()?;
        (!services.any).then_some(services.ranges)
    }

    fn rule(&mut self, rule: &RuleSource) {
        let (direction, peers) = match (&rule.to, &rule.from) {
            (Some(peers), _) => (Direction::FromDevice, peers),
            (None, Some(peers)) => (Direction::ToDevice, peers),
            (None, None) => return,
        };
        let services = self.services(rule);
        for text in peers {
            let (peer, families) = self.peer(&text.value);
            let word = &text.value;
            match &services {
                None => {
                    self.pair(direction, word, &peer, families, None);
                    self.note(format!(
                        "`{word}`, any service: MUD can tell answers of TCP alone from what is opened, so no others are let back"
                    ));
                }
                Some(ranges) => {
                    ranges.iter().for_each(|range| self.pair(direction, word, &peer, families, Some(*range)))
                }
            }
        }
    }

    /// The other end, and the versions of IP that it has; its class is bound.
    fn peer(&mut self, word: &str) -> (Peer, Families) {
        let own = &self.exporting.profile.name.value;
        if word == "any" {
            return (Peer::Any, Families::BOTH);
        }
        if let Some(profile) = word.strip_prefix("profile:") {
            let url = if profile == own {
                self.exporting.url.to_owned()
            } else {
                self.beside(&format!("{profile}.json"))
            };
            self.bindings.models.insert(url.clone(), vec![profile.to_owned()]);
            return (Peer::Class(Class::Model(url)), Families::BOTH);
        }
        let families = match self.exporting.vocabulary.endpoints.get(word) {
            Some(networks) => Families::of_all(networks),
            None => Families::BOTH,
        };
        if let Ok(network) = peer::network(word)
            && !self.exporting.vocabulary.endpoints.contains_key(word)
        {
            if is_private(&network) {
                self.note(format!(
                    "`{word}` is an address of this site: elsewhere nobody or somebody else has it"
                ));
            }
            return (Peer::Network(network), Families::of(&network));
        }
        let uri = match self.classes.get(word) {
            Some(class) => (*class).to_owned(),
            None => self.beside(&format!("controller/{word}")),
        };
        self.bindings.controllers.insert(uri.clone(), vec![word.to_owned()]);
        (Peer::Class(Class::Controller(uri)), families)
    }

    /// A URL beside that of the file.
    fn beside(&self, path: &str) -> String {
        self.url.join(path).map_or_else(|_| path.to_owned(), String::from)
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The entry for what is opened, and the one for its answers, of each version of IP.
    fn pair(
        &mut self,
        opener: Direction,
        word: &str,
        peer: &Peer,
        families: Families,
        service: Option<PortRange>,
    ) {
        let said = service.map_or_else(|| "any".to_owned(), |range| range.to_string());
        let families = match service.map(|range| range.protocol) {
            Some(ICMP) => families.and(Families::V4),
            Some(ICMPV6) => families.and(Families::V6),
            _ => Some(families),
        };
        let Some(families) = families else {
            return self.left_out.push(format!("`{word}` `{said}`: it has no address of that version of IP"));
        };
        let Some((opens, answers)) = transport(opener, service) else {
            return self.left_out.push(format!("`{word}` `{said}`: MUD knows ports of TCP and UDP alone"));
        };
        if answers.is_none() {
            self.note(format!(
                "`{word}` `{said}`: MUD cannot tell its answers from what is opened, so none are let back"
            ));
        }
        let way = |sender| if sender == Direction::FromDevice { "frdev" } else { "todev" };
        for family in
            [Families::V4, Families::V6].into_iter().filter(|family| families.and(*family).is_some())
        {
            self.entries += 1;
            let both = [(opener, Some(opens.clone())), (other(opener), answers.clone())];
            for (sender, transport) in both.into_iter().filter_map(|(sender, it)| Some((sender, it?))) {
                let matches = matches(sender, family, peer, transport);
                let name = format!("{}-{}-{}-{}", self.entries, slug(word), slug(&said), way(sender));
                let ace = Ace { name, matches, actions: Actions { forwarding: "accept" } };
                self.document.add(&self.list, sender, family, ace);
            }
        }
    }

    /// What a profile says beside its rules.
    fn settings(&mut self) {
        let ProfileSource { mode, block_score, geo, reset, fail_open, open_on_agent_loss, limits, .. } =
            self.exporting.profile;
        let set = [
            ("mode", mode.is_some()),
            ("block_score", block_score.is_some()),
            ("geo", geo.is_some()),
            ("on_block", *reset),
            ("fail", *fail_open),
            ("on_agent_loss", *open_on_agent_loss),
            ("limits", *limits != Limits::default()),
        ];
        let set: Vec<_> =
            set.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| format!("`{name}`")).collect();
        if !set.is_empty() {
            self.note(format!("MUD has no word for {} of the profile", set.join(", ")));
        }
        let is_dhcp =
            |range: PortRange| crate::policy::service::Services::of(vec![range]).broadcasts.is_empty();
        let rules = self.exporting.profile.rules.iter().filter(|rule| rule.to.is_some());
        if rules.filter_map(|rule| self.services(rule)).flatten().any(|range| !is_dhcp(range)) {
            self.note("the broadcast that asks for a DHCP server is not said: a rule here covers it, and MUD managers let DHCP pass".to_owned());
        }
    }
}

const fn other(direction: Direction) -> Direction {
    match direction {
        Direction::FromDevice => Direction::ToDevice,
        Direction::ToDevice => Direction::FromDevice,
    }
}

/// What a packet is beside its addresses.
#[derive(Clone, Debug, Default)]
struct Sent {
    protocol: Option<u8>,
    transport: Transport,
    icmp: Option<u8>,
}

/// What opens, and what answers to it as far as MUD can tell; nothing where it cannot say even what opens.
fn transport(opener: Direction, service: Option<PortRange>) -> Option<(Sent, Option<Sent>)> {
    let of_tcp = |source_port, destination_port| Sent {
        protocol: Some(TCP),
        transport: Transport { direction_initiated: Some(opener), source_port, destination_port },
        icmp: None,
    };
    let Some(PortRange { protocol, first, last }) = service else {
        return Some((Sent::default(), Some(of_tcp(None, None))));
    };
    let is_whole = first <= 1 && last == u16::MAX;
    let port = match (is_whole, first == last) {
        (true, _) => None,
        (false, true) => Some(Port::One { operator: "eq", port: first }),
        (false, false) => Some(Port::Range { lower_port: first, upper_port: last }),
    };
    let plain = Sent { protocol: Some(protocol), ..Sent::default() };
    Some(match protocol {
        TCP => (of_tcp(None, port), Some(of_tcp(port, None))),
        UDP => {
            let to = Transport { destination_port: port, ..Transport::default() };
            let from = Transport { source_port: port, ..Transport::default() };
            let answer = (!is_whole).then(|| Sent { transport: from, ..plain.clone() });
            (Sent { transport: to, ..plain }, answer)
        }
        // Echo reply.
        ICMP => (plain.clone(), Some(Sent { icmp: Some(0), ..plain })),
        ICMPV6 => (plain.clone(), Some(Sent { icmp: Some(129), ..plain })),
        SCTP if !is_whole => return None,
        _ => (plain, None),
    })
}

fn matches(sender: Direction, family: Families, peer: &Peer, sent: Sent) -> Matches {
    let Sent { protocol, transport, icmp } = sent;
    let mut header = Header { protocol, ..Header::default() };
    let mut class = None;
    match peer {
        Peer::Any => {}
        Peer::Class(of) => class = Some(of.clone()),
        Peer::Network(network) => {
            let field = match (sender, family.v4) {
                (Direction::FromDevice, true) => &mut header.destination_ipv4_network,
                (Direction::FromDevice, false) => &mut header.destination_ipv6_network,
                (Direction::ToDevice, true) => &mut header.source_ipv4_network,
                (Direction::ToDevice, false) => &mut header.source_ipv6_network,
            };
            *field = Some(network.to_string());
        }
    }
    let header = (header != Header::default()).then_some(header);
    let (ipv4, ipv6) = if family.v4 { (header, None) } else { (None, header) };
    let has_ports = transport.source_port.is_some() || transport.destination_port.is_some();
    let (tcp, udp) = match protocol {
        Some(TCP) => (Some(transport), None),
        Some(UDP) if has_ports => (None, Some(transport)),
        _ => (None, None),
    };
    Matches { mud: class, ipv4, ipv6, tcp, udp, icmp: icmp.map(|kind| Icmp { kind }) }
}

fn is_private(network: &IpNet) -> bool {
    match network {
        IpNet::V4(v4) => v4.addr().is_private() || v4.addr().is_link_local(),
        IpNet::V6(v6) => v6.addr().is_unique_local() || v6.addr().is_unicast_link_local(),
    }
}

/// A text as part of a name.
fn slug(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    text.chars().take(LONGEST).map(plain).collect()
}
