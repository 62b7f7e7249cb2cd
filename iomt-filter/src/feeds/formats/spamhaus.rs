//! Spamhaus DROP: JSON lines with a last line about the list, and the older text with `; SBL123` behind networks.
//!
//! Bytes come in, entries go out: networks that were taken from their owners. The number of records that the list
//! says it has is compared with what there is.

use serde::Deserialize;

use super::banner::Banner;
use super::collect::{Collector, Facts, Place, kept};
use super::{Format, Parsed, Reading, RejectReason};
use crate::feeds::{About, Category};

/// Nothing good comes from these networks, says who lists them.
const SCORE: u8 = 100;

/// A line of the JSON: a network, an AS, or what is said of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record {
    cidr: Option<String>,
    sblid: Option<String>,
    asn: Option<serde_json::Value>,
    #[serde(rename = "type")]
    kind: Option<String>,
    records: Option<u64>,
}

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let collector = Collector::new(Format::Spamhaus, reading);
    if bytes.trim_ascii_start().starts_with(b"{") { lines(collector, bytes) } else { text(collector, bytes) }
}

fn lines(mut collector: Collector, bytes: &[u8]) -> Parsed {
    let (mut said, mut found) = (None, 0);
    for (line, raw) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let raw = raw.trim_ascii();
        if raw.is_empty() {
            continue;
        }
        let text = String::from_utf8_lossy(raw);
        let place = Place { line, text: &text };
        match serde_json::from_str::<Record>(&text) {
            Ok(Record { kind: Some(kind), records, .. }) if kind == "metadata" => said = records,
            Ok(Record { cidr: Some(cidr), sblid, .. }) => {
                found += 1;
                add(&mut collector, place, &cidr, sblid.as_deref());
            }
            Ok(Record { asn: Some(_), .. }) => {
                found += 1;
                collector.reject(place, RejectReason::AsNumber);
            }
            Ok(_) => collector.reject(place, RejectReason::NoValue),
            Err(_) => collector.reject(place, RejectReason::Record),
        }
        if collector.is_full() {
            break;
        }
    }
    collector.said(said, found);
    collector.finish()
}

fn text(mut collector: Collector, bytes: &[u8]) -> Parsed {
    let mut banner = Banner::default();
    let mut found = 0;
    for (line, raw) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let text = String::from_utf8_lossy(raw.trim_ascii());
        let place = Place { line, text: &text };
        match text.split_once(';') {
            _ if text.is_empty() => continue,
            _ if text.starts_with([';', '#']) => {
                banner.read(&text);
                continue;
            }
            Some((network, reference)) => add(&mut collector, place, network.trim(), Some(reference)),
            None => add(&mut collector, place, &text, None),
        }
        found += 1;
        if collector.is_full() {
            break;
        }
    }
    banner.remark(found, &mut collector);
    collector.finish()
}

fn add(collector: &mut Collector, place: Place<'_>, network: &str, reference: Option<&str>) {
    let about = About { category: Some(Category::Hijacked), reference: kept(reference), ..About::default() };
    collector.value(place, network, Facts { score: Some(SCORE), about, ..Facts::default() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::formats::Remark;

    fn read(text: &str) -> Parsed {
        parse(&Reading::default(), text.as_bytes())
    }

    fn entries(parsed: &Parsed) -> Vec<(String, String)> {
        let reference = |entry: &crate::feeds::Entry| {
            entry.about.as_ref().and_then(|about| about.reference.clone()).unwrap_or_default().into_string()
        };
        parsed.entries.iter().map(|entry| (entry.network.to_string(), reference(entry))).collect()
    }

    #[test]
    fn lines_of_both_families_are_read_and_counted() {
        let text = "{\"cidr\":\"192.0.2.0\\/24\",\"sblid\":\"SBL1\",\"rir\":\"apnic\"}\n{\"cidr\":\"2001:db8::/32\",\"sblid\":\"SBL2\",\"rir\":\"ripencc\"}\n{\"asn\":64496,\"rir\":\"arin\"}\n{\"cidr\":\n{\"type\":\"metadata\",\"timestamp\":1790072042,\"records\":4}\n";
        let parsed = read(text);
        assert_eq!(
            entries(&parsed),
            [("192.0.2.0/24".into(), "SBL1".into()), ("2001:db8::/32".into(), "SBL2".into())]
        );
        let reasons: Vec<_> = parsed.rejects.iter().map(|reject| (reject.line, reject.reason)).collect();
        assert_eq!(reasons, [(3, RejectReason::AsNumber), (4, RejectReason::Record)]);
        assert_eq!(parsed.remarks, [Remark::Count { said: 4, found: 3 }]);
        assert!(parsed.entries.iter().all(|entry| entry.score == Some(100)));
    }

    #[test]
    fn the_older_text_keeps_its_numbers() {
        let parsed = read(
            "; Spamhaus DROP List 2026/07/01\n; Expires: Wed, 01 Jul 2026 10:13:00 GMT\n192.0.2.0/24 ; SBL1\n198.51.100.0/24\nno network ; SBL3\n",
        );
        assert_eq!(
            entries(&parsed),
            [("192.0.2.0/24".into(), "SBL1".into()), ("198.51.100.0/24".into(), String::new())]
        );
        assert_eq!(parsed.rejects[0].line, 5);
    }
}
