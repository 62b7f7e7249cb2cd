//! The stream of decisions of a CrowdSec local API (`GET /v1/decisions/stream`).
//!
//! The server says everything once, and then only what has changed since it was last asked with the same key. So
//! what holds is put together here, into one document in the form of the server's own answers, where every decision
//! ends at a moment (`until`) and not after a while (`duration`). A decision stays until it is deleted or ends; an
//! address stays for as long as any decision names it.
//!
//! By itself the server tells only the longest of several decisions for an address, and says nothing when that one is
//! deleted while a shorter one holds. It is asked with `dedup=false`, which makes it tell each of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::client::{Client, Request};
use super::{FetchError, Fetched, Part, Resume, Server, Source, shown};

/// Where the stream is, below the address of the server.
const PATH: &str = "/v1/decisions/stream";
/// The most decisions that are kept.
const MAX_DECISIONS: usize = 2_000_000;
const NAME: &str = "CrowdSec's local API";

/// How far a stream has been read. The server keeps count of what it has told; where an answer was lost, or was not
/// kept, that count and ours differ, and everything is asked for again.
#[derive(Clone, Debug)]
pub struct Stream {
    asked: Arc<AtomicU64>,
    at: u64,
}

impl Stream {
    fn start() -> Self {
        Self { asked: Arc::new(AtomicU64::new(0)), at: 0 }
    }

    /// Counts the question that comes next; `None` where an answer before it is missing.
    fn ask(&self) -> Option<Self> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        (asked == self.at).then(|| Self { asked: Arc::clone(&self.asked), at: asked + 1 })
    }
}

impl PartialEq for Stream {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.asked, &other.asked) && self.at == other.at
    }
}

impl Eq for Stream {}

type Decision = Map<String, Value>;

/// What the server answers; `null` stands for an empty list.
#[derive(Debug, Default, Deserialize)]
struct Answer {
    new: Option<Vec<Decision>>,
    deleted: Option<Vec<Decision>>,
}

#[derive(Serialize)]
struct Document<'d> {
    new: Vec<&'d Decision>,
}

/// What tells decisions from each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// The server's number.
    Number(u64),
    /// The whole of one without a number.
    Text(String),
}

/// Asks for what is new, or for everything.
pub(super) fn fetch(
    source: &Source,
    server: &Server,
    resume: &Resume,
    previous: Option<&[u8]>,
    now: Timestamp,
) -> Result<Fetched, FetchError> {
    if server.auth.is_none() {
        let reason = "it wants a key; make one with `cscli bouncers add iomt-filter`, and give it as the header \
                      `X-Api-Key` from a file";
        return Err(FetchError::setting(&shown(&server.url), reason));
    }
    let client = Client::new(server)?;
    let asked = resume.stream.as_ref().and_then(Stream::ask);
    let before = previous.and_then(|bytes| serde_json::from_slice::<Answer>(bytes).ok());
    let (is_start, stream, before) = match (asked, before) {
        (Some(stream), Some(before)) => (false, stream, before),
        _ => {
            let stream = Stream::start();
            (true, stream.ask().unwrap_or(stream), Answer::default())
        }
    };
    let url = address(&server.url, is_start);
    let request = Request { url: &url, headers: Vec::new(), max_bytes: source.max_bytes };
    let answer = client.get(&request).map_err(advised)?;
    let place = shown(&url);
    let answer: Answer = serde_json::from_slice(&answer.bytes.unwrap_or_default()).map_err(|_| {
        FetchError::protocol(&place, NAME, "what comes are no decisions; give the address of the local API")
    })?;
    let mut decisions = Decisions::default();
    decisions.add(before.new, now);
    if !is_start {
        // At the start there is nothing to be deleted, but a long list of what has ended.
        decisions.delete(answer.deleted);
    }
    decisions.add(answer.new, now);
    let bytes = decisions.document(source, &place)?;
    let resume = Resume { source: resume.source.clone(), stream: Some(stream), ..Resume::default() };
    if previous == Some(bytes.as_slice()) {
        return Ok(Fetched::Unchanged { resume });
    }
    Ok(Fetched::New { parts: vec![Part { name: shown(&server.url), bytes }], resume, modified: Some(now) })
}

/// The address of the stream, whether or not it is given in full.
fn address(url: &Url, is_start: bool) -> Url {
    let mut address = url.clone();
    let path = url.path().trim_end_matches('/');
    if !path.ends_with("/stream") {
        address.set_path(&format!("{path}{PATH}"));
    }
    let startup = if is_start { "true" } else { "false" };
    address.query_pairs_mut().append_pair("startup", startup).append_pair("dedup", "false");
    address
}

fn advised(error: FetchError) -> FetchError {
    match error {
        FetchError::Denied { place, status, .. } => {
            let reason = "the key is refused; make one with `cscli bouncers add iomt-filter` on the server, and write \
                          it into the file that is configured";
            FetchError::Denied { place, status, reason: reason.to_owned() }
        }
        other => other,
    }
}

/// The decisions that hold.
#[derive(Default)]
struct Decisions {
    by_key: BTreeMap<Key, Decision>,
}

impl Decisions {
    /// Adds those that have not ended.
    fn add(&mut self, decisions: Option<Vec<Decision>>, now: Timestamp) {
        for mut decision in decisions.unwrap_or_default() {
            match until(&decision, now) {
                Some(until) if until <= now => continue,
                Some(until) => {
                    decision.remove("duration");
                    decision.insert("until".to_owned(), Value::String(until.to_string()));
                }
                // Whoever parses it says what is wrong with it.
                None => {}
            }
            self.by_key.insert(key(&decision), decision);
        }
    }

    fn delete(&mut self, decisions: Option<Vec<Decision>>) {
        for deleted in decisions.unwrap_or_default() {
            let key = key(&deleted);
            // For two seconds the server repeats what was deleted: a number that is not there says nothing of others.
            if self.by_key.remove(&key).is_none() && matches!(key, Key::Text(_)) {
                self.by_key.retain(|_, decision| !is_same_target(decision, &deleted));
            }
        }
    }

    fn document(&self, source: &Source, place: &str) -> Result<Vec<u8>, FetchError> {
        let document = Document { new: self.by_key.values().collect() };
        let bytes = serde_json::to_vec(&document)
            .map_err(|_| FetchError::protocol(place, NAME, "the decisions cannot be written down"))?;
        if bytes.len() as u64 > source.max_bytes || self.by_key.len() > MAX_DECISIONS {
            return Err(FetchError::TooLarge { place: place.to_owned(), max_bytes: source.max_bytes });
        }
        Ok(bytes)
    }
}

fn key(decision: &Decision) -> Key {
    match decision.get("id").and_then(Value::as_u64) {
        Some(number) if number > 0 => Key::Number(number),
        _ => {
            let fields = ["uuid", "origin", "scenario", "scope", "type", "value"];
            Key::Text(fields.map(|field| decision.get(field).unwrap_or(&Value::Null).to_string()).join(" "))
        }
    }
}

fn is_same_target(one: &Decision, other: &Decision) -> bool {
    let text = |decision: &Decision, field: &str| {
        decision.get(field).and_then(Value::as_str).map(str::to_ascii_lowercase)
    };
    ["value", "scope", "type"].iter().all(|field| text(one, field) == text(other, field))
}

/// When it ends: as the server says, or as long after `now` as it says. Durations are Go's, as in `3h59m59.326s`.
fn until(decision: &Decision, now: Timestamp) -> Option<Timestamp> {
    let text = |field: &str| decision.get(field).and_then(Value::as_str);
    if let Some(until) = text("until").and_then(|text| text.parse().ok()) {
        return Some(until);
    }
    let duration: SignedDuration = text("duration")?.parse().ok()?;
    now.checked_add(duration).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn decision(id: u64, value: &str, duration: &str) -> Value {
        serde_json::json!({"id": id, "origin": "cscli", "scenario": "c2", "scope": "Ip", "type": "ban",
            "value": value, "duration": duration})
    }

    fn list(values: Vec<Value>) -> Option<Vec<Decision>> {
        Some(values.into_iter().map(|value| value.as_object().unwrap().clone()).collect())
    }

    fn values(decisions: &Decisions) -> Vec<&str> {
        decisions.by_key.values().map(|decision| decision["value"].as_str().unwrap()).collect()
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn durations_are_those_of_go() {
        for (text, end) in [
            ("3h59m59.326s", Some("1970-01-01T03:59:59.326Z")),
            ("4h0m0s", Some("1970-01-01T04:00:00Z")),
            ("-1h0m0s", Some("1969-12-31T23:00:00Z")),
            ("500ms", Some("1970-01-01T00:00:00.5Z")),
            ("1.5µs", Some("1970-01-01T00:00:00.0000015Z")),
            ("8760h0m0s", Some("1971-01-01T00:00:00Z")),
            ("for ever", None),
            ("", None),
        ] {
            let value = decision(1, "192.0.2.1", text);
            let found = until(value.as_object().unwrap(), NOW).map(|time| time.to_string());
            assert_eq!(found.as_deref(), end, "{text}");
        }
    }

    #[test]
    fn an_address_stays_while_any_decision_names_it() {
        let mut decisions = Decisions::default();
        decisions.add(list(vec![decision(1, "192.0.2.1", "1h"), decision(2, "192.0.2.1", "2h")]), NOW);
        decisions.delete(list(vec![decision(2, "192.0.2.1", "-1s")]));
        assert_eq!(values(&decisions), ["192.0.2.1"]);
        decisions.delete(list(vec![decision(1, "192.0.2.1", "-1s")]));
        assert!(values(&decisions).is_empty());
    }

    #[test]
    fn a_number_that_is_not_there_frees_nothing_and_a_decision_without_one_frees_its_address() {
        let mut decisions = Decisions::default();
        let all = [("192.0.2.1", 7), ("192.0.2.1", 0), ("192.0.2.2", 0)];
        decisions.add(list(all.map(|(value, id)| decision(id, value, "1h")).to_vec()), NOW);
        decisions.delete(list(vec![decision(3, "192.0.2.1", "-1s")]));
        assert_eq!(values(&decisions).len(), 3);
        let mut other = decision(0, "192.0.2.1", "-1s");
        other["scenario"] = "of the server's own".into();
        decisions.delete(list(vec![other]));
        assert_eq!(values(&decisions), ["192.0.2.2"]);
    }

    #[test]
    fn what_has_ended_is_not_kept_and_what_cannot_be_read_is_left_to_the_parser() {
        let mut decisions = Decisions::default();
        decisions.add(list(vec![decision(1, "192.0.2.1", "0s"), decision(2, "192.0.2.2", "soon")]), NOW);
        assert_eq!(values(&decisions), ["192.0.2.2"]);
    }

    #[test]
    fn an_answer_that_was_not_kept_starts_the_stream_anew() {
        let first = Stream::start().ask().unwrap();
        let second = first.ask().unwrap();
        assert!(first.ask().is_none(), "what followed the first was lost");
        assert!(second.ask().is_none(), "and so was what followed that");
    }

    #[test]
    fn the_address_of_the_stream_is_found_from_that_of_the_server() {
        for (given, asked) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/decisions/stream?startup=true&dedup=false"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1/decisions/stream?startup=true&dedup=false"),
            (
                "http://127.0.0.1:8080/v1/decisions/stream?scopes=ip",
                "http://127.0.0.1:8080/v1/decisions/stream?scopes=ip&startup=true&dedup=false",
            ),
        ] {
            assert_eq!(address(&given.parse().unwrap(), true).as_str(), asked);
        }
    }

    proptest! {
        #[test]
        fn what_holds_is_what_was_told_and_not_deleted(
            steps in proptest::collection::vec((any::<bool>(), 1_u64..20, 0_u8..5), 0..60),
        ) {
            let (mut decisions, mut expected) = (Decisions::default(), BTreeSet::new());
            for (is_new, id, address) in steps {
                // A number is one decision's, for one address.
                let address = address.max(u8::try_from(id % 5).unwrap());
                let told = decision(id, &format!("192.0.2.{address}"), "1h");
                if is_new {
                    decisions.add(list(vec![told]), NOW);
                    expected.insert(id);
                } else {
                    decisions.delete(list(vec![told]));
                    expected.remove(&id);
                }
            }
            let found: BTreeSet<u64> = decisions.by_key.values().map(|one| one["id"].as_u64().unwrap()).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn whatever_a_duration_says_it_is_read_or_left(text in ".{0,20}", until in ".{0,30}") {
            let mut value = decision(1, "192.0.2.1", &text);
            value["until"] = until.into();
            let mut decisions = Decisions::default();
            decisions.add(list(vec![value]), NOW);
            prop_assert!(decisions.by_key.len() <= 1);
        }
    }
}
