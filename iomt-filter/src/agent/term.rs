//! When what was given for a time ends.
//!
//! People name a time of day, and set the clock that tells it. What counts is the time since boot: the end is
//! reckoned once, kept, and stands as long as the host runs. After a reboot the time of day has to tell how
//! much is over, and is believed only so far: nothing lasts longer than it was given for, nor longer than was
//! left of it when the agent last looked at the clock.

use std::path::Path;

use jiff::Timestamp;

use super::core::{Core, chain};
use super::store::{self, StoreError};
use crate::clock::{BootTime, Clocks};

/// The file of the moment at which the agent last looked at the clock, in the state folder.
const CLOCK: &str = "clock.json";

/// From when to when something was given, by the time of day of then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

impl Term {
    /// When it ends in the boot of `now`, where it was to end at `end`, which may lie in another boot or in
    /// none, and the clock was last looked at at `seen`.
    pub(super) fn ends(self, end: BootTime, seen: BootTime, now: &Clocks) -> BootTime {
        if end.is_of(now.boot) {
            return end;
        }
        let mut left = between(self.from, self.until).min(between(now.time_of_day, self.until));
        if end.boot != 0 {
            let known = if end.is_of(seen) { seen.nanoseconds } else { 0 };
            left = left.min(end.nanoseconds.saturating_sub(known));
        }
        now.boot.after(left)
    }
}

/// Nanoseconds from one time of day to a later one.
pub(super) fn between(from: Timestamp, until: Timestamp) -> u64 {
    u64::try_from(until.as_nanosecond() - from.as_nanosecond()).unwrap_or(0)
}

/// When an agent last looked at the clock; where that is lost, less is known of what was left.
pub(super) fn seen(state: &Path) -> BootTime {
    store::load(state, CLOCK).unwrap_or_else(|error| {
        tracing::warn!(error = chain(&error), "how much was left of grants and blocks is not known");
        BootTime::default()
    })
}

impl Core {
    /// Notes how much is left of what ends, where there is any.
    pub(super) fn keep_clock(&self) {
        if !self.grants.is_empty() || self.blocks.any_ends() || self.exceptions.any_ends() {
            told(store::save(&self.config.paths.state, CLOCK, &BootTime::now()));
        }
    }

    /// Keeps what ends as it ends in this boot, where the clock was last looked at in another one. Blocks are kept so
    /// since the start.
    pub(super) fn keep_ends(&self, seen: BootTime) {
        if !seen.is_of(BootTime::now()) {
            let state = &self.config.paths.state;
            if self.exceptions.any_ends() {
                told(store::save(state, super::exceptions::EXCEPTIONS, &*self.exceptions));
            }
            if !self.grants.is_empty() {
                told(store::save(state, super::grants::GRANTS, &*self.grants));
            }
        }
        self.keep_clock();
    }
}

fn told(kept: Result<(), StoreError>) {
    if let Err(error) = kept {
        tracing::error!(error = chain(&error), "how much is left of grants and blocks is not kept");
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, ToSpan as _};

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3_600 * SECOND;

    fn noon() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    /// Four hours from noon.
    fn term() -> Term {
        Term { from: noon(), until: noon() + 4.hours() }
    }

    const fn at(boot: u64, nanoseconds: u64) -> BootTime {
        BootTime { boot, nanoseconds }
    }

    /// The clocks a minute after boot 2, the time of day so far behind noon.
    fn clocks(minutes: i64) -> Clocks {
        let time_of_day = noon() + SignedDuration::from_mins(minutes);
        Clocks { boot: at(2, 60 * SECOND), time_of_day }
    }

    fn left(end: BootTime, seen: BootTime, minutes: i64) -> u64 {
        let ends = term().ends(end, seen, &clocks(minutes));
        assert_eq!(ends.boot, 2);
        ends.nanoseconds - 60 * SECOND
    }

    const DAYS_400: i64 = 400 * 24 * 60;

    #[test]
    fn within_one_boot_the_time_of_day_says_nothing() {
        for minutes in [-DAYS_400, 0, 90, DAYS_400] {
            assert_eq!(left(at(2, HOUR), at(2, 9), minutes), HOUR - 60 * SECOND, "{minutes}");
        }
    }

    #[test]
    fn after_a_reboot_a_right_clock_says_how_much_is_over() {
        assert_eq!(left(at(1, 9 * HOUR), at(1, 6 * HOUR), 90), 5 * HOUR / 2);
        assert_eq!(left(at(1, 9 * HOUR), at(1, 6 * HOUR), 300), 0, "it was over before the boot");
    }

    #[test]
    fn after_a_reboot_a_clock_behind_makes_nothing_longer_than_was_left() {
        for minutes in [-DAYS_400, -1, 0] {
            assert_eq!(left(at(1, 9 * HOUR), at(1, 8 * HOUR), minutes), HOUR, "{minutes}");
            assert_eq!(left(at(1, 9 * HOUR), at(1, 9 * HOUR), minutes), 0, "nothing was left");
            assert_eq!(
                left(at(1, 2 * HOUR), at(0, 0), minutes),
                2 * HOUR,
                "it ended two hours after that boot"
            );
        }
    }

    #[test]
    fn what_is_known_from_the_time_of_day_alone_lasts_no_longer_than_it_was_given_for() {
        assert_eq!(left(BootTime::default(), BootTime::default(), -DAYS_400), 4 * HOUR);
        assert_eq!(left(BootTime::default(), BootTime::default(), 210), HOUR / 2);
        assert_eq!(left(BootTime::default(), at(1, 5), DAYS_400), 0);
    }
}
