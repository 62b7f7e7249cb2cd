//! Lookups with what runs.

use std::cell::OnceCell;
use std::path::Path;

use jiff::Timestamp;

use super::Errors;
use super::contacts::CONTACTS;
use super::running::Running;
use crate::api::messages::MOST_QUERIES;
use crate::contacts::{Contact, Contacts};
use crate::events::protocol_name;
use crate::lookup::{Answer, Budget, ByHand, Ground, NoQuestion, Question, Talked, Talks, answers};

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
