//! A file as rules of the policy.
//!
//! Of each entry is asked who opens by it, and to which ports: the answers to that need no rule here, and are only
//! looked for. What an entry narrows further than rules can is left out, or taken without that where it is asked for.

use std::collections::BTreeMap;

use super::entry::{Entry, Far, What};
use super::merge::{self, Merged, Opening};
use super::ports::Ports;
use super::read::Mud;
use super::report::{Answer, Imported, LeftOut, Rule};
use crate::bindings::{Bindings, authority};
use crate::contacts::Direction;
use crate::policy::Vocabulary;
use crate::policy::service::{ICMP, ICMPV6, PortRange, SCTP, TCP, UDP};

/// What a file is understood by.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'g> {
    /// Who stands behind its classes.
    pub bindings: &'g Bindings,
    /// Addresses of its domains.
    pub answers: &'g BTreeMap<String, Answer>,
    /// The names that the policy gives.
    pub vocabulary: &'g Vocabulary,
    /// The profile that is made of it.
    pub profile: &'g str,
    /// Whether source ports and types of ICMP are passed over.
    pub widen: bool,
}

/// How an entry is read.
enum Reading {
    /// Its sender opens these; nothing for whatever there is.
    Opens(Vec<Option<PortRange>>),
    /// Its sender answers.
    Answers,
}

/// Makes a profile of a file.
#[must_use]
pub fn import(mud: &Mud, ground: &Ground<'_>) -> Imported {
    let mut left_out = mud.left_out.clone();
    let mut notes = mud.notes.clone();
    let (mut openings, mut opening, mut answering) = (Vec::new(), Vec::new(), Vec::new());
    let mut refusing: Vec<&Entry> = Vec::new();
    for entry in &mud.entries {
        if !entry.is_accepted {
            refusing.push(entry);
            continue;
        }
        let mut leave_out = |why: String| left_out.push(LeftOut { place: entry.place.clone(), why });
        if let Some(refusal) = refusing.iter().find(|refusal| meet(refusal, entry)) {
            leave_out(format!("`{}` refuses some of it first, and rules only allow", refusal.place));
            continue;
        }
        match reading(entry, ground.widen, &mut notes) {
            Err(why) => leave_out(why),
            Ok(Reading::Answers) => answering.push(entry),
            Ok(Reading::Opens(services)) if services.is_empty() => {}
            Ok(Reading::Opens(services)) => {
                opening.push(entry);
                openings.extend(services.into_iter().map(|service| Opening {
                    direction: entry.sender,
                    far: entry.far.clone(),
                    families: entry.families,
                    service,
                    place: entry.place.clone(),
                }));
            }
        }
    }
    for answer in &answering {
        if opening.iter().any(|opened| answers(answer, opened)) {
            continue;
        }
        let place = answer.place.clone();
        if answer.opener.is_some() || matches!(answer.what, What::Icmp { .. }) {
            notes.push(format!("`{place}` allows answers alone, and nothing opens what they are to"));
        } else {
            let why =
                "it goes by the port of the sender, and answers to nothing that the file lets be opened";
            left_out.push(LeftOut { place, why: why.to_owned() });
        }
    }
    notes.extend(
        refusing
            .iter()
            .map(|refusal| format!("`{}` gets no rule: what is not allowed is refused", refusal.place)),
    );
    let unanswered = unanswered(&opening, &mud.entries);
    let Merged { rules, left_out: unresolved, notes: said } =
        merge::rules(openings, mud.about.mud_url.as_deref(), ground);
    left_out.extend(unresolved);
    notes.extend(said);
    let named = mud.names();
    let names = ground.answers.iter().filter(|(name, _)| named.contains(name.as_str()));
    let mut imported = Imported {
        profile: ground.profile.to_owned(),
        about: mud.about.escaped(),
        rules,
        left_out,
        warnings: Vec::new(),
        notes,
        names: names.map(|(name, answer)| (name.clone(), answer.clone())).collect(),
        policy: String::new(),
    };
    imported.warnings = warnings(mud, &imported, unanswered);
    imported.written()
}

/// What the ports of an entry are, from its sender: those of the other end, and its own.
fn ends(sender: Direction, what: &What) -> Option<(u8, &Ports, &Ports)> {
    match (what, sender) {
        (What::Ports { protocol, own, far }, Direction::FromDevice) => Some((*protocol, far, own)),
        (What::Ports { protocol, own, far }, Direction::ToDevice) => Some((*protocol, own, far)),
        _ => None,
    }
}

fn reading(entry: &Entry, widen: bool, notes: &mut Vec<String>) -> Result<Reading, String> {
    let place = &entry.place;
    match &entry.what {
        What::Any => Ok(Reading::Opens(vec![None])),
        What::Protocol(protocol) => {
            let (first, last) = if *protocol == SCTP { (1, u16::MAX) } else { (0, 0) };
            Ok(Reading::Opens(vec![Some(PortRange { protocol: *protocol, first, last })]))
        }
        What::Icmp { kind, code } => {
            let protocol = if entry.families.v4 { ICMP } else { ICMPV6 };
            let range = PortRange { protocol, first: 0, last: 0 };
            match (kind, code) {
                (None, None) => Ok(Reading::Opens(vec![Some(range)])),
                (Some(kind), _) if is_answer(protocol, *kind) => Ok(Reading::Answers),
                (Some(133..=137), _) if protocol == ICMPV6 => {
                    notes.push(format!("`{place}` gets no rule: neighbour discovery passes without one"));
                    Ok(Reading::Opens(Vec::new()))
                }
                _ if widen => {
                    notes.push(format!("`{place}` is taken for every type of ICMP"));
                    Ok(Reading::Opens(vec![Some(range)]))
                }
                _ => Err("it is of one type of ICMP; `--widen` takes it for all of them".to_owned()),
            }
        }
        What::Ports { .. } => {
            let Some((protocol, there, here)) = ends(entry.sender, &entry.what) else {
                return Ok(Reading::Answers);
            };
            let is_answer = match entry.opener {
                Some(opener) => opener != entry.sender,
                None => there.is_any() && !here.is_any(),
            };
            if is_answer {
                return Ok(Reading::Answers);
            }
            if !here.is_any() {
                if !widen {
                    return Err(
                        "it goes by the source port too; `--widen` takes it for all of them".to_owned()
                    );
                }
                notes.push(format!("`{place}` is taken for every source port"));
            }
            let ranges: Vec<_> = there.0.iter().filter(|(_, last)| *last > 0).collect();
            if ranges.is_empty() {
                return Err("it is of port 0, which no rule can name".to_owned());
            }
            let range =
                |(first, last): &(u16, u16)| PortRange { protocol, first: (*first).max(1), last: *last };
            Ok(Reading::Opens(ranges.into_iter().map(|ports| Some(range(ports))).collect()))
        }
    }
}

/// Echo replies and errors, which a rule for what they are about covers.
const fn is_answer(protocol: u8, kind: u8) -> bool {
    match protocol {
        ICMP => matches!(kind, 0 | 3 | 11 | 12),
        _ => matches!(kind, 1..=4 | 129),
    }
}

/// Whether an entry lets answers to what another opens pass.
fn answers(answer: &Entry, opened: &Entry) -> bool {
    let is_back = answer.sender != opened.sender
        && answer.far == opened.far
        && answer.families.and(opened.families).is_some()
        && answer.opener.is_none_or(|opener| opener == opened.sender);
    is_back
        && match (&answer.what, &opened.what) {
            (What::Any, _) => true,
            // A list for TCP alone is the most that can be said back of what may be anything.
            (_, What::Any) => answer.opener.is_some(),
            (What::Icmp { .. }, What::Icmp { .. }) => true,
            (What::Protocol(one), What::Protocol(other)) => one == other,
            (one, other) => match (ends(answer.sender, one), ends(opened.sender, other)) {
                (Some((a, _, from)), Some((b, to, _))) => a == b && from.meet(to) && from.cover(to),
                _ => false,
            },
        }
}

/// The entries whose answers nothing in the file lets pass.
fn unanswered<'e>(opening: &[&'e Entry], entries: &[Entry]) -> Vec<&'e Entry> {
    let is_answered =
        |opened: &Entry| entries.iter().any(|answer| answer.is_accepted && answers(answer, opened));
    opening.iter().filter(|opened| !is_answered(opened)).copied().collect()
}

/// Whether some packet could be meant by both.
fn meet(one: &Entry, other: &Entry) -> bool {
    let far = match (&one.far, &other.far) {
        (Far::Network(a), Far::Network(b)) => a.contains(b) || b.contains(a),
        _ => true,
    };
    let opener = one.opener.zip(other.opener).is_none_or(|(a, b)| a == b);
    let what = match (&one.what, &other.what) {
        (What::Any, _) | (_, What::Any) => true,
        (What::Protocol(a), What::Protocol(b)) => a == b,
        (What::Icmp { kind: a, .. }, What::Icmp { kind: b, .. }) => a.zip(*b).is_none_or(|(a, b)| a == b),
        (What::Ports { protocol: a, own, far }, What::Ports { protocol: b, own: own_b, far: far_b }) => {
            a == b && own.meet(own_b) && far.meet(far_b)
        }
        _ => false,
    };
    one.sender == other.sender && one.families.and(other.families).is_some() && far && opener && what
}

fn is_everything(rule: &Rule) -> bool {
    let is_everybody = |peer: &String| ["any", "0.0.0.0/0", "::/0"].contains(&peer.as_str());
    rule.peers.iter().any(is_everybody) && rule.services == ["any"]
}

/// What would keep the device from its work, and what its maker says of it.
fn warnings(mud: &Mud, imported: &Imported, unanswered: Vec<&Entry>) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |text: String| warnings.push(text);
    if imported.about.is_supported == Some(false) {
        warn("its maker does not support this device any more".to_owned());
    }
    match &mud.about.mud_url {
        None => warn("it has no `mud-url`, so nobody can say whose it is".to_owned()),
        Some(url) if !url.starts_with("https://") || authority(url).is_none() => {
            warn("its `mud-url` is none that begins with `https://`".to_owned());
        }
        Some(_) => {}
    }
    if imported.rules.is_empty() {
        warn("no rule came of it: enforced, the device could do nothing at all".to_owned());
        return warnings;
    }
    let opens = |protocol: u8, port: u16| {
        let of = |entry: &&Entry| entry.is_accepted && entry.sender == Direction::FromDevice;
        mud.entries.iter().filter(of).any(|entry| {
            imported.rules.iter().any(|rule| rule.entries.contains(&entry.place))
                && match ends(entry.sender, &entry.what) {
                    Some((other, there, _)) => other == protocol && there.cover(&Ports(vec![(port, port)])),
                    None => entry.what == What::Any,
                }
        })
    };
    if !opens(UDP, 53) && !opens(TCP, 53) {
        warn(match mud.names().first() {
            Some(name) => {
                format!("the device cannot ask for names, `{name}` for one: no rule allows DNS (53/udp)")
            }
            None => "the device cannot ask for names: no rule allows DNS (53/udp)".to_owned(),
        });
    }
    if !opens(UDP, 67) && !opens(UDP, 547) {
        warn("the device cannot get an address by DHCP: no rule allows that (67/udp, 547/udp)".to_owned());
    }
    if let Some(first) = unanswered.first() {
        let many = unanswered.len();
        warn(format!(
            "{many} of its entries, `{}` for one, have no entry that lets the answers pass; a rule here covers them",
            first.place
        ));
    }
    if let Some(rule) = imported.rules.iter().find(|rule| is_everything(rule)) {
        warn(format!("`{}` allows everything in its direction", rule.entries.join("`, `")));
    }
    warnings
}
