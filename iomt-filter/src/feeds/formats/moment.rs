//! Times and durations as lists write them.
//!
//! A text comes in, a time or a duration goes out, or nothing where it is neither. Where no zone is said it is
//! UTC, as every source means it. There is no clock here.

use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};

/// Seconds since 1970 have this many digits at most for the next two centuries; longer numbers are milliseconds.
const DIGITS_OF_SECONDS: usize = 10;

/// A time: RFC 3339, `2026-07-04 21:46:30` with or without ` UTC`, a date, RFC 2822, or seconds or
/// milliseconds since 1970.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = text.parse().ok()?;
        return match text.len() {
            ..=DIGITS_OF_SECONDS => Timestamp::from_second(number).ok(),
            _ => Timestamp::from_millisecond(number).ok(),
        };
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    let bare = text.strip_suffix("UTC").or_else(|| text.strip_suffix("GMT")).unwrap_or(text).trim_end();
    if let Ok(civil) = bare.parse::<DateTime>() {
        return jiff::tz::Offset::UTC.to_timestamp(civil).ok();
    }
    rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

/// A duration as Go's `time.ParseDuration` reads it (`-1h30m`, `3h59m59.326s`, `250ms`), and days (`7d`) with it.
pub(super) fn go_duration(text: &str) -> Option<SignedDuration> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit: i128 = match unit {
            "ns" => 1,
            // Both signs for micro are in use.
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return None,
        };
        nanoseconds = nanoseconds.checked_add(times(number, unit)?)?;
        rest = after;
    }
    let nanoseconds = if is_negative { -nanoseconds } else { nanoseconds };
    let seconds = i64::try_from(nanoseconds / 1_000_000_000).ok()?;
    Some(SignedDuration::new(seconds, i32::try_from(nanoseconds % 1_000_000_000).ok()?))
}

/// A decimal number of units.
fn times(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
    // Beyond a nanosecond of a day, digits add nothing.
    let fraction = fraction.get(..fraction.len().min(15))?;
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = digits(fraction)?.checked_mul(unit)? / scale;
    digits(whole)?.checked_mul(unit)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_in_every_form_that_sources_write() {
        for text in [
            "2026-07-04T21:46:30Z",
            "2026-07-04T21:46:30.000Z",
            "2026-07-04T23:46:30+02:00",
            "2026-07-04T21:46:30+0000",
            "2026-07-04 21:46:30",
            "2026-07-04 21:46:30 UTC",
            " 2026-07-04T21:46:30 ",
            "Sat, 04 Jul 2026 21:46:30 GMT",
            "1783201590",
            "1783201590000",
        ] {
            assert_eq!(timestamp(text).map(|at| at.as_second()), Some(1_783_201_590), "{text}");
        }
        assert_eq!(timestamp("2026-07-04").map(|at| at.to_string()).as_deref(), Some("2026-07-04T00:00:00Z"));
        for text in ["", "yesterday", "2026-13-01", "99999999999999999999", "2026-07-04 21:46:30 PST8"] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, milliseconds) in [
            ("3h59m59.326s", 14_399_326),
            ("-1h30m", -5_400_000),
            ("4h0m0s", 14_400_000),
            ("250ms", 250),
            ("1500\u{b5}s", 1),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("7d", 604_800_000),
            ("0", 0),
            ("+1m", 60_000),
        ] {
            assert_eq!(go_duration(text).map(|found| found.as_millis()), Some(milliseconds), "{text}");
        }
        for text in [
            "",
            "-",
            "4",
            "h",
            "4 h",
            "1.2.3s",
            ".s",
            "4x",
            "P1D",
            "999999999999999999999999999999999999999h",
        ] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_a_time_or_none(text in "\\PC{0,40}") {
            timestamp(&text);
            go_duration(&text);
        }

        #[test]
        fn whole_durations_come_back(hours in 0i64..100_000, minutes in 0i64..60, seconds in 0i64..60) {
            let found = go_duration(&format!("{hours}h{minutes}m{seconds}s"));
            prop_assert_eq!(found.map(|found| found.as_secs()), Some(hours * 3600 + minutes * 60 + seconds));
        }
    }
}
