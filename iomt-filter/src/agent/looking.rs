//! Lookups with what runs.

use std::path::Path;

use jiff::Timestamp;

use super::Errors;
use super::contacts::CONTACTS;
use super::running::Running;
use crate::contacts::{Contact, Contacts};
use crate::events::protocol_name;
use crate::lookup::{Answer, Ground, Question, Talked, Talks, answer};

/// Devices and services that an answer names.
const MOST_TALKS: usize = 100;

/// Answers every question, or none where one is no question.
pub(super) fn up(running: &Running, state: &Path, queries: &[String]) -> Result<Vec<Answer>, Errors> {
    let parsed: Vec<Result<Question, _>> = queries.iter().map(|query| query.parse::<Question>()).collect();
    let wrong: Errors =
        parsed.iter().filter_map(|query| query.as_ref().err()).map(ToString::to_string).collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let blocks = running.blocks.list();
    let talks = talks(state);
    let ground = Ground { intent: &running.intent, blocks: &blocks, talks: &talks, now: Timestamp::now() };
    Ok(parsed.iter().flatten().map(|question| answer(question, &ground)).collect())
}

/// Who talked to whom, by the database in the state folder; nothing where there is none.
pub fn talks(state: &Path) -> impl Fn(&Question) -> Talks {
    let contacts = Contacts::open_to_read(&state.join(CONTACTS)).ok();
    move |question| {
        let (Some(contacts), Question::Network(network)) = (&contacts, question) else {
            return (Vec::new(), None);
        };
        let Ok(found) = contacts.of_peer(*network) else { return (Vec::new(), None) };
        (found.iter().take(MOST_TALKS).map(talked).collect(), contacts.since().ok().flatten())
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
