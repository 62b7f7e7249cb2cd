//! Entries of systemd's journal, as its socket takes them (`systemd.journal-fields(7)`, "Native Journal Protocol").

use std::fmt::Display;

use super::super::Record;
use super::{PRODUCT, syslog};

/// `MESSAGE_ID`s: `journalctl MESSAGE_ID=…` shows frames, or what the agent says.
const FRAME: &str = "1b2f0d5a6c0e4a6f9a54c3b5d0a7e811";
const NOTICE: &str = "7c9e6679f0b24d0c8e2a51c0b9d4f322";

/// An event as the bytes of one datagram.
#[must_use]
pub fn entry(record: &Record) -> Vec<u8> {
    let (source, destination) = record.ends();
    let mut entry = Entry(Vec::new());
    entry.add("MESSAGE", Some(record));
    entry.add("MESSAGE_ID", Some(if record.is_notice() { NOTICE } else { FRAME }));
    entry.add("PRIORITY", Some(syslog::severity(record)));
    entry.add("SYSLOG_IDENTIFIER", Some(PRODUCT));
    entry.add("SYSLOG_TIMESTAMP", record.time.map(|time| format!("{time:.6}")));
    entry.add("IOMT_FILTER_VERDICT", Some(&record.verdict));
    entry.add("IOMT_FILTER_REASON", Some(&record.reason));
    entry.add("IOMT_FILTER_DRIFT", record.drift.as_ref().map(|drift| drift.what.name()));
    entry.add("IOMT_FILTER_DEVICE", record.device.as_ref());
    entry.add("IOMT_FILTER_PROFILE", record.profile.as_ref());
    entry.add("IOMT_FILTER_DIRECTION", record.direction.as_ref());
    entry.add("IOMT_FILTER_INTERFACE", record.interface.as_ref());
    entry.add("IOMT_FILTER_SOURCE", source);
    entry.add("IOMT_FILTER_SOURCE_PORT", record.source_port);
    entry.add("IOMT_FILTER_DESTINATION", destination);
    entry.add("IOMT_FILTER_DESTINATION_PORT", record.destination_port);
    entry.add("IOMT_FILTER_PROTOCOL", record.protocol.as_ref());
    entry.add("IOMT_FILTER_COUNTRY", record.country.as_ref());
    entry.add("IOMT_FILTER_FEED", record.feed.as_ref());
    entry.add("IOMT_FILTER_ENTRY", record.entry.as_ref());
    entry.add("IOMT_FILTER_SCORE", record.score);
    entry.add("IOMT_FILTER_RULE", record.rule.as_ref());
    entry.add("IOMT_FILTER_GENERATION", (!record.is_notice()).then_some(record.generation));
    entry.add("IOMT_FILTER_COUNT", Some(record.count));
    entry.add("IOMT_FILTER_COMMUNITY_ID", super::community_id::of(record));
    entry.0
}

struct Entry(Vec<u8>);

impl Entry {
    fn add(&mut self, field: &str, value: Option<impl Display>) {
        let Some(value) = value else { return };
        let value = value.to_string();
        self.0.extend(field.as_bytes());
        if value.contains('\n') {
            // What has several lines comes with its length.
            self.0.push(b'\n');
            self.0.extend((value.len() as u64).to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend(value.as_bytes());
        self.0.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::ArpRecord;

    #[test]
    fn an_entry_has_fields_of_its_own() {
        let record = Record {
            verdict: "drop".into(),
            reason: "geo".into(),
            device: Some("two\nlines".into()),
            ..Record::default()
        };
        let entry = entry(&record);
        let text = String::from_utf8_lossy(&entry);
        assert!(text.contains("\nPRIORITY=5\n") && text.contains("\nIOMT_FILTER_REASON=geo\n"), "{text}");
        assert!(text.contains("\nIOMT_FILTER_DEVICE\n\u{9}\0\0\0\0\0\0\0two\nlines\n"), "{text:?}");
        assert!(!text.contains("IOMT_FILTER_FEED"), "{text}");
        let arp = ArpRecord {
            sender_mac: "00:1b:21:aa:bb:cc".into(),
            sender: [10, 0, 0, 1].into(),
            target: [10, 0, 0, 2].into(),
        };
        let entry = super::entry(&Record { arp: Some(arp), ..record });
        let text = String::from_utf8_lossy(&entry);
        assert!(text.contains("\nIOMT_FILTER_SOURCE=10.0.0.1\nIOMT_FILTER_DESTINATION=10.0.0.2\n"), "{text}");
    }
}
