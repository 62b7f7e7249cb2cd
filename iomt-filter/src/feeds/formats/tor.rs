//! Tor's `exit-addresses`: nodes with the addresses that their exits were seen to use.
//!
//! Text comes in; an entry for each `ExitAddress` goes out, with the node's fingerprint and when it was seen.

use super::collect::{Collector, Facts, Place};
use super::{Format, Parsed, Reading, RejectReason};
use crate::feeds::{About, Category};

/// Exits are used by the good and the bad: half of the scale.
const SCORE: u8 = 50;

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let mut collector = Collector::new(Format::Tor, reading);
    let mut node: Option<Box<str>> = None;
    for (line, raw) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let text = String::from_utf8_lossy(raw.trim_ascii());
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let place = Place { line, text: &text };
        let (key, value) = text.split_once(' ').unwrap_or((&*text, ""));
        match key {
            "ExitNode" => node = Some(value.trim().into()),
            "Published" | "LastStatus" => {}
            "ExitAddress" => {
                let (address, seen) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
                let last_seen = collector.time("last_seen", line, Some(seen));
                let about = About {
                    category: Some(Category::Anonymizer),
                    last_seen,
                    reference: node.clone(),
                    ..About::default()
                };
                collector.value(place, address, Facts { score: Some(SCORE), about, ..Facts::default() });
            }
            // The bulk list of the same project has addresses alone.
            address if value.is_empty() => {
                let about = About { category: Some(Category::Anonymizer), ..About::default() };
                collector.value(place, address, Facts { score: Some(SCORE), about, ..Facts::default() });
            }
            _ => collector.reject(place, RejectReason::Record),
        }
        if collector.is_full() {
            break;
        }
    }
    collector.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_have_their_node_and_their_time() {
        let text = b"ExitNode 0011AABB\nPublished 2026-10-09 06:23:54\nLastStatus 2026-10-09 07:00:00\nExitAddress 192.0.2.240 2026-10-09 07:04:23\nExitAddress 192.0.2.241 2026-10-09 08:00:00\nExitSomething else\n";
        let parsed = parse(&Reading::default(), text);
        assert_eq!(parsed.entries.len(), 2);
        let about = parsed.entries[0].about.as_ref().unwrap();
        assert_eq!(about.reference.as_deref(), Some("0011AABB"));
        assert_eq!(about.last_seen.map(|at| at.to_string()).as_deref(), Some("2026-10-09T07:04:23Z"));
        assert_eq!((parsed.rejects[0].line, parsed.rejects[0].reason), (6, RejectReason::Record));
    }
}
