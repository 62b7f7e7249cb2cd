//! When a feed is fetched next.
//!
//! What is configured and what has happened come in, a moment goes out. The clock and chance come in as arguments:
//! the same arguments give the same moment.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

/// The least time between two attempts, whatever is configured.
pub const SHORTEST: Duration = Duration::from_secs(10);
/// How long is waited after the first failure.
pub const FIRST_RETRY: Duration = Duration::from_secs(60);
/// The longest wait after failures, where `refresh` is not longer; and the longest that a server may ask for.
pub const LONGEST_RETRY: Duration = Duration::from_secs(24 * 3_600);
/// The share of a wait that chance adds to it, so that not all hospitals ask at once.
const JITTER: f64 = 0.1;

/// What publishers ask of those who fetch their lists: by domain, the least time between two fetches.
const MINIMUM: &[(&str, Duration)] = &[
    // "Not more than once an hour", or the address is blocked.
    ("spamhaus.org", Duration::from_secs(3_600)),
    // Its lists are made anew every five minutes.
    ("abuse.ch", Duration::from_secs(300)),
];

/// How often a feed is to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// As configured.
    pub refresh: Duration,
    /// The least that its publisher allows, see [`minimum`].
    pub minimum: Duration,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When it was last tried.
    pub attempt: Option<Timestamp>,
    /// When that last succeeded.
    pub success: Option<Timestamp>,
    /// How often it has failed since.
    pub failures: u32,
    /// Before that, the server wants to be left alone.
    pub not_before: Option<Timestamp>,
}

impl History {
    /// Writes down an attempt that succeeded.
    pub fn succeeded(&mut self, now: Timestamp) {
        *self = Self { attempt: Some(now), success: Some(now), failures: 0, not_before: None };
    }

    /// Writes down one that failed, and how long the server wants to be left alone.
    pub fn failed(&mut self, now: Timestamp, retry_after: Option<Duration>) {
        self.attempt = Some(now);
        self.failures = self.failures.saturating_add(1);
        self.not_before = retry_after.map(|wait| after(now, wait.min(LONGEST_RETRY)));
    }
}

/// What the publisher of a list asks for, where it is known.
#[must_use]
pub fn minimum(url: &Url) -> Duration {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let is_of =
        |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    MINIMUM.iter().find(|(domain, _)| is_of(domain)).map_or(SHORTEST, |(_, least)| *least)
}

/// The moment of the next attempt: `now` where it is due. `chance` is from 0 to 1, and new each time.
///
/// After a success that is a `refresh` later. After failures it is a minute, two, four and so on, but never later than
/// the next fetch would be by `refresh` or, where that is shorter, [`LONGEST_RETRY`]; and never sooner than publisher
/// and server allow. A clock that was put back delays nothing for longer than one set right.
#[must_use]
pub fn next(pace: Pace, history: History, now: Timestamp, chance: f64) -> Timestamp {
    let Some(attempt) = history.attempt else { return now };
    let least = pace.minimum.max(SHORTEST);
    let refresh = pace.refresh.max(least);
    let wait = match history.failures {
        0 => refresh,
        failures => {
            let doubled = FIRST_RETRY.saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX));
            doubled.min(refresh.max(FIRST_RETRY)).min(LONGEST_RETRY).max(least)
        }
    };
    let chance = if chance.is_finite() { chance.clamp(0.0, 1.0) } else { 0.0 };
    let wait = wait.saturating_add(wait.mul_f64(JITTER * chance));
    // An attempt in the future was written down by another clock.
    let from = attempt.min(now);
    let not_before = history.not_before.map(|moment| moment.min(after(now, LONGEST_RETRY)));
    after(from, wait).max(not_before.unwrap_or(from)).max(now)
}

fn after(moment: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait)
        .ok()
        .and_then(|wait| moment.checked_add(wait).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn pace(refresh: Duration) -> Pace {
        Pace { refresh, minimum: SHORTEST }
    }

    fn wait(pace: Pace, history: History, now: Timestamp, chance: f64) -> i64 {
        next(pace, history, now, chance).duration_since(now).as_secs()
    }

    #[test]
    fn what_was_never_tried_is_due() {
        assert_eq!(next(pace(HOUR), History::default(), at(0), 0.7), at(0));
    }

    #[test]
    fn after_a_success_comes_the_refresh_and_a_little_by_chance() {
        let mut history = History::default();
        history.succeeded(at(0));
        assert_eq!(wait(pace(HOUR), history, at(0), 0.0), 3_600);
        assert_eq!(wait(pace(HOUR), history, at(0), 1.0), 3_960);
        assert_eq!(next(pace(HOUR), history, at(5_000), 0.0), at(5_000), "it is overdue");
    }

    #[test]
    fn failures_double_the_wait_up_to_the_refresh() {
        let mut history = History::default();
        let mut waits = Vec::new();
        for _ in 0..9 {
            history.failed(at(0), None);
            waits.push(wait(pace(HOUR), history, at(0), 0.0) / 60);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        history.succeeded(at(0));
        assert_eq!((history.failures, history.not_before), (0, None));
    }

    #[test]
    fn a_feed_of_every_week_is_retried_every_day() {
        let history = History { attempt: Some(at(0)), failures: 40, ..History::default() };
        assert_eq!(wait(pace(HOUR * 24 * 7), history, at(0), 0.0), 86_400);
    }

    #[test]
    fn publisher_and_server_are_left_alone_for_as_long_as_they_ask() {
        let spamhaus = minimum(&"https://www.spamhaus.org/drop/drop_v4.json".parse().unwrap());
        assert_eq!(spamhaus, HOUR);
        assert_eq!(minimum(&"https://notspamhaus.org/".parse().unwrap()), SHORTEST);
        let pace = Pace { refresh: Duration::from_secs(60), minimum: spamhaus };
        let mut history = History::default();
        history.failed(at(0), Some(HOUR * 2));
        assert_eq!(wait(pace, history, at(0), 0.0), 7_200);
        history.failed(at(0), None);
        assert_eq!(wait(pace, history, at(0), 0.0), 3_600);
        history.failed(at(0), Some(Duration::MAX));
        assert_eq!(wait(pace, history, at(0), 0.0), 86_400);
    }

    proptest! {
        #[test]
        fn the_next_attempt_is_never_in_the_past_and_never_out_of_sight(
            refresh in 0_u64..10_000_000, minimum in 0_u64..100_000, attempt in -10_000_000_i64..10_000_000,
            failures: u32, not_before in proptest::option::of(-10_000_000_i64..1_000_000_000), chance: f64,
        ) {
            let pace = Pace { refresh: Duration::from_secs(refresh), minimum: Duration::from_secs(minimum) };
            let history = History {
                attempt: Some(at(attempt)), success: None, failures, not_before: not_before.map(at),
            };
            let wait = wait(pace, history, at(0), chance);
            let longest = refresh.max(minimum).max(10).max(86_400);
            prop_assert!(wait >= 0 && wait as u64 <= longest + longest / 10 + 1, "{wait}");
        }
    }
}
