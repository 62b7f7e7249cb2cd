//! How old a country database is, and whether that is too old.
//!
//! Moments come in, an answer goes out; the clock is never read here.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Whether a database that was made at `built` is older than `max_age` at `now`. One that does not say when it was
/// made is. One that was made after `now` is not: a clock that stands wrong is likelier than data of tomorrow.
#[must_use]
pub fn is_stale(built: Option<Timestamp>, max_age: Duration, now: Timestamp) -> bool {
    let max_age = SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX);
    built.is_none_or(|built| now.duration_since(built) > max_age)
}

/// Whole days from `built` to `now`, fewer than 0 where it lies ahead.
#[must_use]
pub fn days(built: Timestamp, now: Timestamp) -> i64 {
    now.duration_since(built).as_hours() / 24
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_database_is_stale_from_the_moment_at_which_it_is_older() {
        let built = Some(at("2026-01-01T00:00:00Z"));
        assert!(!is_stale(built, 90 * DAY, at("2026-04-01T00:00:00Z")), "exactly as old");
        assert!(is_stale(built, 90 * DAY, at("2026-04-01T00:00:00.000000001Z")));
        assert!(!is_stale(built, 90 * DAY, at("1970-01-01T00:00:00Z")), "a clock that nobody has set");
        assert!(!is_stale(built, Duration::MAX, Timestamp::MAX), "never");
        assert!(is_stale(None, Duration::MAX, Timestamp::MIN), "nobody knows when it was made");
    }

    #[test]
    fn days_are_whole_ones() {
        let built = at("2026-01-01T00:00:00Z");
        assert_eq!(days(built, at("2026-01-02T23:59:59Z")), 1);
        assert_eq!(days(built, at("2025-12-30T12:00:00Z")), -1);
        assert!(days(Timestamp::MIN, Timestamp::MAX) > 0 && days(Timestamp::MAX, Timestamp::MIN) < 0);
    }
}
