//! How much a list held up to a day ago, so that growth has a limit a day, and not only one a reading.
//!
//! What a list held before a reading comes in, and the moment of the reading; what the gate compares with goes out. It
//! judges nothing and knows no limit.

use jiff::Timestamp;

use super::{List, stamp, time};

/// How long growth is measured against the same number, in seconds.
const DAY: u32 = 86_400;

/// How much a list held, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Baseline {
    /// Since when growth is measured against it, in seconds since 1970.
    pub(super) at: u32,
    /// Entries and domains; none where nothing was ever listed.
    pub(super) entries: u32,
}

impl Baseline {
    /// Of what is present in a list at a moment.
    pub(super) fn of(present: usize, at: u32) -> Self {
        Self { at, entries: u32::try_from(present).unwrap_or(u32::MAX) }
    }
}

impl List {
    /// Since when, and against how many entries and domains, growth is measured beside the last reading; nothing
    /// where nothing was ever listed.
    #[must_use]
    pub fn baseline(&self) -> Option<(Timestamp, usize)> {
        let Baseline { at, entries } = self.baseline;
        (entries > 0).then(|| (time(at), entries as usize))
    }

    /// The same, with what it lists now as the baseline: somebody let it through as it is.
    #[must_use]
    pub fn as_baseline(&self) -> Self {
        Self { baseline: Baseline::of(self.present(), self.read), ..self.clone() }
    }

    /// The baseline after a reading at `now` that has so many entries and domains, where this is what was listed
    /// before. A list that is empty for a while is measured against what it held before that.
    pub(super) fn next_baseline(&self, present: usize, now: Timestamp) -> Baseline {
        let (now, before) = (stamp(now), self.present());
        let Baseline { at, entries } = self.baseline;
        // A time in the future comes of a clock that was wrong.
        let at = at.min(now);
        if entries == 0 {
            Baseline::of(if before > 0 { before } else { present }, now)
        } else if now.saturating_sub(at) >= DAY && before > 0 {
            Baseline::of(before, now)
        } else {
            Baseline { at, entries }
        }
    }
}
