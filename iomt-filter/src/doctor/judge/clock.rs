//! Whether the time of day can be right: what ends, and how old things are, goes by it.

use jiff::{SignedDuration, Timestamp};

use super::super::facts::clock::Clock;
use super::super::finding::{Check, Finding};

const CHECK: Check = Check::Clock;
/// 2026-01-01: this program is younger.
const FIRST: i64 = 1_767_225_600;
/// How much later than now a file may have been written, by a clock that was a little ahead.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// The clock.
pub(super) fn judge(clock: &Clock) -> Finding {
    let now = clock.now;
    let wrong = "lists, the country database and certificates are too old or too young by it";
    let set = "timedatectl set-ntp true, or `date --set TIME`";
    if now.as_second() < FIRST {
        return Finding::problem(CHECK, format!("{now:.0} is before this program was made: {wrong}"))
            .mend(set);
    }
    if let Some((path, at)) = clock.newest.as_ref().filter(|(_, at)| is_ahead(*at, now)) {
        let found = format!(
            "{now:.0}, and `{}` was written at {at:.0}: the clock went back, and {wrong}",
            path.display()
        );
        return Finding::problem(CHECK, found).mend(set);
    }
    match clock.is_kept {
        Some(true) => Finding::ok(CHECK, format!("{now:.0}, kept by another clock")),
        Some(false) => {
            Finding::warning(CHECK, format!("{now:.0}, and nobody keeps it by another clock (NTP, PTP)"))
                .mend("timedatectl set-ntp true")
        }
        None => Finding::warning(CHECK, format!("{now:.0}; whether somebody keeps it is unknown"))
            .mend("timedatectl status"),
    }
}

fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at.duration_since(now) > AHEAD
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Level;
    use super::*;

    fn at(now: &str, is_kept: Option<bool>, newest: Option<&str>) -> Finding {
        let newest = newest.map(|at| ("/var/lib/x/clock.json".into(), at.parse().unwrap()));
        judge(&Clock { now: now.parse().unwrap(), is_kept, newest })
    }

    #[test]
    fn the_first_moment_is_the_one_in_the_comment() {
        assert_eq!(Timestamp::from_second(FIRST).unwrap().to_string(), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn a_clock_that_is_kept_is_well() {
        let kept = at("2027-03-01T12:00:00Z", Some(true), Some("2027-03-01T12:30:00Z"));
        assert_eq!(
            (kept.level, kept.found.as_str()),
            (Level::Ok, "2027-03-01T12:00:00Z, kept by another clock")
        );
    }

    #[test]
    fn one_that_nobody_keeps_may_be_wrong() {
        let alone = at("2027-03-01T12:00:00Z", Some(false), None);
        assert_eq!((alone.level, alone.mend.as_deref()), (Level::Warning, Some("timedatectl set-ntp true")));
        assert!(at("2027-03-01T12:00:00Z", None, None).found.contains("unknown"));
    }

    #[test]
    fn one_that_cannot_be_right_is_a_problem_even_if_it_is_kept() {
        let reset = at("1970-01-01T00:10:00Z", Some(true), None);
        assert!(reset.level == Level::Problem && reset.found.contains("before this program was made"));
        let back = at("2027-03-01T12:00:00Z", Some(true), Some("2027-03-02T12:00:00Z"));
        assert!(back.level == Level::Problem && back.found.contains("/var/lib/x/clock.json"), "{back}");
    }
}
