//! abuse.ch SSLBL: addresses behind certificates of botnets, as CSV `Firstseen,DstIP,DstPort`.
//!
//! Text comes in, entries with their port go out. The list has been given up by its publisher, who still serves its
//! comments: they are remarked.

use super::banner::Banner;
use super::collect::{Collector, Facts};
use super::table::Table;
use super::{Format, Parsed, Reading, RejectReason};
use crate::feeds::{About, Category};

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let mut collector = Collector::new(Format::Sslbl, reading);
    let table = Table::named(bytes, b',', &["dstip"], &["firstseen", "dstip", "dstport"]);
    let found = table.rows(&mut collector, |collector, row| {
        let Some(address) = row.get("dstip") else {
            return collector.reject(row.place, RejectReason::NoValue);
        };
        let line = row.place.line;
        let first_seen = collector.time("first_seen", line, row.get("firstseen").as_deref());
        let about = About { category: Some(Category::C2), first_seen, ..About::default() };
        let port = collector.port(line, row.get("dstport").as_deref());
        collector.value(row.place, &address, Facts { port, score: None, about });
    });
    Banner::of(bytes, b"#").remark(found, &mut collector);
    collector.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::formats::Remark;

    #[test]
    fn rows_have_a_port_and_a_time() {
        let text = b"####\n# Firstseen,DstIP,DstPort\r\n2024-07-01 10:00:00,192.0.2.10,443\r\n2024-07-01 10:00:00,,443\n2024-07-01 10:00:00,192.0.2.11,70000\n";
        let parsed = parse(&Reading::default(), text);
        assert_eq!(parsed.entries.iter().map(|entry| entry.port).collect::<Vec<_>>(), [Some(443), None]);
        assert_eq!((parsed.rejects[0].line, parsed.rejects[0].reason), (4, RejectReason::NoValue));
        assert_eq!(parsed.remarks, [Remark::Unread { field: "port", line: 5, count: 1 }]);
    }

    #[test]
    fn that_it_was_given_up_is_remarked() {
        let text =
            b"# SSLBL\n# ATTENTION: This list has been deprecated on 2025-01-03\n# Firstseen,DstIP,DstPort\n";
        let parsed = parse(&Reading::default(), text);
        let line = "ATTENTION: This list has been deprecated on 2025-01-03".to_owned();
        assert_eq!(parsed.remarks, [Remark::Deprecated(line)]);
        assert!(parsed.entries.is_empty() && parsed.rejects.is_empty());
    }
}
