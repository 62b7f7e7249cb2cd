//! abuse.ch Feodo Tracker: servers that botnets take their commands from, as JSON, CSV or text.
//!
//! Bytes come in, entries with their port, family and times go out. A server that was online at last scores higher
//! than one that was not.

use std::borrow::Cow;

use super::banner::Banner;
use super::collect::{Collector, Facts, Place, kept, refused};
use super::document;
use super::table::Table;
use super::{Format, Parsed, Reading, RejectReason, plain};
use crate::feeds::{About, Category};

const ONLINE: u8 = 95;
const OFFLINE: u8 = 75;
/// The columns of the CSV.
const COLUMNS: &[&str] = &["first_seen_utc", "dst_ip", "dst_port", "c2_status", "last_online", "malware"];

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let mut collector = Collector::new(Format::Feodo, reading);
    if bytes.trim_ascii_start().starts_with(b"[") {
        return json(collector, bytes);
    }
    let Some(first) = first_row(bytes) else {
        Banner::of(bytes, b"#").remark(0, &mut collector);
        return collector.finish();
    };
    if !first.contains(&b',') {
        return plain::read(
            collector,
            bytes,
            Some(About { category: Some(Category::C2), ..About::default() }),
        );
    }
    let table = Table::named(bytes, b',', &["dst_ip"], COLUMNS);
    let found = table.rows(&mut collector, |collector, row| add(collector, row.place, |name| row.get(name)));
    Banner::of(bytes, b"#").remark(found, &mut collector);
    collector.finish()
}

fn json(mut collector: Collector, bytes: &[u8]) -> Parsed {
    let mut line = 0;
    let walked = document::take(bytes, &[&["*"]], &mut |_, record| {
        line += 1;
        let text = record.to_string();
        let named = |name: &str| {
            match name {
                "dst_ip" => "ip_address",
                "dst_port" => "port",
                "c2_status" => "status",
                "first_seen_utc" => "first_seen",
                _ => name,
            }
            .to_owned()
        };
        let get = |name: &str| document::member(&record, &named(name)).map(Cow::Owned);
        add(&mut collector, Place { line, text: &text }, get);
    });
    match walked {
        Ok(()) => collector.finish(),
        Err(broken) => refused(Format::Feodo, bytes, broken.line, RejectReason::BrokenJson),
    }
}

fn add<'t>(collector: &mut Collector, place: Place<'_>, get: impl Fn(&'static str) -> Option<Cow<'t, str>>) {
    let Some(address) = get("dst_ip") else { return collector.reject(place, RejectReason::NoValue) };
    let score = match get("c2_status").as_deref() {
        Some("online") => Some(ONLINE),
        Some("offline") => Some(OFFLINE),
        _ => None,
    };
    let about = About {
        category: Some(Category::C2),
        first_seen: collector.time("first_seen", place.line, get("first_seen_utc").as_deref()),
        last_seen: collector.time("last_online", place.line, get("last_online").as_deref()),
        label: kept(get("malware").as_deref()),
        ..About::default()
    };
    let port = collector.port(place.line, get("dst_port").as_deref());
    collector.value(place, address.trim(), Facts { port, score, about });
}

/// The first line that is neither blank nor a comment.
fn first_row(bytes: &[u8]) -> Option<&[u8]> {
    let mut lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    lines.find(|line| !line.is_empty() && !line.starts_with(b"#"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let told = |entry: &crate::feeds::Entry| {
            let label = entry.about.as_ref().and_then(|about| about.label.clone());
            format!("{} {:?} {:?} {:?}", entry.network, entry.port, entry.score, label)
        };
        parse(&Reading::default(), text.as_bytes()).entries.iter().map(told).collect()
    }

    #[test]
    fn each_of_its_three_forms_is_read() {
        let expected = ["192.0.2.32/32 Some(4643) Some(95) Some(\"Dridex\")"];
        let json = r#"[{"ip_address":"192.0.2.32","port":4643,"status":"online","hostname":null,"as_number":64496,"first_seen":"2021-01-17 07:44:46","last_online":"2022-11-15","malware":"Dridex"}]"#;
        assert_eq!(read(json), expected);
        let csv = "####\r\n# abuse.ch Feodo Tracker Botnet C2 IP Blocklist (CSV)          #\r\n#\r\n\"first_seen_utc\",\"dst_ip\",\"dst_port\",\"c2_status\",\"last_online\",\"malware\"\r\n\"2022-06-04 21:24:53\",\"192.0.2.32\",\"4643\",\"online\",\"2026-03-07\",\"Dridex\"\r\n";
        assert_eq!(read(csv), expected);
        let text = "# abuse.ch Feodo Tracker\r\n192.0.2.32\r\n";
        assert_eq!(read(text), ["192.0.2.32/32 None None None"]);
    }

    #[test]
    fn members_may_be_null_or_missing_but_for_the_address() {
        let parsed = parse(
            &Reading::default(),
            b"[{\"ip_address\":\"192.0.2.1\",\"port\":null,\"first_seen\":\"soon\"},{\"port\":1},7]",
        );
        assert_eq!((parsed.entries.len(), parsed.entries[0].port), (1, None));
        assert!(parsed.rejects.iter().all(|reject| reject.reason == RejectReason::NoValue));
        assert_eq!((parsed.rejects.len(), parsed.remarks.len()), (2, 1));
        assert!(parse(&Reading::default(), b"[]").rejects.is_empty());
    }
}
