//! Openings that a file allows, as few and readable rules that allow the same.

use std::collections::BTreeMap;

use super::entry::{Families, Far};
use super::far::{self, Words};
use super::import::Ground;
use super::report::{LeftOut, Rule};
use crate::contacts::Direction;
use crate::policy::service::{ICMP, ICMPV6, PortRange};
use crate::policy::wording;

/// Where a rule stands first, and its services.
type Found = (usize, Vec<Option<PortRange>>);

/// What an entry lets be opened.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) direction: Direction,
    pub(super) far: Far,
    pub(super) families: Families,
    /// Nothing for whatever there is.
    pub(super) service: Option<PortRange>,
    pub(super) place: String,
}

/// What comes of openings.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) rules: Vec<Rule>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) notes: Vec<String>,
}

/// Openings of one service with one far end.
struct Same {
    families: Families,
    places: Vec<String>,
}

/// Rules in the order in which the file says it.
pub(super) fn rules(openings: Vec<Opening>, url: Option<&str>, ground: &Ground<'_>) -> Merged {
    let mut order = Vec::new();
    let mut same: BTreeMap<(Direction, Far, Option<PortRange>), Same> = BTreeMap::new();
    for Opening { direction, far, families, service, place } in openings {
        let key = (direction, far, service);
        let known = same.entry(key.clone()).or_insert_with(|| {
            order.push(key);
            Same { families, places: Vec::new() }
        });
        known.families = known.families.or(families);
        add(&mut known.places, place);
    }
    let mut merged = Merged::default();
    let mut found: BTreeMap<(Direction, Vec<String>), Found> = BTreeMap::new();
    for key in order {
        let Some(Same { families, places }) = same.remove(&key) else { continue };
        let (direction, far, service) = key;
        let Words { words, notes, wider } = match far::words(&far, families, url, ground) {
            Ok(words) => words,
            Err(why) => {
                merged.left_out.extend(places.into_iter().map(|place| LeftOut { place, why: why.clone() }));
                continue;
            }
        };
        // ICMP is of one version by itself.
        let is_icmp = service.is_some_and(|range| matches!(range.protocol, ICMP | ICMPV6));
        let wider = wider.into_iter().filter(|_| !is_icmp);
        notes.into_iter().chain(wider).for_each(|note| add(&mut merged.notes, note));
        let next = merged.rules.len();
        let (index, services) = found.entry((direction, words.clone())).or_insert((next, Vec::new()));
        services.push(service);
        if *index == next {
            let rule = Rule {
                direction,
                peers: words,
                services: Vec::new(),
                far: far::name(&far),
                entries: Vec::new(),
            };
            merged.rules.push(rule);
        }
        if let Some(rule) = merged.rules.get_mut(*index) {
            places.into_iter().for_each(|place| add(&mut rule.entries, place));
        }
    }
    for (index, services) in found.into_values() {
        if let Some(rule) = merged.rules.get_mut(index) {
            rule.services = wording::services(&services, &ground.vocabulary.services);
        }
    }
    merged
}

fn add(texts: &mut Vec<String>, text: String) {
    if !texts.contains(&text) {
        texts.push(text);
    }
}
