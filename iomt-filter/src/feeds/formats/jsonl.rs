//! JSON of no particular source: a record a line, or an array of records, with pointers to what is in them.
//!
//! Bytes and [`Pointers`] come in, entries go out. Without pointers the usual names are looked for at the top of
//! each record; a record that is a mere string is its own value.

use std::borrow::Cow;

use serde_json::Value;

use super::collect::{Collector, Place, refused};
use super::document::{self, Step, Want};
use super::table::name;
use super::usual::{self, Field};
use super::{Format, Parsed, Pointers, Reading, RejectReason};

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let mut collector = Collector::new(Format::Jsonl, reading);
    let pointers = &reading.pointers;
    if let Some(records) = &pointers.records {
        return below(collector, pointers, records, bytes);
    }
    let first = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty());
    let Some(first) = first else { return collector.finish() };
    // An array has its records in it; an object over several lines is a single one.
    let is_whole = first.starts_with(b"[") || serde_json::from_slice::<serde::de::IgnoredAny>(first).is_err();
    if is_whole {
        if !matches!(first.first(), Some(b'[' | b'{')) {
            return refused(Format::Jsonl, bytes, 1, RejectReason::NotJson);
        }
        return below(collector, pointers, "", bytes);
    }
    for (line, raw) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let raw = raw.trim_ascii();
        if raw.is_empty() {
            continue;
        }
        let text = String::from_utf8_lossy(raw);
        let place = Place { line, text: &text };
        match serde_json::from_str(&text) {
            Ok(value) => record(&mut collector, place, pointers, &value),
            Err(_) => collector.reject(place, RejectReason::Record),
        }
        if collector.is_full() {
            break;
        }
    }
    collector.finish()
}

/// Reads the records of a document that stand in what the pointer `records` names.
fn below(mut collector: Collector, pointers: &Pointers, records: &str, bytes: &[u8]) -> Parsed {
    let segments: Vec<String> =
        records.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect();
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    // Without a pointer, a document that is an object is the record.
    let depth = if is_object && segments.is_empty() { 0 } else { segments.len() + 1 };
    let want = |path: &[Step]| {
        let leads = path.iter().zip(&segments).all(|(step, segment)| match step {
            Step::Key(key) => key == segment,
            Step::Index(index) => index.to_string() == *segment,
        });
        match leads {
            true if path.len() == depth => Want::Take,
            true => Want::Enter,
            false => Want::Skip,
        }
    };
    let mut number = 0;
    let walked = document::walk(bytes, &want, &mut |_, value| {
        number += 1;
        if !collector.is_full() {
            let text = value.to_string();
            record(&mut collector, Place { line: number, text: &text }, pointers, &value);
        }
    });
    match walked {
        Ok(()) if number == 0 && !segments.is_empty() => {
            refused(Format::Jsonl, bytes, 1, RejectReason::NoColumn)
        }
        Ok(()) => collector.finish(),
        Err(broken) => refused(Format::Jsonl, bytes, broken.line, RejectReason::BrokenJson),
    }
}

/// Adds a record.
fn record(collector: &mut Collector, place: Place<'_>, pointers: &Pointers, value: &Value) {
    if let Value::String(text) = value {
        let get = |field: Field| (field == Field::Value).then_some(Cow::Borrowed(text.as_str()));
        return usual::add(collector, place, get);
    }
    let Value::Object(members) = value else { return collector.reject(place, RejectReason::Record) };
    usual::add(collector, place, |field| {
        let found = match pointer(pointers, field) {
            Some(pointer) => value.pointer(pointer),
            None => {
                let has =
                    |usual: &str| members.iter().any(|(key, value)| name(key) == usual && !value.is_null());
                let usual = usual::named(field, has)?;
                members
                    .iter()
                    .find(|(key, value)| name(key) == usual && !value.is_null())
                    .map(|(_, value)| value)
            }
        };
        document::joined(found).map(Cow::Owned)
    });
}

fn pointer(pointers: &Pointers, field: Field) -> Option<&str> {
    let pointer = match field {
        Field::Value => &pointers.value,
        Field::Port => &pointers.port,
        Field::Score => &pointers.score,
        Field::Category => &pointers.category,
        Field::FirstSeen => &pointers.first_seen,
        Field::LastSeen => &pointers.last_seen,
        Field::Expires => &pointers.expires,
        Field::Reference => &pointers.reference,
        Field::Label => &pointers.label,
    };
    pointer.as_deref()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pointers: Pointers, text: &str) -> Parsed {
        parse(&Reading { format: Format::Jsonl, pointers, ..Reading::default() }, text.as_bytes())
    }

    fn networks(parsed: &Parsed) -> Vec<String> {
        parsed.entries.iter().map(|entry| format!("{} {}", entry.line, entry.network)).collect()
    }

    #[test]
    fn lines_arrays_and_single_records_are_read_by_usual_names() {
        let lines =
            "{\"ip\":\"192.0.2.1\",\"Port\":443,\"score\":81.5}\n\n{\"ip\":\"192.0.2.2\"\n\"192.0.2.3\"\n7\n";
        let parsed = read(Pointers::default(), lines);
        assert_eq!(networks(&parsed), ["1 192.0.2.1/32", "4 192.0.2.3/32"]);
        assert_eq!((parsed.entries[0].port, parsed.entries[0].score), (Some(443), Some(82)));
        assert_eq!(parsed.rejects.iter().map(|reject| reject.line).collect::<Vec<_>>(), [3, 5]);
        let parsed = read(Pointers::default(), "[{\"cidr\":\"192.0.2.0/24\"},\n \"2001:db8::1\", {}]");
        assert_eq!(networks(&parsed), ["1 192.0.2.0/24", "2 2001:db8::1/128"]);
        assert_eq!(parsed.rejects[0].reason, RejectReason::NoValue);
        let parsed = read(Pointers::default(), "{\n \"ip\": \"192.0.2.1\"\n}");
        assert_eq!(networks(&parsed), ["1 192.0.2.1/32"]);
    }

    #[test]
    fn pointers_reach_into_records_and_documents() {
        let text = r#"{"meta":{"a/b":[{"ioc":{"v":["192.0.2.1"]},"tags":["x","y"]}]},"other":[1]}"#;
        let pointers = Pointers {
            records: Some("/meta/a~1b".into()),
            value: Some("/ioc/v/0".into()),
            label: Some("/tags".into()),
            ..Pointers::default()
        };
        let parsed = read(pointers, text);
        assert_eq!(networks(&parsed), ["1 192.0.2.1/32"]);
        assert_eq!(parsed.entries[0].about.as_ref().unwrap().label.as_deref(), Some("x, y"));
        let nowhere = Pointers { records: Some("/none".into()), ..Pointers::default() };
        assert_eq!(read(nowhere, text).rejects[0].reason, RejectReason::NoColumn);
    }

    #[test]
    fn a_document_that_breaks_off_gives_nothing() {
        let parsed = read(Pointers::default(), "[{\"ip\":\"192.0.2.1\"},\n{\"ip\":");
        assert!(parsed.entries.is_empty());
        assert_eq!((parsed.rejects[0].line, parsed.rejects[0].reason), (2, RejectReason::BrokenJson));
        assert_eq!(read(Pointers::default(), "ip\n").rejects[0].reason, RejectReason::NotJson);
    }

    proptest! {
        #[test]
        fn anything_is_read_or_accounted_for(text in "[\\[\\]{}\":,a-c0-9.\n ]{0,60}") {
            let parsed = read(Pointers::default(), &text);
            prop_assert!(parsed.entries.iter().all(|entry| entry.network == entry.network.trunc()));
        }
    }
}
