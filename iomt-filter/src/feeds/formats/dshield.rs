//! DShield's `block.txt`: the networks that attack most, with tabs between `Start`, `End`, `Netblock`, `Attacks` and
//! who they belong to.
//!
//! Text comes in, entries go out; the score rises with the logarithm of the attacks.

use super::banner::Banner;
use super::collect::{Collector, Facts, Place, kept};
use super::{Format, Parsed, Reading, RejectReason};
use crate::feeds::{About, Category};

/// A network with a single attack scores this much, and with every tenfold of it so much more.
const SCORE_OF_ONE: f64 = 30.0;
const SCORE_OF_TENFOLD: f64 = 15.0;

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let mut collector = Collector::new(Format::Dshield, reading);
    let mut found = 0;
    for (line, raw) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let text = String::from_utf8_lossy(raw.trim_ascii());
        if text.is_empty() || text.starts_with('#') || is_header(&text) {
            continue;
        }
        found += 1;
        let place = Place { line, text: &text };
        let mut fields = text.split('\t').map(str::trim);
        let (start, _, length) = (fields.next(), fields.next(), fields.next());
        let (Some(start), Some(length)) = (start, length) else {
            collector.reject(place, RejectReason::Record);
            continue;
        };
        let attacks = fields.next().and_then(|text| text.parse::<u32>().ok());
        let about = About {
            category: Some(Category::Scanner),
            label: kept(fields.next()),
            reference: kept(fields.nth(1)),
            ..About::default()
        };
        let score = attacks.map(score);
        collector.value(place, &format!("{start}/{length}"), Facts { port: None, score, about });
        if collector.is_full() {
            break;
        }
    }
    Banner::of(bytes, b"#").remark(found, &mut collector);
    collector.finish()
}

/// Whether a line names the columns.
pub(super) fn is_header(line: &str) -> bool {
    let mut words = line.split('\t').map(str::trim);
    [words.next(), words.next(), words.next()] == [Some("Start"), Some("End"), Some("Netblock")]
}

fn score(attacks: u32) -> u8 {
    let tenfolds = f64::from(attacks.max(1)).log10();
    SCORE_OF_TENFOLD.mul_add(tenfolds, SCORE_OF_ONE).round().min(100.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_networks_with_a_score_of_their_attacks() {
        let text = b"# DShield\nStart\tEnd\tNetblock\tAttacks\tName\tCountry\temail\n192.0.2.0\t192.0.2.255\t24\t788\tExample Inet\tJP\tx@example.net\n198.51.100.0\t198.51.100.255\t24\t100000\t\t\t\n203.0.113.0\t203.0.113.255\n203.0.113.0\t203.0.113.255\t99\t1\n";
        let parsed = parse(&Reading::default(), text);
        let found: Vec<_> =
            parsed.entries.iter().map(|entry| (entry.network.to_string(), entry.score)).collect();
        assert_eq!(found, [("192.0.2.0/24".into(), Some(73)), ("198.51.100.0/24".into(), Some(100))]);
        assert_eq!(parsed.entries[0].about.as_ref().unwrap().label.as_deref(), Some("Example Inet"));
        let reasons: Vec<_> = parsed.rejects.iter().map(|reject| (reject.line, reject.reason)).collect();
        assert_eq!(reasons, [(5, RejectReason::Record), (6, RejectReason::PrefixLength)]);
    }
}
