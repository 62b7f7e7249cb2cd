//! The latest events, and the one that is chosen.

use std::collections::VecDeque;

use crate::events::Record;

/// Events that are kept, and as many that wait while the screen stands still.
const KEPT: usize = 1_000;

/// An event as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Its number, in the order in which they came.
    pub number: u64,
    /// What it says, in a line.
    pub text: String,
    /// All of it.
    pub record: Record,
}

/// The latest events.
#[derive(Clone, Debug, Default)]
pub struct Events {
    kept: VecDeque<EventRow>,
    waiting: VecDeque<EventRow>,
    next: u64,
    /// Events that came too fast to be told, since they began.
    pub missed: u64,
    chosen: Option<u64>,
    /// Whether what is shown is told again.
    is_new: bool,
}

impl Events {
    /// The latest first.
    pub fn latest(&self) -> impl Iterator<Item = &EventRow> {
        self.kept.iter().rev()
    }

    /// Events that came while the screen stands still, [`KEPT`] at most.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The number of the one that is chosen; none where it is the latest, whichever that is.
    #[must_use]
    pub fn chosen(&self) -> Option<u64> {
        self.chosen
    }

    pub(super) fn choose(&mut self, number: Option<u64>) {
        self.chosen = number;
    }

    pub(super) fn push(&mut self, record: Record) {
        self.waiting.push_back(EventRow { number: self.next, text: record.to_string(), record });
        self.next += 1;
        bound(&mut self.waiting);
    }

    /// What came is shown.
    pub(super) fn catch_up(&mut self) {
        if std::mem::take(&mut self.is_new) {
            self.kept.clear();
            self.chosen = None;
        }
        self.kept.append(&mut self.waiting);
        bound(&mut self.kept);
    }

    /// Those that come are told from their beginning. Numbers go on, so that none means another event than before.
    pub(super) fn begin(&mut self) {
        self.waiting.clear();
        (self.missed, self.is_new) = (0, true);
    }
}

fn bound(rows: &mut VecDeque<EventRow>) {
    rows.drain(..rows.len().saturating_sub(KEPT));
}
