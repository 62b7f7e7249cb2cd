//! MISP: an event, an array of events, or the answer of a search for events or attributes.
//!
//! Bytes come in; attributes that are marked for detection go out, those of objects too. Everything else is of no use
//! here and counted. Scores come from the threat level of the event.

use std::collections::BTreeMap;

use serde_json::Value;

use super::collect::{Collector, Facts, Place, given, kept, refused};
use super::document::{self, Broken, Step};
use super::target::{self, Target};
use super::{Format, Parsed, Reading, RejectReason};
use crate::feeds::{About, Category};

/// Where events stand in a document.
const EVENTS: &[&[&str]] = &[&["Event"], &["*", "Event"], &["response", "*", "Event"]];
/// What is kept of an event beside its attributes.
const HEAD: &[&str] = &["uuid", "info", "threat_level_id"];
/// Types of attributes that are file hashes, beside composites `filename|…`.
const HASHES: &[&str] = &[
    "md5",
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "sha3-224",
    "sha3-256",
    "sha3-384",
    "sha3-512",
    "ssdeep",
    "imphash",
    "tlsh",
    "authentihash",
    "vhash",
    "pehash",
    "impfuzzy",
    "telfhash",
];

/// What is known of an event.
#[derive(Clone, Debug, Default)]
struct Event {
    uuid: Option<String>,
    info: Option<String>,
    threat_level: Option<String>,
}

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let mut collector = Collector::new(Format::Misp, reading);
    let is_list = |count| count > 0 || document::is_empty_list(bytes, &["Event", "response", "Attribute"]);
    match read(&mut collector, bytes) {
        Ok(count) if !is_list(count) => refused(Format::Misp, bytes, 1, RejectReason::Answer),
        Ok(_) => collector.finish(),
        Err(broken) => refused(Format::Misp, bytes, broken.line, RejectReason::BrokenJson),
    }
}

/// Twice through the document, as an event's level may stand behind its attributes; says how many of these there are.
fn read(collector: &mut Collector, bytes: &[u8]) -> Result<u32, Broken> {
    let below = |tails: &[&[&'static str]]| -> Vec<Vec<&'static str>> {
        EVENTS.iter().flat_map(|event| tails.iter().map(|tail| [event, *tail].concat())).collect()
    };
    let take = |places: &[Vec<&'static str>], each: &mut dyn FnMut(&[Step], Value)| {
        let places: Vec<&[&str]> = places.iter().map(Vec::as_slice).collect();
        document::take(bytes, &places, each)
    };
    let tails: Vec<&[&'static str]> = HEAD.iter().map(std::slice::from_ref).collect();
    let mut events: BTreeMap<usize, Event> = BTreeMap::new();
    take(&below(&tails), &mut |path, value| {
        let event = events.entry(number(path)).or_default();
        match path.last() {
            Some(Step::Key(key)) if key == "uuid" => event.uuid = document::text(&value),
            Some(Step::Key(key)) if key == "info" => event.info = document::text(&value),
            _ => event.threat_level = document::text(&value),
        }
    })?;
    let mut places = below(&[&["Attribute", "*"], &["Object", "*"]]);
    places.extend([vec!["Attribute", "*"], vec!["response", "Attribute", "*"]]);
    let mut line = 0;
    take(&places, &mut |path, value| {
        let event = events.get(&number(path)).cloned().unwrap_or_default();
        let is_object = matches!(path, [.., Step::Key(key), Step::Index(_)] if key == "Object");
        if !is_object {
            line += 1;
            attribute(collector, line, &event, &value, false);
            return;
        }
        let is_deleted = is_true(value.get("deleted"));
        for value in value.get("Attribute").and_then(Value::as_array).into_iter().flatten() {
            line += 1;
            attribute(collector, line, &event, value, is_deleted);
        }
    })?;
    Ok(line)
}

/// Which of the events of a document a path leads into.
fn number(path: &[Step]) -> usize {
    match path {
        [Step::Index(index), ..] | [Step::Key(_), Step::Index(index), Step::Key(_), ..] => *index,
        _ => 0,
    }
}

fn attribute(collector: &mut Collector, line: u32, event: &Event, record: &Value, is_deleted: bool) {
    let get = |name: &str| document::member(record, name);
    let (kind, value) = (get("type").unwrap_or_default(), get("value").unwrap_or_default());
    let text = format!("{kind} {value}");
    let place = Place { line, text: &text };
    if value.trim().is_empty() {
        return collector.reject(place, RejectReason::NoValue);
    }
    if is_deleted || is_true(record.get("deleted")) {
        return collector.reject(place, RejectReason::Deleted);
    }
    if !is_true(record.get("to_ids")) {
        return collector.reject(place, RejectReason::NotToIds);
    }
    let targets = match targets(&kind, value.trim()) {
        Ok(targets) => targets,
        Err(reason) => return collector.reject(place, reason),
    };
    // The answer of a search has the event in each attribute.
    let of_event = |name: &str| record.get("Event").and_then(|event| document::member(event, name));
    let level = of_event("threat_level_id").or_else(|| event.threat_level.clone());
    let score = match level.as_deref() {
        Some("1") => Some(90),
        Some("2") => Some(75),
        Some("3") => Some(50),
        Some("4") => Some(40),
        _ => None,
    };
    let first_seen = collector.time("first_seen", line, get("first_seen").as_deref());
    let last_seen = collector.time("last_seen", line, get("last_seen").as_deref());
    let changed = collector.time("timestamp", line, get("timestamp").as_deref());
    let about = About {
        category: get("category").map(|category| of(&category)),
        first_seen,
        last_seen: last_seen.or(changed),
        expires: None,
        reference: kept(of_event("uuid").or_else(|| event.uuid.clone()).as_deref()),
        label: kept(of_event("info").or_else(|| event.info.clone()).as_deref()),
    };
    for target in targets {
        collector.target(place, target, Facts { port: None, score, about: about.clone() });
    }
}

/// What an attribute of a type names: of composites all parts, or nothing.
fn targets(kind: &str, value: &str) -> Result<Vec<Target>, RejectReason> {
    let parts = || value.split_once('|').ok_or(RejectReason::Kind);
    match kind {
        "ip-dst" | "ip-src" => Ok(vec![network(value)?]),
        "ip-dst|port" | "ip-src|port" => {
            let (address, port) = parts()?;
            let port = port.parse().ok().filter(|&port| port != 0).ok_or(RejectReason::Port)?;
            match network(address)? {
                Target::Network { network, had_host_bits, .. } => {
                    Ok(vec![Target::Network { network, had_host_bits, port: Some(port) }])
                }
                Target::Range(_) | Target::Domain { .. } => Err(RejectReason::Kind),
            }
        }
        "domain" | "hostname" => Ok(vec![domain(value, None)?]),
        "hostname|port" => {
            let (name, port) = parts()?;
            let port = port.parse().ok().filter(|&port| port != 0).ok_or(RejectReason::Port)?;
            Ok(vec![domain(name, Some(port))?])
        }
        "domain|ip" => {
            let (name, address) = parts()?;
            Ok(vec![domain(name, None)?, network(address)?])
        }
        "url" | "uri" => match target::read(value)? {
            Target::Range(_) => Err(RejectReason::Kind),
            target @ (Target::Network { .. } | Target::Domain { .. }) => Ok(vec![target]),
        },
        "AS" => Err(RejectReason::AsNumber),
        _ if kind.starts_with("email") => Err(RejectReason::Email),
        _ if HASHES.contains(&kind) || kind.starts_with("filename|") => Err(RejectReason::Hash),
        _ => Err(RejectReason::OtherKind),
    }
}

fn network(value: &str) -> Result<Target, RejectReason> {
    match target::read(value.trim())? {
        Target::Domain { .. } => Err(RejectReason::Kind),
        target @ (Target::Network { .. } | Target::Range(_)) => Ok(target),
    }
}

fn domain(value: &str, port: Option<u16>) -> Result<Target, RejectReason> {
    let name = target::domain(value.trim()).ok_or(RejectReason::Kind)?;
    Ok(Target::Domain { name, port })
}

/// Truth as MISP writes it: `true`, `"1"` or `1`.
fn is_true(value: Option<&Value>) -> bool {
    let text = value.and_then(document::text);
    matches!(given(text.as_deref()), Some("true" | "1"))
}

/// What MISP's own categories are here.
fn of(category: &str) -> Category {
    match category {
        "Network activity"
        | "Payload delivery"
        | "Payload installation"
        | "Payload type"
        | "Artifacts dropped"
        | "Persistence mechanism" => Category::Malware,
        other => super::category::of(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"uuid":"57c6ac4c-0000-4000-8000-000000000001","info":"Malspam","date":"2026-08-31",
      "Attribute":[
       {"type":"ip-dst|port","category":"Network activity","value":"192.0.2.7|443","to_ids":true,"timestamp":"1472638251","deleted":false,"first_seen":"2026-08-30T10:00:00+00:00","last_seen":null},
       {"type":"domain|ip","value":"evil.example|192.0.2.8","to_ids":true},
       {"type":"ip-src","value":"198.51.100.0/24","to_ids":"1"},
       {"type":"hostname|port","value":"c2.evil.example|8443","to_ids":1},
       {"type":"url","value":"http://192.0.2.10:8080/a","to_ids":true},
       {"type":"ip-dst","value":"192.0.2.11","to_ids":false},
       {"type":"ip-dst","value":"192.0.2.12","to_ids":true,"deleted":true},
       {"type":"md5","value":"d41d8cd98f00b204e9800998ecf8427e","to_ids":true},
       {"type":"AS","value":"64496","to_ids":true},
       {"type":"email-src","value":"a@evil.example","to_ids":true},
       {"type":"mutex","value":"x","to_ids":true},
       {"type":"domain|ip","value":"evil.example|nothing","to_ids":true},
       {"type":"ip-dst","value":"evil.example","to_ids":true},
       {"type":"ip-dst|port","value":"192.0.2.7|0","to_ids":true},
       {"type":"ip-dst","to_ids":true}],
      "Object":[{"name":"domain-ip","Attribute":[{"type":"ip-dst","value":"2001:db8::7","to_ids":true}]},
                {"name":"domain-ip","deleted":true,"Attribute":[{"type":"ip-dst","value":"2001:db8::8","to_ids":true}]}],
      "threat_level_id":"2"}"#;

    fn check(text: &str) {
        let parsed = parse(&Reading::default(), text.as_bytes());
        let entries: Vec<_> = parsed
            .entries
            .iter()
            .map(|entry| (entry.line, entry.network.to_string(), entry.port, entry.score))
            .collect();
        let of = |line, network: &str, port| (line, network.to_owned(), port, Some(75));
        assert_eq!(
            entries,
            [
                of(1, "192.0.2.7/32", Some(443)),
                of(2, "192.0.2.8/32", None),
                of(3, "198.51.100.0/24", None),
                of(5, "192.0.2.10/32", Some(8080)),
                of(16, "2001:db8::7/128", None)
            ]
        );
        let domains: Vec<_> = parsed.domains.iter().map(|domain| (&*domain.name, domain.port)).collect();
        assert_eq!(domains, [("evil.example", None), ("c2.evil.example", Some(8443))]);
        use RejectReason::*;
        let reasons: Vec<_> = parsed.rejects.iter().map(|reject| (reject.line, reject.reason)).collect();
        let expected = [
            (6, NotToIds),
            (7, Deleted),
            (8, Hash),
            (9, AsNumber),
            (10, Email),
            (11, OtherKind),
            (12, Unreadable),
            (13, Kind),
            (14, Port),
            (15, NoValue),
            (17, Deleted),
        ];
        assert_eq!(reasons, expected);
        let about = parsed.entries[0].about.as_ref().unwrap();
        assert_eq!(about.label.as_deref(), Some("Malspam"));
        assert_eq!(about.reference.as_deref(), Some("57c6ac4c-0000-4000-8000-000000000001"));
        assert_eq!(about.category, Some(Category::Malware));
        assert_eq!(about.last_seen.map(|at| at.as_second()), Some(1_472_638_251));
    }

    #[test]
    fn an_event_is_read_wherever_it_stands() {
        check(&format!("{{\"Event\":{EVENT}}}"));
        check(&format!("[{{\"Event\":{EVENT}}}]"));
        check(&format!("{{\"response\":[{{\"Event\":{EVENT}}}]}}"));
    }

    #[test]
    fn each_of_several_events_has_its_own_level() {
        let event = |level, address| {
            format!(
                "{{\"Event\":{{\"threat_level_id\":\"{level}\",\"Attribute\":[{{\"type\":\"ip-dst\",\"value\":\"{address}\",\"to_ids\":true}}]}}}}"
            )
        };
        let text = format!("[{},{}]", event(1, "192.0.2.1"), event(4, "192.0.2.2"));
        let parsed = parse(&Reading::default(), text.as_bytes());
        let scores: Vec<_> = parsed.entries.iter().map(|entry| (entry.line, entry.score)).collect();
        assert_eq!(scores, [(1, Some(90)), (2, Some(40))]);
    }

    #[test]
    fn the_answer_of_a_search_for_attributes_is_read() {
        let text = r#"{"response":{"Attribute":[{"type":"ip-dst","value":"192.0.2.1","to_ids":true,"Event":{"uuid":"u","info":"Malspam","threat_level_id":"1"}},{"type":"ip-dst","value":"192.0.2.2","to_ids":true}]}}"#;
        let parsed = parse(&Reading::default(), text.as_bytes());
        let scores: Vec<_> = parsed.entries.iter().map(|entry| entry.score).collect();
        assert_eq!(scores, [Some(90), None]);
        assert_eq!(parsed.entries[0].about.as_ref().unwrap().label.as_deref(), Some("Malspam"));
    }

    #[test]
    fn an_error_is_no_empty_list() {
        let read = |text: &str| parse(&Reading::default(), text.as_bytes()).rejects;
        assert_eq!(read(r#"{"name":"x","message":"Authentication failed"}"#)[0].reason, RejectReason::Answer);
        assert_eq!(read(r#"{"response":[]}"#), []);
    }

    #[test]
    fn half_an_event_gives_nothing() {
        let text = format!("{{\"Event\":{}", EVENT);
        let parsed = parse(&Reading::default(), text.as_bytes());
        assert_eq!((parsed.entries.len(), parsed.rejects.len()), (0, 1));
        assert_eq!(parsed.rejects[0].reason, RejectReason::BrokenJson);
    }
}
