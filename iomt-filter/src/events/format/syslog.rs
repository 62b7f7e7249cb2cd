//! Syslog messages (RFC 5424): a header, the software and a sequence number as structured data, and the event.

use std::fmt::Write as _;

use super::super::Record;
use super::{Format, PRODUCT, Severity, VERSION};

/// The largest `sequenceId` (RFC 5424 §7.3.1); 1 follows.
const LAST_SEQUENCE: u64 = 2_147_483_647;
/// Longest names in a header (RFC 5424 §6).
const HOST_NAME: usize = 255;
const MESSAGE_ID: usize = 32;

/// Who sends, as the header of every message says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Facility, 0 to 23.
    pub facility: u8,
    /// Name of the host; that of the event where there is none.
    pub host: Option<String>,
    /// The process.
    pub process: u32,
}

/// Facilities by name (RFC 5424 §6.2.1, names of `syslog(3)`).
pub const FACILITIES: &[(&str, u8)] = &[
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// The event that is number `sequence` of those to this receiver, counted from 1, as a message.
#[must_use]
pub fn message(record: &Record, format: Format, header: &Header, sequence: u64) -> String {
    let priority = header.facility * 8 + severity(record);
    let host = printable(header.host.as_ref().unwrap_or(&record.host), HOST_NAME);
    let kind = printable(&record.reason, MESSAGE_ID);
    let sequence = sequence.saturating_sub(1) % LAST_SEQUENCE + 1;
    let mut message = format!("<{priority}>1 ");
    let _ = match record.time {
        Some(time) => write!(message, "{time:.6}"),
        None => write!(message, "-"),
    };
    let _ = write!(
        message,
        " {host} {PRODUCT} {} {kind} [origin software=\"{PRODUCT}\" swVersion=\"{VERSION}\"]\
         [meta sequenceId=\"{sequence}\"] ",
        header.process
    );
    message.push_str(&format.line(record));
    message
}

/// As syslog counts it: warning, notice, informational.
pub(super) fn severity(record: &Record) -> u8 {
    match Severity::of(record) {
        Severity::High => 4,
        Severity::Medium => 5,
        Severity::Low => 6,
    }
}

/// A name of a header: printable ASCII without spaces, or `-`.
fn printable(name: &str, longest: usize) -> String {
    let name: String = name.chars().filter(char::is_ascii_graphic).take(longest).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_everything_that_its_header_wants() {
        let header = Header { facility: 16, host: None, process: 7 };
        let record = Record {
            time: Some("2026-11-23T14:02:11.482913Z".parse().unwrap()),
            host: "seg gw\n".into(),
            verdict: "drop".into(),
            reason: "blocklist".into(),
            ..Record::default()
        };
        let text = message(&record, Format::Cef, &header, LAST_SEQUENCE + 1);
        let head = format!(
            "<132>1 2026-11-23T14:02:11.482913Z seggw iomt-filter 7 blocklist \
             [origin software=\"iomt-filter\" swVersion=\"{VERSION}\"][meta sequenceId=\"1\"] CEF:0|"
        );
        assert!(text.starts_with(&head), "{text}");
        let named = Header { host: Some("gw".into()), ..header };
        let text = message(&Record::default(), Format::Json, &named, 2);
        assert!(text.starts_with("<133>1 - gw iomt-filter 7 - [") && text.contains("sequenceId=\"2\""));
    }
}
