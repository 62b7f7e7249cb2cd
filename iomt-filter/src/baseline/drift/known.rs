//! How much a device talks, and how long it is silent, beside what was usual.

use super::{DAY, HOUR};
use crate::events::Measured;

/// How many times as much as in the busiest hour is beyond it: what differs from one day to the next stays below.
const TIMES_BUSIEST: u64 = 4;
/// Less than this in an hour is never too much, in bytes.
const LEAST_BYTES: u64 = 10 << 20;
/// How many times the longest silence is too long.
const TIMES_LONGEST: u64 = 3;
/// A shorter silence is never too long, in seconds.
const LEAST_SILENCE: u64 = HOUR;

/// What is known of a device. Times are seconds for which was watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// When it was seen first.
    pub since: u64,
    /// From when on it is known how much it talks, and how often.
    pub measured: u64,
    /// When it talked last.
    pub talked: u64,
    /// Which hour is counted.
    pub hour: u64,
    /// Bytes of that hour, both ways.
    pub bytes: u64,
    /// The last hour of which was told that it is too much, and one; 0 where there was none.
    pub told_hour: u64,
    /// Whether was told that it is silent.
    pub is_silent: bool,
    /// Whether it has been out of the inventory since it talked: then nobody expects it to.
    pub is_away: bool,
}

/// What is over now, and counts as past from here on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// The day that it belongs to.
    pub day: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Seconds of a silence that has ended on that day.
    pub gap: u64,
}

/// Something beyond what was usual.
pub type Beyond = Measured;

impl Known {
    /// A device that is seen for the first time.
    #[must_use]
    pub const fn new(now: u64) -> Self {
        Self {
            since: now,
            measured: now,
            talked: now,
            hour: now / HOUR,
            bytes: 0,
            told_hour: 0,
            is_silent: false,
            is_away: false,
        }
    }

    /// Whether it was watched for long enough that what is new of it is told.
    #[must_use]
    pub const fn is_learned(&self, now: u64, after: u64) -> bool {
        now.saturating_sub(self.since) >= after
    }

    const fn is_measured(&self, now: u64, after: u64) -> bool {
        now.saturating_sub(self.measured) >= after
    }

    /// It talks. What is over by that comes back: silences, and hours but the one that is counted.
    pub fn talk(&mut self, now: u64) -> impl Iterator<Item = Hour> + use<> {
        let gap = now.saturating_sub(self.talked);
        let ended =
            (!self.is_silent && !self.is_away && gap > 0).then_some(Hour { day: now / DAY, bytes: 0, gap });
        let hour = now / HOUR;
        let closed =
            (hour != self.hour).then_some(Hour { day: self.hour * HOUR / DAY, bytes: self.bytes, gap: 0 });
        if closed.is_some() {
            self.hour = hour;
            self.bytes = 0;
        }
        self.talked = now;
        self.is_silent = false;
        self.is_away = false;
        ended.into_iter().chain(closed)
    }

    /// Adds to the hour that is counted; whether the past has to be looked at.
    pub const fn count(&mut self, bytes: u64) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        self.bytes > LEAST_BYTES && self.told_hour != self.hour + 1
    }

    /// Whether this hour is beyond the `busiest` of the past, in bytes. It is said once of an hour.
    pub fn volume(&mut self, now: u64, after: u64, busiest: u64) -> Option<Beyond> {
        let limit = busiest.saturating_mul(TIMES_BUSIEST).max(LEAST_BYTES);
        let is_beyond = self.is_measured(now, after) && self.bytes > limit && self.told_hour != self.hour + 1;
        is_beyond.then(|| {
            self.told_hour = self.hour + 1;
            Beyond { found: self.bytes, usual: busiest, limit }
        })
    }

    /// Whether it is silent for too long, by the `longest` silence of the past in seconds. It is said once, until it
    /// talks again, and only of devices that always talk: those that were never silent for half of the time after which
    /// a device is known.
    pub fn silence(&mut self, now: u64, after: u64, longest: u64) -> Option<Beyond> {
        let found = now.saturating_sub(self.talked);
        let limit = longest.saturating_mul(TIMES_LONGEST).max(LEAST_SILENCE);
        // It was known when it fell silent.
        let is_expected = self.is_measured(self.talked, after) && longest > 0 && longest <= after / 2;
        let is_beyond = is_expected && !self.is_silent && !self.is_away && found > limit;
        is_beyond.then(|| {
            self.is_silent = true;
            Beyond { found, usual: longest, limit }
        })
    }

    /// The shortest silence that may be too long, in seconds.
    #[must_use]
    pub const fn least_silence() -> u64 {
        LEAST_SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: u64 = 7 * DAY;
    const MIB: u64 = 1 << 20;

    #[test]
    fn a_device_is_known_after_the_time_that_it_was_watched() {
        let known = Known::new(100);
        assert!(!known.is_learned(100, WEEK) && !known.is_learned(99 + WEEK, WEEK));
        assert!(known.is_learned(100 + WEEK, WEEK) && known.is_learned(100, 0));
        assert!(!known.is_learned(0, 1), "a number that went back is no age");
    }

    #[test]
    fn an_hour_is_beyond_the_past_by_a_multiple_and_a_floor_and_is_told_once() {
        for (after, bytes, busiest, expected) in [
            (WEEK, 11 * MIB, 0, Some(10 * MIB)),
            (WEEK, 10 * MIB, 0, None),
            (WEEK, 39 * MIB, 10 * MIB, None),
            (WEEK, 41 * MIB, 10 * MIB, Some(40 * MIB)),
            (WEEK, u64::MAX, u64::MAX / 2, None),
            (2 * WEEK, 41 * MIB, 10 * MIB, None),
        ] {
            let (mut known, now) = (Known::new(0), WEEK);
            assert_eq!(known.talk(now).last().unwrap().bytes, 0);
            known.count(bytes);
            let found = known.volume(now, after, busiest);
            assert_eq!(found.map(|beyond| beyond.limit), expected, "{bytes} after {busiest}");
            assert_eq!(known.volume(now + 60, after, busiest), None, "once an hour");
            assert!(expected.is_none() || !known.count(1));
        }
    }

    #[test]
    fn an_hour_that_is_over_becomes_the_past() {
        let mut known = Known::new(0);
        known.count(7);
        assert_eq!(known.talk(30).collect::<Vec<_>>(), [Hour { day: 0, bytes: 0, gap: 30 }]);
        known.count(5);
        let over: Vec<_> = known.talk(DAY + 30).collect();
        assert_eq!(over, [Hour { day: 1, bytes: 0, gap: DAY }, Hour { day: 0, bytes: 12, gap: 0 }]);
        assert_eq!((known.bytes, known.hour), (0, 24));
    }

    #[test]
    fn who_always_talks_and_does_not_is_told_once_until_it_talks() {
        let mut known = Known { talked: WEEK, ..Known::new(0) };
        let longest = 16 * HOUR;
        assert_eq!(known.silence(WEEK + 48 * HOUR, WEEK, longest), None);
        let beyond = known.silence(WEEK + 49 * HOUR, WEEK, longest).unwrap();
        assert_eq!(beyond, Beyond { found: 49 * HOUR, usual: longest, limit: 48 * HOUR });
        assert_eq!(known.silence(WEEK + 90 * HOUR, WEEK, longest), None, "once");
        assert_eq!(
            known.talk(WEEK + 100 * HOUR).filter(|hour| hour.gap > 0).count(),
            0,
            "what was told is not usual"
        );
        assert_eq!(known.silence(WEEK + 101 * HOUR, WEEK, longest), None);
        assert!(known.silence(WEEK + 149 * HOUR, WEEK, longest).is_some());
    }

    #[test]
    fn silence_is_no_news_of_who_is_often_silent_new_away_or_quick() {
        let talked = Known { talked: WEEK, ..Known::new(0) };
        for (mut known, after, longest, found) in [
            (talked, WEEK, 4 * DAY, 40 * DAY),
            (talked, WEEK, 0, 40 * DAY),
            (talked, 2 * WEEK, 30, 40 * DAY),
            (talked, WEEK, 30, HOUR),
            (Known { is_away: true, ..talked }, WEEK, 30, 40 * DAY),
        ] {
            assert_eq!(known.silence(WEEK + found, after, longest), None, "{known:?} {longest} {found}");
        }
        let mut known = talked;
        assert!(known.silence(WEEK + HOUR + 1, WEEK, 30).is_some());
    }
}
