//! AlienVault's `reputation.data`: `IP#reliability#risk#type#country#city#latitude,longitude#id`.
//!
//! Text comes in, entries go out that score reliability times risk.

use super::collect::{Collector, Facts, Place, kept};
use super::{Format, Parsed, Reading, RejectReason, category};
use crate::feeds::About;

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let mut collector = Collector::new(Format::Reputation, reading);
    for (line, raw) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let text = String::from_utf8_lossy(raw.trim_ascii());
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let place = Place { line, text: &text };
        let mut fields = text.split('#').map(str::trim);
        let address = fields.next().unwrap_or_default();
        // Both are from 1 to 10.
        let mut grade = || fields.next()?.parse::<u8>().ok().filter(|grade| (1..=10).contains(grade));
        let (reliability, risk) = (grade(), grade());
        let (Some(reliability), Some(risk)) = (reliability, risk) else {
            collector.reject(place, RejectReason::Record);
            continue;
        };
        let kind = kept(fields.next());
        let reference = kept(fields.nth(3));
        let about =
            About { category: kind.as_deref().map(category::of), label: kind, reference, ..About::default() };
        let score = Some(reliability * risk);
        collector.value(place, address, Facts { port: None, score, about });
        if collector.is_full() {
            break;
        }
    }
    collector.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::Category;

    #[test]
    fn the_score_is_reliability_times_risk() {
        let text = b"192.0.2.19#3#2#Scanning Host#CN#Zhengzhou#34.68,113.53#11\n192.0.2.15#10#10#C&C;Malicious Host#DE##51.0,9.0#2;3\n192.0.2.16#11#2#x####\n192.0.2.17#1\n";
        let parsed = parse(&Reading::default(), text);
        let first = &parsed.entries[0];
        assert_eq!(first.score, Some(6));
        let about = first.about.as_ref().unwrap();
        assert_eq!((about.category, about.reference.as_deref()), (Some(Category::Scanner), Some("11")));
        assert_eq!(parsed.entries[1].score, Some(100));
        assert_eq!(parsed.entries[1].about.as_ref().unwrap().category, Some(Category::C2));
        assert_eq!(parsed.rejects.iter().map(|reject| reject.line).collect::<Vec<_>>(), [3, 4]);
    }
}
