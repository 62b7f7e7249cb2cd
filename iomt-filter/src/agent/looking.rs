//! Lookups with what runs.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::path::Path;

use iomt_filter_common::reputation::Listing;

use jiff::Timestamp;

use super::Errors;
use super::contacts::CONTACTS;
use super::core::chain;
use super::running::Running;
use crate::api::messages::{HistoryQuery, HistoryStatus, Listed, MOST_QUERIES, MOST_TALKED};
use crate::contacts::{Contact, Contacts};
use crate::events::protocol_name;
use crate::intent::Intent;
use crate::lookup::{Answer, Budget, ByHand, Ground, NoQuestion, Question, Talked, Talks, answers};
use crate::rows::{Prefix, Prefixes};

/// Answers every question, or none where one is no question.
pub(super) fn up(running: &Running, state: &Path, queries: &[String]) -> Result<Vec<Answer>, Errors> {
    let questions = questions(queries)?;
    let blocks = ByHand::new(running.blocks.list());
    let talks = talks(state);
    let ground = Ground { intent: &running.intent, blocks: &blocks, talks: &talks, now: Timestamp::now() };
    Ok(answers(questions.iter(), &ground))
}

fn questions(queries: &[String]) -> Result<Vec<Question>, Errors> {
    if queries.len() > MOST_QUERIES {
        let count = queries.len();
        return Err(vec![format!(
            "{MOST_QUERIES} questions are the most at once, these are {count}; ask in parts"
        )]);
    }
    let mut questions = Vec::with_capacity(queries.len());
    let mut wrong = Errors::new();
    for query in queries {
        match query.parse() {
            Ok(question) => questions.push(question),
            Err(NoQuestion(_)) => wrong.push(NoQuestion(shortened(query)).to_string()),
        }
    }
    if wrong.is_empty() { Ok(questions) } else { Err(wrong) }
}

/// What is no question may be anything.
fn shortened(query: &str) -> String {
    const MOST: usize = 253;
    if query.len() <= MOST {
        return query.to_owned();
    }
    format!("{}…", query.get(..query.floor_char_boundary(MOST)).unwrap_or_default())
}

/// Who talked to whom, the latest first.
pub(super) fn history(
    running: &Running,
    state: &Path,
    query: &HistoryQuery,
) -> Result<Vec<HistoryStatus>, Errors> {
    let database = state.join(CONTACTS);
    if !database.exists() {
        return Ok(Vec::new());
    }
    let most = query.limit.unwrap_or(MOST_TALKED);
    let since = query.since.unwrap_or(Timestamp::MIN);
    let found = Contacts::open_to_read(&database)
        .and_then(|contacts| contacts.latest(query.device.as_deref(), query.peer, since, most))
        .map_err(|error| vec![chain(&error)])?;
    let names = Names::of(&running.intent);
    Ok(found.iter().map(|contact| told(contact, &running.intent, &names)).collect())
}

/// What far ends are called.
struct Names<'i> {
    endpoints: Prefixes<&'i str>,
}

impl<'i> Names<'i> {
    fn of(intent: &'i Intent) -> Self {
        let endpoints = intent.vocabulary.endpoints.iter();
        let named =
            endpoints.flat_map(|(name, networks)| networks.iter().map(move |it| (*it, name.as_str())));
        Self { endpoints: named.map(|(network, name)| (Prefix::from(network), name)).collect() }
    }

    fn name(&self, peer: IpAddr, intent: &'i Intent) -> Option<&'i str> {
        let held = intent.rows.device_addresses.get(&peer.into());
        let held = held.and_then(|device| intent.rows.names.devices.get(device)).map(String::as_str);
        held.or_else(|| self.endpoints.longest(peer.into()).copied())
    }
}

fn told(contact: &Contact, intent: &Intent, names: &Names<'_>) -> HistoryStatus {
    let listing = intent.rows.listing(contact.peer.into());
    let listed = (listing != Listing::NONE).then(|| {
        let feed = intent.rows.names.feeds.get(&listing.feed).cloned();
        let entry = Prefix::of(contact.peer.into(), listing.prefix_bits).to_string();
        Listed { feed, entry, score: listing.score }
    });
    let country = intent.countries.as_ref().and_then(|database| database.country(contact.peer));
    HistoryStatus {
        talked: talked(contact),
        name: names.name(contact.peer, intent).map(str::to_owned),
        country: country.map(|code| String::from_utf8_lossy(&code).into_owned()),
        listed,
        outside: contact.outside,
        last_outside: contact.last_outside,
    }
}

/// Who talked to whom, by the database in the state folder; nothing where there is none.
pub fn talks(state: &Path) -> impl Fn(&Question, Budget) -> Talks + use<> {
    let contacts = Contacts::open_to_read(&state.join(CONTACTS)).ok();
    // To find it every contact is looked at: once for all questions.
    let since = OnceCell::new();
    move |question, budget| {
        let (Some(contacts), Question::Network(network)) = (&contacts, question) else {
            return Talks::default();
        };
        let Ok(found) = contacts.of_peer(*network, budget.listed, budget.looked_at) else {
            return Talks::default();
        };
        Talks {
            talked: found.contacts.iter().map(talked).collect(),
            more: found.more,
            is_part: !found.looked_at_all,
            since: *since.get_or_init(|| contacts.since().ok().flatten()),
        }
    }
}

fn talked(contact: &Contact) -> Talked {
    let protocol = protocol_name(contact.protocol);
    Talked {
        device: contact.device.to_string(),
        peer: contact.peer.to_string(),
        service: contact.port.map_or_else(|| protocol.to_string(), |port| format!("{port}/{protocol}")),
        direction: contact.direction.name().to_owned(),
        first_seen: contact.first_seen,
        last_seen: contact.last_seen,
        packets: contact.packets,
        bytes: contact.bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_counted_and_what_is_none_is_told_in_few_words() {
        let queries = vec!["203.0.113.9".to_owned(); MOST_QUERIES];
        assert_eq!(questions(&queries).map(|questions| questions.len()), Ok(MOST_QUERIES));
        let errors = questions(&[queries, vec!["evil.example".to_owned()]].concat()).unwrap_err();
        assert_eq!(errors, ["1000 questions are the most at once, these are 1001; ask in parts"]);
        let errors = questions(&["203.0.113.9".to_owned(), "ü".repeat(100_000)]).unwrap_err();
        assert!(errors.len() == 1 && errors[0].len() < 600 && errors[0].contains('…'), "{errors:?}");
    }
}
