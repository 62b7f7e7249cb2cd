//! STIX 2.1: a bundle, or the envelope of a TAXII 2.1 server, with indicators among other objects.
//!
//! Bytes come in; what the patterns of the indicators name goes out. Of several versions of an indicator the newest
//! is used, a revoked one takes back what it named, and a pattern that a list cannot express is refused whole.
//! Indicators of STIX 2.0, which have their types in `labels`, are read too.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;

use super::collect::{Collector, Facts, Place, kept, refused};
use super::document;
use super::target::Target;
use super::{Format, Parsed, Reading, RejectReason, category};
use crate::feeds::About;

pub(super) mod pattern;
mod meaning;

/// An indicator, as far as it matters.
#[derive(Debug)]
struct Indicator {
    line: u32,
    /// Its pattern, or what else stands for it in an account.
    text: String,
    modified: Option<Timestamp>,
    is_revoked: bool,
    named: Result<Vec<Target>, RejectReason>,
    score: Option<u8>,
    about: About,
}

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let mut collector = Collector::new(Format::Stix, reading);
    let mut indicators: Vec<Indicator> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let is_array = bytes.trim_ascii_start().starts_with(b"[");
    let places: &[&[&str]] = if is_array { &[&["*"]] } else { &[&["objects", "*"]] };
    let mut line = 0;
    let walked = document::take(bytes, places, &mut |_, record| {
        line += 1;
        let id = document::member(&record, "id").unwrap_or_default();
        let kind = document::member(&record, "type").unwrap_or_default();
        if kind != "indicator" {
            let text = format!("{kind} {id}");
            return collector.reject(Place { line, text: &text }, RejectReason::OtherObject);
        }
        let indicator = indicator(&mut collector, line, &id, &record);
        match known.get(&id).and_then(|&index| indicators.get_mut(index)) {
            None => {
                if !id.is_empty() {
                    known.insert(id, indicators.len());
                }
                indicators.push(indicator);
            }
            Some(other) => {
                let older = if indicator.modified < other.modified {
                    indicator
                } else {
                    std::mem::replace(other, indicator)
                };
                collector.reject(older.place(), RejectReason::Superseded);
            }
        }
    });
    if let Err(broken) = walked {
        return refused(Format::Stix, bytes, broken.line, RejectReason::BrokenJson);
    }
    let is_list =
        || document::is_empty_list(bytes, &["objects", "more", "id"]) || bytes.trim_ascii() == b"{}";
    if line == 0 && !is_list() {
        return refused(Format::Stix, bytes, 1, RejectReason::Answer);
    }
    for indicator in indicators {
        add(&mut collector, indicator);
        if collector.is_full() {
            break;
        }
    }
    collector.finish()
}

impl Indicator {
    fn place(&self) -> Place<'_> {
        Place { line: self.line, text: &self.text }
    }
}

fn indicator(collector: &mut Collector, line: u32, id: &str, record: &Value) -> Indicator {
    let get = |name: &str| document::member(record, name);
    let types = document::joined(record.get("indicator_types").or_else(|| record.get("labels")));
    let types = types.unwrap_or_default();
    let text = get("pattern");
    let language = get("pattern_type");
    let named = match &text {
        _ if language.is_some_and(|language| language != "stix") => Err(RejectReason::PatternLanguage),
        _ if types.split(", ").any(|kind| kind == "benign") => Err(RejectReason::Benign),
        Some(text) => meaning::of(text),
        None => Err(RejectReason::NoValue),
    };
    let modified = get("modified").or_else(|| get("created"));
    let about = About {
        category: (!types.is_empty()).then(|| category::of(&types)),
        first_seen: collector.time("valid_from", line, get("valid_from").as_deref()),
        last_seen: None,
        expires: collector.time("valid_until", line, get("valid_until").as_deref()),
        reference: kept(Some(id)),
        label: kept(get("name").as_deref()),
    };
    Indicator {
        line,
        text: text.unwrap_or_else(|| id.to_owned()),
        modified: collector.time("modified", line, modified.as_deref()),
        is_revoked: record.get("revoked").and_then(Value::as_bool).unwrap_or_default(),
        named,
        score: collector.score(line, get("confidence").as_deref()),
        about,
    }
}

fn add(collector: &mut Collector, indicator: Indicator) {
    let place = Place { line: indicator.line, text: &indicator.text };
    if indicator.is_revoked {
        let networks: Vec<_> = indicator.named.unwrap_or_default().into_iter().flat_map(networks).collect();
        if networks.is_empty() {
            collector.reject(place, RejectReason::Revoked);
        }
        return collector.withdraw(networks);
    }
    match indicator.named {
        Ok(targets) => {
            // One account of an indicator whose time is over, however much it names.
            let is_over = indicator.about.expires.is_some_and(|expires| expires <= collector.now());
            for target in targets.into_iter().take(if is_over { 1 } else { usize::MAX }) {
                let facts = Facts { port: None, score: indicator.score, about: indicator.about.clone() };
                collector.target(place, target, facts);
            }
        }
        Err(reason) => collector.reject(place, reason),
    }
}

fn networks(target: Target) -> Vec<ipnet::IpNet> {
    match target {
        Target::Network { network, .. } => vec![network],
        Target::Range(networks) => networks,
        Target::Domain { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feeds::Category;

    fn read(objects: Value) -> Parsed {
        let now = "2026-07-04T12:00:00Z".parse().unwrap();
        let text = json!({"type": "bundle", "id": "bundle--1", "objects": objects}).to_string();
        parse(&Reading { now, ..Reading::default() }, text.as_bytes())
    }

    fn indicator(id: u32, modified: &str, more: Value) -> Value {
        let mut indicator = json!({
            "type": "indicator", "spec_version": "2.1", "id": format!("indicator--{id}"), "pattern_type": "stix",
            "created": "2026-01-01T00:00:00.000Z", "modified": modified, "valid_from": "2026-01-01T00:00:00Z",
            "indicator_types": ["malicious-activity"], "pattern": format!("[ipv4-addr:value = '192.0.2.{id}']"),
        });
        for (key, value) in more.as_object().unwrap() {
            indicator[key] = value.clone();
        }
        indicator
    }

    fn networks(parsed: &Parsed) -> Vec<(u32, String)> {
        parsed.entries.iter().map(|entry| (entry.line, entry.network.to_string())).collect()
    }

    #[test]
    fn an_indicator_keeps_what_it_says() {
        let more = json!({"confidence": 85, "valid_until": "2027-01-01T00:00:00Z", "name": "C2"});
        let parsed = read(
            json!([{"type": "identity", "id": "identity--1"}, indicator(7, "2026-01-01T00:00:00Z", more)]),
        );
        assert_eq!(networks(&parsed), [(2, "192.0.2.7/32".into())]);
        assert_eq!(parsed.entries[0].score, Some(85));
        let about = parsed.entries[0].about.as_ref().unwrap();
        assert_eq!((about.category, about.label.as_deref()), (Some(Category::Malware), Some("C2")));
        assert_eq!(about.reference.as_deref(), Some("indicator--7"));
        assert_eq!(about.expires.map(|at| at.to_string()).as_deref(), Some("2027-01-01T00:00:00Z"));
        assert_eq!(parsed.rejects[0].reason, RejectReason::OtherObject);
    }

    #[test]
    fn the_newest_version_wins_in_whichever_order() {
        let newer =
            indicator(1, "2026-02-01T00:00:00Z", json!({"pattern": "[ipv4-addr:value = '192.0.2.99']"}));
        let older = indicator(1, "2026-01-01T00:00:00Z", json!({}));
        for objects in [json!([newer, older]), json!([older, newer])] {
            let parsed = read(objects);
            assert_eq!(parsed.entries.len(), 1);
            assert_eq!(parsed.entries[0].network.to_string(), "192.0.2.99/32");
            assert_eq!(parsed.rejects[0].reason, RejectReason::Superseded);
        }
    }

    #[test]
    fn what_is_revoked_is_withdrawn_where_nothing_else_names_it() {
        let revoked = |id, pattern: &str| {
            indicator(id, "2026-03-01T00:00:00Z", json!({"revoked": true, "pattern": pattern}))
        };
        let parsed = read(json!([
            indicator(1, "2026-02-01T00:00:00Z", json!({})),
            revoked(1, "[ipv4-addr:value = '192.0.2.1']"),
            indicator(2, "2026-02-01T00:00:00Z", json!({})),
            revoked(3, "[ipv4-addr:value = '192.0.2.2'] OR [domain-name:value = 'evil.example']"),
            revoked(4, "[domain-name:value = 'evil.example']"),
        ]));
        assert_eq!(networks(&parsed), [(3, "192.0.2.2/32".into())]);
        assert_eq!(parsed.withdrawn, ["192.0.2.1/32".parse::<ipnet::IpNet>().unwrap()]);
        let reasons: Vec<_> = parsed.rejects.iter().map(|reject| (reject.line, reject.reason)).collect();
        assert_eq!(reasons, [(1, RejectReason::Superseded), (5, RejectReason::Revoked)]);
        assert!(parsed.domains.is_empty());
    }

    #[test]
    fn what_is_of_no_use_is_told_by_its_reason() {
        use RejectReason::{Benign, Expired, NoValue, PatternLanguage, PatternObject};
        for (more, reason) in [
            (json!({"pattern_type": "sigma"}), PatternLanguage),
            (json!({"indicator_types": ["benign"]}), Benign),
            (json!({"valid_until": "2026-07-04T12:00:00Z"}), Expired),
            (json!({"pattern": null}), NoValue),
            (json!({"pattern": "[file:name = 'x']"}), PatternObject),
        ] {
            let parsed = read(json!([indicator(1, "2026-02-01T00:00:00Z", more)]));
            assert_eq!((parsed.entries.len(), parsed.rejects.len()), (0, 1));
            assert_eq!(parsed.rejects[0].reason, reason);
        }
    }

    #[test]
    fn envelopes_and_the_older_version_are_read() {
        let text = json!({"more": false, "objects": [
            {"type": "indicator", "id": "indicator--1", "labels": ["anonymization"], "pattern": "[ipv4-addr:value = '192.0.2.1']"}
        ]});
        let parsed = parse(&Reading::default(), text.to_string().as_bytes());
        assert_eq!(parsed.entries[0].about.as_ref().unwrap().category, Some(Category::Anonymizer));
        for empty in [&b"{}"[..], b"{\"more\":false}", b"{\"type\":\"bundle\",\"id\":\"bundle--1\"}"] {
            assert!(parse(&Reading::default(), empty).rejects.is_empty());
        }
        let error = parse(&Reading::default(), b"{\"title\":\"Unauthorized\",\"http_status\":\"401\"}");
        assert_eq!(error.rejects[0].reason, RejectReason::Answer);
    }
}
