//! Rules that allow what is vulnerable, and what is proposed for each: the narrower rule, or none.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::assess::Ground;
use super::exposure::{Watched, rule_direction};
use super::service::written;
use super::{Action, Part, Proposal, RuleProposal};
use crate::baseline::READY_AFTER_DAYS;
use crate::contacts::Direction;
use crate::policy::Vocabulary;
use crate::policy::model::{Profile, Rule};
use crate::policy::service::{PortRange, Services};

/// Far ends that a rule is made of at most; of more, somebody makes an endpoint.
const MOST_PEERS: usize = 24;

/// What is vulnerable of the services of a profile: who opens, protocol and port, and for which vulnerabilities.
type Vulnerable = BTreeMap<(Direction, (u8, u16)), BTreeSet<String>>;

/// What is proposed for the rules of all profiles.
#[derive(Debug)]
pub(super) struct Rules<'g> {
    profiles: BTreeMap<&'g str, &'g Profile>,
    /// By the name of the rule.
    proposed: BTreeMap<&'g str, Vec<RuleProposal>>,
}

impl<'g> Rules<'g> {
    /// Of what is vulnerable.
    pub(super) fn of<'v>(
        ground: &Ground<'g>,
        watched: &Watched<'g>,
        vulnerable: impl Iterator<Item = (&'g str, Direction, (u8, u16), &'v str)>,
    ) -> Self {
        let mut of_profile: BTreeMap<&'g str, Vulnerable> = BTreeMap::new();
        for (profile, direction, port, name) in vulnerable {
            let names = of_profile.entry(profile).or_default().entry((direction, port)).or_default();
            if !names.contains(name) {
                names.insert(name.to_owned());
            }
        }
        let intent = ground.judged.intent;
        let numbers: HashMap<&str, u32> =
            intent.rows.names.rules.iter().map(|(number, name)| (name.as_str(), *number)).collect();
        let mut rules = Self { profiles: BTreeMap::new(), proposed: BTreeMap::new() };
        let Some((policy, ..)) = intent.sources() else { return rules };
        for (name, vulnerable) in &of_profile {
            let Some(profile) = policy.profile(name) else { continue };
            rules.profiles.insert(name, profile);
            let mut proposed = Vec::new();
            for rule in &profile.rules {
                let number = numbers.get(rule.name.as_str()).copied().unwrap_or(0);
                proposed.extend(of_rule(name, rule, number, vulnerable, watched, &intent.vocabulary));
            }
            if !proposed.is_empty() {
                rules.proposed.insert(name, proposed);
            }
        }
        rules
    }

    /// What is proposed, by profile.
    pub(super) fn proposals(&self) -> Vec<Proposal> {
        let of_profile = |(profile, rules): (&&str, &Vec<RuleProposal>)| Proposal {
            profile: (*profile).to_owned(),
            rules: rules.clone(),
        };
        self.proposed.iter().map(of_profile).collect()
    }

    /// The rules of a profile that allow a port to some far end.
    pub(super) fn allowing(&self, profile: &str, direction: Direction, port: (u8, u16)) -> Vec<&'g Rule> {
        let rules = self.profiles.get(profile).into_iter().flat_map(|profile| &profile.rules);
        rules.filter(|rule| allows(rule, direction, port)).collect()
    }

    /// What is proposed for some rules, in words.
    pub(super) fn said(&self, rules: &[&Rule]) -> String {
        let all = self.proposed.values().flatten();
        let said = all.filter(|proposed| rules.iter().any(|rule| rule.name == proposed.rule));
        said.map(|proposed| proposed.why.clone()).collect::<Vec<_>>().join("; ")
    }
}

fn allows(rule: &Rule, direction: Direction, (protocol, port): (u8, u16)) -> bool {
    let of_port = Services::of(vec![PortRange { protocol, first: port, last: port }]);
    rule.direction == rule_direction(direction) && rule.services.meets(&of_port)
}

fn of_rule<'g>(
    profile: &'g str,
    rule: &Rule,
    number: u32,
    vulnerable: &Vulnerable,
    watched: &Watched<'g>,
    vocabulary: &Vocabulary,
) -> Option<RuleProposal> {
    let mut direction = None;
    let mut is_used_once = false;
    let mut parts = Vec::new();
    for (&(way, (protocol, port)), vulnerabilities) in vulnerable {
        if allows(rule, way, (protocol, port)) {
            direction = Some(way);
            is_used_once |= watched.is_used_once(profile, (way, protocol, port), number);
            parts.push(Part {
                service: written(protocol, port),
                protocol,
                port,
                peers: watched.peers(profile, (way, protocol, port), number),
                vulnerabilities: vulnerabilities.clone(),
            });
        }
    }
    let direction = direction?;
    let (action, mut why) = action(profile, rule, &parts, watched, vocabulary);
    if is_used_once && matches!(action, Action::Remove | Action::Narrow) {
        why.push_str(" (far ends that were seen once do not count)");
    }
    let index = rule.name.split_once('[').and_then(|(_, rest)| rest.split_once(']')?.0.parse().ok())?;
    Some(RuleProposal { rule: rule.name.clone(), index, direction, parts, action, why })
}

/// What is to be done about a rule, and why.
fn action(
    profile: &str,
    rule: &Rule,
    parts: &[Part],
    watched: &Watched<'_>,
    vocabulary: &Vocabulary,
) -> (Action, String) {
    let name = &rule.name;
    let Some((since, until)) = watched.since(profile) else {
        let why = format!(
            "look at `{name}`: nothing is known of what devices of `{profile}` did, so nobody can say whom it may be left to"
        );
        return (Action::Review, why);
    };
    let services =
        |parts: &[&Part]| parts.iter().map(|part| part.service.as_str()).collect::<Vec<_>>().join(", ");
    let days = since.duration_until(until).as_hours() / 24;
    let since = match days < READY_AFTER_DAYS {
        true => format!("{}, which is only {days} days", since.strftime("%Y-%m-%d")),
        false => since.strftime("%Y-%m-%d").to_string(),
    };
    let used: Vec<&Part> = parts.iter().filter(|part| !part.peers.is_empty()).collect();
    if let Some(part) = used.iter().find(|part| part.peers.len() > MOST_PEERS) {
        let why = format!(
            "look at `{name}`: {} far ends used {} through it; make an endpoint of those that have to",
            part.peers.len(),
            part.service
        );
        return (Action::Review, why);
    }
    if used.is_empty() {
        let all: Vec<&Part> = parts.iter().collect();
        let why = format!("take {} out of `{name}`: nobody used it since {since}", services(&all));
        return (Action::Remove, why);
    }
    let is_as_wide =
        |part: &Part| vocabulary.peers(&part.peers).is_ok_and(|peers| peers.contains(&rule.peers));
    if parts.iter().all(is_as_wide) {
        return (Action::Keep, format!("none, `{name}` is as narrow as what was seen"));
    }
    let peers: BTreeSet<&str> = used.iter().flat_map(|part| &part.peers).map(String::as_str).collect();
    let peers = peers.into_iter().collect::<Vec<_>>().join(", ");
    let why = format!("leave {} in `{name}` to those who used it since {since}: {peers}", services(&used));
    (Action::Narrow, why)
}
