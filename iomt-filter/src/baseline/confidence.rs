//! How sure it is that what was seen belongs to a device's work.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Little was seen of it, or the rule covers more than was seen.
    Low,
    /// Seen repeatedly.
    Medium,
    /// Seen repeatedly over a day or longer.
    High,
}

/// Packets from which on something was seen repeatedly: an exchange or two are fewer.
const REPEATED: u64 = 10;
const LASTING: SignedDuration = SignedDuration::from_hours(24);

impl Confidence {
    /// In what was seen of so many devices between two moments.
    pub(super) fn of(packets: u64, devices: usize, first: Timestamp, last: Timestamp) -> Self {
        let lasts = first.duration_until(last) >= LASTING;
        match (lasts, packets >= REPEATED || devices > 1) {
            (true, true) => Self::High,
            (false, true) => Self::Medium,
            (_, false) => Self::Low,
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}
