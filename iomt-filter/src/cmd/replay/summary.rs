//! What became of the frames of a capture, in one line.

use std::collections::BTreeMap;
use std::fmt;

use crate::events::{Record, Word};

/// Frames by verdict and reason.
#[derive(Debug, Default)]
pub(super) struct Summary {
    frames: u64,
    dropped: BTreeMap<Word, u64>,
    would_drop: BTreeMap<Word, u64>,
}

impl Summary {
    pub(super) fn add(&mut self, record: &Record) {
        self.frames += 1;
        let reasons = match record.verdict.as_ref() {
            "pass" => return,
            "would-drop" => &mut self.would_drop,
            _ => &mut self.dropped,
        };
        *reasons.entry(record.reason.clone()).or_default() += 1;
    }
}

/// `17 frames: 12 passed (2 would drop: not-allowed 2), 5 dropped: blocklist 3, no-flow 2`
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dropped, would_drop) = (sum(&self.dropped), sum(&self.would_drop));
        let noun = if self.frames == 1 { "frame" } else { "frames" };
        write!(f, "{} {noun}: {} passed", self.frames, self.frames - dropped)?;
        if would_drop > 0 {
            write!(f, " ({would_drop} would drop: {})", listed(&self.would_drop))?;
        }
        write!(f, ", {dropped} dropped")?;
        if dropped > 0 { write!(f, ": {}", listed(&self.dropped)) } else { Ok(()) }
    }
}

fn sum(reasons: &BTreeMap<Word, u64>) -> u64 {
    reasons.values().sum()
}

/// The most frequent reason first.
fn listed(reasons: &BTreeMap<Word, u64>) -> String {
    let mut reasons: Vec<_> = reasons.iter().collect();
    reasons.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
    let shown: Vec<_> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_in_one_line() {
        let mut summary = Summary::default();
        assert_eq!(summary.to_string(), "0 frames: 0 passed, 0 dropped");
        let frames = [
            ("pass", "allowed"),
            ("would-drop", "not-allowed"),
            ("drop", "blocklist"),
            ("reset", "no-flow"),
            ("drop", "no-flow"),
        ];
        for (verdict, reason) in frames {
            summary.add(&Record { verdict: verdict.into(), reason: reason.into(), ..Record::default() });
        }
        let expected = "5 frames: 2 passed (1 would drop: not-allowed 1), 3 dropped: no-flow 2, blocklist 1";
        assert_eq!(summary.to_string(), expected);
    }
}
