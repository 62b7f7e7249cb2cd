//! Contacts as they come, sorted into what a rule allows, what could have one, and what gets none.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iomt_filter_common::Tables as _;
use iomt_filter_common::policy::{Mode, RuleDirection, Service};
use iomt_filter_common::reputation::Listing;
use jiff::Timestamp;
use thiserror::Error;

use super::{Ground, LeftOut, Need, Profile, Proposal, Scope, Target, Use, merge, scan, service};
use crate::contacts::{Contact, Direction};
use crate::judge::{Memory, RowsTables};
use crate::nearest::did_you_mean;
use crate::plan::{Judge, Talk, Turned};
use crate::policy;
use crate::rows::{Prefix, Prefixes};

/// Contacts that get no rule and are told one by one at most, a profile.
const MOST_LEFT_OUT: usize = 1_000;

/// Contacts of one proposal, as they come.
#[derive(Debug)]
pub struct Gathering<'g> {
    pub(super) ground: Ground<'g>,
    pub(super) scope: Scope,
    judge: Judge<'g>,
    memory: Memory,
    endpoints: Prefixes<&'g str>,
    pub(super) devices: HashMap<&'g str, Device<'g>>,
    pub(super) profiles: BTreeMap<&'g str, Gathered>,
    /// By device: when it was seen first and last.
    pub(super) seen: HashMap<String, (Timestamp, Timestamp)>,
    heard: usize,
    not_judged: usize,
}

/// Why nobody's contacts count.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScopeError {
    /// No device has the profile.
    #[error("no device has the profile `{0}`; {1}")]
    Profile(String, String),
    /// No device has the name, or one that the pattern matches, and the profile.
    #[error("no device is called `{0}`; {1}")]
    Device(String, String),
}

/// A device of the inventory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Device<'g> {
    /// Its profile.
    pub(super) profile: &'g str,
    /// The number of that.
    number: u16,
    /// Its mode.
    pub(super) mode: Mode,
}

/// What was gathered of a profile.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    told: Profile,
    pub(super) needs: Vec<Need>,
    used: BTreeMap<u32, (u64, Timestamp)>,
}

/// What becomes of a contact.
enum Sorted {
    /// A rule allows it.
    Allowed(u32),
    /// It needs none.
    Passes,
    /// It could have one.
    Needs(Target),
    /// It gets none.
    Refused(String),
}

impl<'g> Gathering<'g> {
    /// Begins one.
    #[must_use]
    pub fn begin(ground: Ground<'g>, scope: Scope) -> Self {
        let rows = &ground.intent.rows;
        let device = |(number, name): (&u32, &'g String)| {
            let row = rows.devices.get(number)?;
            let profile = rows.names.profiles.get(&row.profile)?;
            let mode = Mode::from_number(row.mode);
            Some((name.as_str(), Device { profile, number: row.profile, mode }))
        };
        let endpoints = ground.intent.vocabulary.endpoints.iter();
        let endpoints =
            endpoints.flat_map(|(name, networks)| networks.iter().map(move |it| (*it, name.as_str())));
        Self {
            judge: Judge::new(ground.intent, ground.leases, ground.now),
            memory: Memory::default(),
            endpoints: endpoints.map(|(network, name)| (Prefix::from(network), name)).collect(),
            devices: rows.names.devices.iter().filter_map(device).collect(),
            ground,
            scope,
            profiles: BTreeMap::new(),
            seen: HashMap::new(),
            heard: 0,
            not_judged: 0,
        }
    }

    /// Whether there is anybody whose contacts count.
    ///
    /// # Errors
    /// When there is not, with what there is.
    pub fn check(&self) -> Result<(), ScopeError> {
        if self.devices.iter().any(|(device, known)| self.scope.has(device, known.profile)) {
            return Ok(());
        }
        if let Some(profile) = &self.scope.profile {
            let known = self.devices.values().map(|device| device.profile);
            if !known.clone().any(|known| known == profile) {
                return Err(ScopeError::Profile(
                    profile.clone(),
                    did_you_mean(profile, known.collect::<BTreeSet<_>>()),
                ));
            }
        }
        let device = self.scope.device.clone().unwrap_or_default();
        let known = self.devices.keys().copied().collect::<BTreeSet<_>>();
        Err(ScopeError::Device(device.clone(), did_you_mean(&device, known)))
    }

    /// Hears of a contact.
    pub fn hear(&mut self, contact: Contact) {
        let Some(&Device { profile: name, number: profile, .. }) = self.devices.get(&*contact.device) else {
            self.not_judged += usize::from(self.scope.profile.is_none());
            return;
        };
        if !self.scope.has(&contact.device, name) {
            return;
        }
        self.heard += 1;
        let Some(sorted) = self.sort(&contact, profile) else {
            self.not_judged += 1;
            return;
        };
        let span = (contact.first_seen, contact.last_seen);
        let seen = self.seen.entry(contact.device.to_string()).or_insert(span);
        *seen = (seen.0.min(span.0), seen.1.max(span.1));
        let gathered = self.profiles.entry(name).or_default();
        let told = &mut gathered.told;
        told.devices.insert(contact.device.to_string());
        told.first_seen = Some(told.first_seen.map_or(contact.first_seen, |at| at.min(contact.first_seen)));
        told.last_seen = told.last_seen.max(Some(contact.last_seen));
        match sorted {
            Sorted::Passes => {}
            Sorted::Allowed(rule) => {
                let used = gathered.used.entry(rule).or_insert((0, contact.last_seen));
                *used = (used.0 + contact.packets, used.1.max(contact.last_seen));
            }
            Sorted::Needs(target) => gathered.needs.push(Need { contact, target }),
            Sorted::Refused(why) => told.left_out.push(left_out(&contact, &self.ground, why)),
        }
    }

    /// What becomes of a contact; nothing where nobody can say.
    fn sort(&self, contact: &Contact, profile: u16) -> Option<Sorted> {
        let said = self.judge.say(&Talk::from(contact.clone()))?;
        if said.reason == "management" {
            return Some(Sorted::Passes);
        }
        if let Some(why) = self.refusal(contact, &said) {
            return Some(Sorted::Refused(why));
        }
        let rows = &self.ground.intent.rows;
        let held = self.judge.holder(contact.peer).and_then(|name| self.devices.get(name));
        let tables = RowsTables::new(rows, &self.memory, 1);
        let direction = match contact.direction {
            Direction::FromDevice => RuleDirection::To,
            Direction::ToDevice => RuleDirection::From,
        };
        let service = Service::of(contact.protocol, contact.port.unwrap_or(0));
        let peer_profile = held.map_or(0, |held| held.number);
        if let Some(rule) = tables.rule(profile, direction, contact.peer.into(), peer_profile, service) {
            return Some(Sorted::Allowed(rule));
        }
        if said.reason == "allowed" && held.is_none() {
            // By a grant.
            return Some(Sorted::Passes);
        }
        let is_own = rows.peer(contact.peer.into()).is_own != 0;
        Some(Sorted::Needs(match held {
            Some(held) => Target::Profile(held.profile.to_owned()),
            None if is_own => Target::Gateway,
            None => match self.endpoints.longest(contact.peer.into()) {
                Some(name) => Target::Endpoint((*name).to_owned()),
                None => Target::Address(contact.peer),
            },
        }))
    }

    /// Why a contact gets no rule, whatever it was for.
    fn refusal(&self, contact: &Contact, said: &Turned) -> Option<String> {
        let rows = &self.ground.intent.rows;
        match said.reason.as_str() {
            "allowed" | "not-allowed" | "no-flow" | "learned" | "rate-limit" => {}
            "blocklist" | "geo" => return Some(said.why.clone()),
            other => return Some(format!("`{other}`: {}", said.why)),
        }
        let listing = rows.listing(contact.peer.into());
        (listing != Listing::NONE).then(|| {
            let feed = rows.names.feeds.get(&listing.feed).map_or("a list", String::as_str);
            format!("`{feed}` lists it, with score {}", listing.score)
        })
    }

    /// What is proposed, of contacts of `since` and later.
    #[must_use]
    pub fn end(self, since: Timestamp) -> Proposal {
        let Self { ground, profiles, heard, not_judged, .. } = self;
        let name = |contact: &Contact| service_of(contact, &ground);
        let mut proposal =
            Proposal { since, contacts: heard, not_judged, profiles: Vec::new(), warnings: Vec::new() };
        for (profile, Gathered { mut told, mut needs, used }) in profiles {
            profile.clone_into(&mut told.name);
            told.left_out.extend(scan::take_out(&mut needs, name));
            told.left_out.sort_by_key(|left| std::cmp::Reverse(left.last_seen));
            if told.left_out.len() > MOST_LEFT_OUT {
                let more = told.left_out.len() - MOST_LEFT_OUT;
                proposal.warnings.push(format!("{more} more contacts of `{profile}` get no rule"));
                told.left_out.truncate(MOST_LEFT_OUT);
            }
            told.rules = merge::rules(&needs, ground.intent);
            told.in_force = in_force(profile, &used, &ground);
            told.mode = profile_of(profile, &ground).map_or("", |profile| profile.mode.name()).to_owned();
            proposal.profiles.push(told);
        }
        proposal
    }
}

/// The rules of a profile, and what they were used for.
fn in_force(profile: &str, used: &BTreeMap<u32, (u64, Timestamp)>, ground: &Ground<'_>) -> Vec<Use> {
    let names = &ground.intent.rows.names.rules;
    let used: BTreeMap<&str, &(u64, Timestamp)> =
        used.iter().filter_map(|(number, used)| Some((names.get(number)?.as_str(), used))).collect();
    let rules = profile_of(profile, ground).into_iter().flat_map(|profile| &profile.rules);
    rules
        .map(|rule| {
            let used = used.get(rule.name.as_str());
            Use {
                rule: rule.name.clone(),
                packets: used.map_or(0, |(packets, _)| *packets),
                last_used: used.map(|(_, last)| *last),
            }
        })
        .collect()
}

fn profile_of<'g>(name: &str, ground: &Ground<'g>) -> Option<&'g policy::model::Profile> {
    ground.intent.sources()?.0.profile(name)
}

fn left_out(contact: &Contact, ground: &Ground<'_>, why: String) -> LeftOut {
    LeftOut {
        device: contact.device.to_string(),
        direction: contact.direction,
        peer: contact.peer.to_string(),
        service: service_of(contact, ground),
        packets: contact.packets,
        last_seen: contact.last_seen,
        why,
    }
}

pub(super) fn service_of(contact: &Contact, ground: &Ground<'_>) -> String {
    service::name(contact.protocol, contact.port.unwrap_or(0), ground.intent)
}
