//! Frames by verdict and reason, with their rates.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use super::Round;
use super::devices::rate;

/// A verdict and a reason as they are shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ReasonRow {
    /// The verdict.
    pub verdict: String,
    /// The reason.
    pub reason: String,
    /// Frames.
    pub frames: u64,
    /// Frames a second; nothing where it is not known yet.
    pub rate: Option<f64>,
}

impl ReasonRow {
    fn is_pass(&self) -> bool {
        self.verdict == "pass"
    }
}

/// Frames a second by what became of them; nothing where it is not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// All.
    pub frames: Option<f64>,
    /// Those that were dropped or reset.
    pub dropped: Option<f64>,
    /// Those that would be.
    pub would: Option<f64>,
}

/// All of them: those that do not pass first, the most frequent first.
#[derive(Clone, Debug, Default)]
pub struct Reasons {
    /// In their order.
    pub rows: Vec<ReasonRow>,
    /// The sums of their rates.
    pub rates: Rates,
    /// What was counted last; nothing where that is no measure.
    before: Option<HashMap<(String, String), u64>>,
    at: Duration,
}

impl Reasons {
    /// What was counted last is no measure any more.
    pub(super) fn forget_rates(&mut self) {
        self.before = None;
        self.rates = Rates::default();
        self.rows.iter_mut().for_each(|row| row.rate = None);
    }

    pub(super) fn take(&mut self, round: &Round) {
        let lasted = round.at.saturating_sub(self.at).as_secs_f64();
        let before = self.before.take();
        let frames = round.status.frames.iter();
        let all = frames.flat_map(|(verdict, reasons)| reasons.iter().map(move |reason| (verdict, reason)));
        self.rows = all
            .map(|(verdict, (reason, frames))| {
                let key = (verdict.clone(), reason.clone());
                // What was not there before has been counted since.
                let before = before.as_ref().map(|before| before.get(&key).copied().unwrap_or(0));
                let rate = before.and_then(|before| rate(before, *frames, lasted));
                ReasonRow { verdict: key.0, reason: key.1, frames: *frames, rate }
            })
            .filter(|row| row.frames > 0)
            .collect();
        let by = |rate: Option<f64>| (rate.unwrap_or(0.0) * 1_000.0) as u64;
        self.rows.sort_by_key(|row| (row.is_pass(), Reverse((by(row.rate), row.frames))));
        let sum = |is_meant: &dyn Fn(&str) -> bool| {
            let rates = self.rows.iter().filter(|row| is_meant(&row.verdict)).map(|row| row.rate);
            before.as_ref().and_then(|_| rates.sum::<Option<f64>>())
        };
        self.rates = Rates {
            frames: sum(&|_| true),
            dropped: sum(&|verdict| matches!(verdict, "drop" | "reset")),
            would: sum(&|verdict| verdict == "would-drop"),
        };
        let counted = self.rows.iter().map(|row| ((row.verdict.clone(), row.reason.clone()), row.frames));
        (self.before, self.at) = (Some(counted.collect()), round.at);
    }
}
