//! From what the user wrote to what it means: names looked up, defaults filled in.
//!
//! Everything that means nothing is reported with its place; the rest is resolved on.

use std::collections::{BTreeMap, BTreeSet};

use iomt_filter_common::policy::{Mode, Otherwise, RuleDirection, Settings};
use ipnet::IpNet;

use super::builtin;
use super::error::Problem;
use super::model::{Geo, Pair, Policy, Profile, Rule};
use super::peer::{self, Peers};
use super::service::{Named, Services};
use super::source::{Defaults, GeoSource, NamedList, PairSource, ProfileSource, RuleSource, Source};
use crate::diagnostic::{Diagnostic, Place};
use crate::document::Located;
use crate::geo::codes;
use crate::nearest::did_you_mean;

/// The endpoint that stands for the host's own addresses.
const GATEWAY: &str = "gateway";
const ANY: &str = "any";
const PROFILE: &str = "profile:";
const BLOCK_SCORE: u8 = 50;

/// The meaning of a policy file, as far as it has one; what has none is added to `found`.
pub(super) fn resolve(source: Source, place: Place, found: &mut Vec<Diagnostic>) -> Policy {
    let profiles = source.profiles.iter().map(|profile| profile.name.value.clone()).collect();
    let words = Vocabulary { endpoints: BTreeMap::new(), services: Named::new(), profiles };
    let mut resolver = Resolver { words, found };
    resolver.endpoints(&source.endpoints);
    resolver.services(&source.services);
    let defaults = source.defaults;
    let otherwise = |choice: Option<Otherwise>| choice.unwrap_or(Otherwise::Drop) as u8;
    let settings = Settings {
        unknown_device: otherwise(defaults.unknown_device),
        unparsed: otherwise(defaults.unparsed),
        midstream: otherwise(defaults.midstream),
        ..Settings::default()
    };
    let profiles = source.profiles.into_iter().map(|profile| resolver.profile(profile, &defaults)).collect();
    let protected = source.pairs.iter().filter_map(|pair| resolver.pair(pair)).collect();
    let geo_stale = defaults.geo_stale.unwrap_or_default();
    Policy { settings, profiles, protected, geo_stale, vocabulary: resolver.words, place }
}

/// What names of peers and services stand for.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    pub(crate) endpoints: BTreeMap<String, Vec<IpNet>>,
    pub(crate) services: Named,
    profiles: BTreeSet<String>,
}

/// Resolves names and collects what cannot be.
struct Resolver<'f> {
    words: Vocabulary,
    found: &'f mut Vec<Diagnostic>,
}

impl Vocabulary {
    /// Peers as a rule names them.
    ///
    /// # Errors
    /// When one of them means nothing, with what to do next.
    pub fn peers(&self, texts: &[String]) -> Result<Peers, Vec<String>> {
        let mut found = Vec::new();
        let peers = Resolver { words: self.clone(), found: &mut found }.peers(&unplaced(texts), true);
        in_words(peers, found)
    }

    /// Services as a rule names them.
    ///
    /// # Errors
    /// As [`peers`](Self::peers).
    pub fn services(&self, texts: &[String]) -> Result<Services, Vec<String>> {
        let mut found = Vec::new();
        let mut resolver = Resolver { words: Self::default(), found: &mut found };
        let services = resolver.services_of(&unplaced(texts), &self.services);
        in_words(services, found)
    }
}

fn unplaced(texts: &[String]) -> Vec<Located<String>> {
    texts.iter().map(|text| Located { value: text.clone(), place: Place::default() }).collect()
}

fn in_words<T>(value: T, found: Vec<Diagnostic>) -> Result<T, Vec<String>> {
    let words = |problem: Diagnostic| match problem.help {
        Some(help) => format!("{}: {help}", problem.message),
        None => problem.message,
    };
    if found.is_empty() { Ok(value) } else { Err(found.into_iter().map(words).collect()) }
}

impl Resolver<'_> {
    fn endpoints(&mut self, lists: &[NamedList]) {
        for list in lists {
            let built_in = [GATEWAY, ANY].contains(&list.name.value.as_str());
            self.check_name(list, built_in);
            let networks = list.items.iter().filter_map(|item| match peer::network(&item.value) {
                Ok(network) => Some(network),
                Err(error) => {
                    self.found.push(Problem::Network(error).error(&item.place));
                    None
                }
            });
            let networks = networks.collect();
            self.words.endpoints.insert(list.name.value.clone(), networks);
        }
    }

    fn services(&mut self, lists: &[NamedList]) {
        for list in lists {
            let name = list.name.value.as_str();
            let built_in = [ANY, "icmp", "icmpv6"].contains(&name) || builtin::service(name).is_some();
            self.check_name(list, built_in);
            let services = self.services_of(&list.items, &Named::new());
            self.words.services.insert(name.to_owned(), services);
        }
    }

    fn check_name(&mut self, list: &NamedList, built_in: bool) {
        let name = &list.name.value;
        if built_in {
            self.found.push(Problem::BuiltIn(name.clone()).error(&list.name.place));
        } else if !is_name(name) {
            self.found.push(Problem::BadName(name.clone()).error(&list.name.place));
        }
        if list.items.is_empty() {
            self.found.push(Problem::Empty(name.clone()).error(&list.name.place));
        }
    }

    fn profile(&mut self, source: ProfileSource, defaults: &Defaults) -> Profile {
        let name = source.name.value;
        if !is_name(&name) {
            self.found.push(Problem::BadName(name.clone()).error(&source.name.place));
        }
        let rules = source.rules.into_iter().enumerate();
        Profile {
            rules: rules.filter_map(|(index, rule)| self.rule(&name, index + 1, rule)).collect(),
            mode: source.mode.or(defaults.mode).unwrap_or(Mode::Monitor),
            block_score: source.block_score.or(defaults.block_score).unwrap_or(BLOCK_SCORE),
            geo: source.geo.and_then(|geo| self.geo(geo)),
            reset: source.reset,
            fail_open: source.fail_open,
            open_on_agent_loss: source.open_on_agent_loss,
            limits: source.limits.or(defaults.limits),
            name,
        }
    }

    fn rule(&mut self, profile: &str, index: usize, source: RuleSource) -> Option<Rule> {
        let place = source.place;
        let sides = match (source.to, source.from) {
            (Some(to), None) => Some((RuleDirection::To, "to", to)),
            (None, Some(from)) => Some((RuleDirection::From, "from", from)),
            (Some(_), Some(_)) => {
                self.found.push(Problem::BothDirections.error(&place));
                None
            }
            (None, None) => {
                self.found.push(Problem::NoDirection.error(&place));
                None
            }
        };
        let services = match &source.service {
            Some(texts) => {
                self.check_list("service", texts, &place);
                let named = std::mem::take(&mut self.words.services);
                let services = self.services_of(texts, &named);
                self.words.services = named;
                Some((services, joined(texts)))
            }
            None => {
                self.found.push(Problem::NoService.error(&place));
                None
            }
        };
        let (direction, word, texts) = sides?;
        self.check_list(word, &texts, &place);
        let peers = self.peers(&texts, true);
        let (services, service_text) = services?;
        let name = format!("{profile}[{index}] {word} {} service {service_text}", joined(&texts));
        Some(Rule { direction, peers, services, name, note: source.note, place })
    }

    fn check_list(&mut self, key: &str, items: &[Located<String>], place: &Place) {
        if items.is_empty() {
            self.found.push(Problem::Empty(key.to_owned()).error(place));
        }
    }

    fn peers(&mut self, texts: &[Located<String>], in_rule: bool) -> Peers {
        let mut peers = Peers::default();
        for text in texts {
            if let Some(peer) = self.peer(text, in_rule) {
                peers = peers.and(peer);
            }
        }
        peers
    }

    fn peer(&mut self, text: &Located<String>, in_rule: bool) -> Option<Peers> {
        let name = text.value.as_str();
        if name == GATEWAY {
            return Some(Peers::gateway());
        }
        if name == ANY && in_rule {
            return Some(Peers::any());
        }
        if let Some(profile) = name.strip_prefix(PROFILE).filter(|_| in_rule) {
            return self.lateral(profile, &text.place);
        }
        if let Some(networks) = self.words.endpoints.get(name) {
            return Some(Peers::of(networks.clone()));
        }
        if peer::looks_like_address(name) {
            return match peer::network(name) {
                Ok(network) => Some(Peers::of(vec![network])),
                Err(error) => {
                    self.found.push(Problem::Network(error).error(&text.place));
                    None
                }
            };
        }
        let known = self.words.endpoints.keys().map(String::as_str).chain([GATEWAY]);
        let help = format!(
            "{}, or write an address or a prefix; a new name is added to `[endpoints]`",
            did_you_mean(name, known)
        );
        self.found.push(Problem::UnknownEndpoint(name.to_owned()).error(&text.place).help(help));
        None
    }

    fn lateral(&mut self, profile: &str, place: &Place) -> Option<Peers> {
        if !self.words.profiles.contains(profile) {
            let help = did_you_mean(profile, self.words.profiles.iter().map(String::as_str));
            self.found.push(Problem::UnknownProfile(profile.to_owned()).error(place).help(help));
            return None;
        }
        Some(Peers::profile(profile))
    }

    fn services_of(&mut self, texts: &[Located<String>], named: &Named) -> Services {
        let mut services = Services::default();
        for text in texts {
            match Services::parse(&text.value, named) {
                Ok(service) => services = services.and(service),
                Err(error) => {
                    let help = error.help(named);
                    self.found.push(Problem::Service(error).error(&text.place).help(help));
                }
            }
        }
        services
    }

    fn geo(&mut self, source: GeoSource) -> Option<Geo> {
        let (is_allow, texts) = match (source.allow, source.deny) {
            (Some(allow), None) => (true, allow),
            (None, Some(deny)) => (false, deny),
            (Some(_), Some(_)) => {
                self.found.push(Problem::BothGeo.error(&source.place));
                return None;
            }
            (None, None) => {
                self.found.push(Problem::NoGeo.error(&source.place));
                return None;
            }
        };
        let mut countries = BTreeSet::new();
        for text in &texts {
            match codes::country(&text.value) {
                Some(country) => drop(countries.insert(country)),
                None => {
                    let problem = Problem::BadCountry(text.value.clone()).error(&text.place);
                    self.found.push(match codes::meant(&text.value) {
                        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                        None => problem,
                    });
                }
            }
        }
        Some(Geo { is_allow, countries, deny_unknown: source.deny_unknown, place: source.place })
    }

    fn pair(&mut self, source: &PairSource) -> Option<Pair> {
        if source.peer.is_empty() {
            self.found.push(Problem::IncompletePair("peer").error(&source.place));
        }
        let peers = self.peers(&source.peer, false);
        let Some(device) = &source.device else {
            self.found.push(Problem::IncompletePair("device").error(&source.place));
            return None;
        };
        Some(Pair { device: device.value.clone(), peers, place: device.place.clone() })
    }
}

fn joined(texts: &[Located<String>]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| text.value.as_str()).collect();
    texts.join(",")
}

/// Whether endpoints, services and profiles may be called so.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.chars().all(plain) && !peer::looks_like_address(name)
}
