//! stamparm's ipsum: an address and the number of lists that have it, or addresses alone in its pre-cut levels.
//!
//! Text comes in, entries go out that score ten for each list, up to 100.

use super::banner::Banner;
use super::collect::{Collector, Facts, Place};
use super::{Format, Parsed, Reading, RejectReason};
use crate::feeds::{About, Category};

/// What each list that has an address adds to its score.
const SCORE_OF_A_LIST: u32 = 10;

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let mut collector = Collector::new(Format::Ipsum, reading);
    let mut banner = Banner::default();
    let mut found = 0;
    for (line, raw) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let text = String::from_utf8_lossy(raw.trim_ascii());
        if text.is_empty() {
            continue;
        }
        if text.starts_with('#') {
            banner.read(&text);
            continue;
        }
        found += 1;
        let place = Place { line, text: &text };
        let mut words = text.split_whitespace();
        let (address, count) = (words.next().unwrap_or_default(), words.next());
        let score = count.map(str::parse::<u32>).transpose();
        let (Ok(count), None) = (score, words.next()) else {
            collector.reject(place, RejectReason::Record);
            continue;
        };
        let score = count.map(|count| count.saturating_mul(SCORE_OF_A_LIST).min(100) as u8);
        let about = About { category: Some(Category::Reputation), ..About::default() };
        collector.value(place, address, Facts { port: None, score, about });
        if collector.is_full() {
            break;
        }
    }
    banner.remark(found, &mut collector);
    collector.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_ten_for_each_list() {
        let text = b"# Last update: Sat, 22 Aug 2026 03:00:29 +0200\n# IP\tnumber of (black)lists\n192.0.2.20\t12\r\n192.0.2.21\t3\n192.0.2.22\n192.0.2.23\tmany\n192.0.2.24\t1\t2\n192.0.2\t1\n";
        let parsed = parse(&Reading::default(), text);
        let scores: Vec<_> = parsed.entries.iter().map(|entry| entry.score).collect();
        assert_eq!(scores, [Some(100), Some(30), None]);
        let reasons: Vec<_> = parsed.rejects.iter().map(|reject| (reject.line, reject.reason)).collect();
        assert_eq!(
            reasons,
            [(6, RejectReason::Record), (7, RejectReason::Record), (8, RejectReason::Unreadable)]
        );
    }
}
