//! The host's two clocks: time of day, which people set, and the time since boot, which the kernel program
//! has.

use std::time::Duration;

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The kernel's random name of this boot (`drivers/char/random.c`).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A moment in one boot of the host, by the clock that nobody sets. The default lies in no boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BootTime {
    /// The boot, by the first half of its name; 0 where it is not known.
    pub(crate) boot: u64,
    /// Nanoseconds since then.
    pub(crate) nanoseconds: u64,
}

impl BootTime {
    /// This moment.
    pub(crate) fn now() -> Self {
        let name = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
        let digits: String = name.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        Self { boot: u64::from_str_radix(&digits, 16).unwrap_or(0), nanoseconds: boottime() }
    }

    /// Whether both lie in one boot, so that the time between them is known.
    pub(crate) const fn is_of(self, other: Self) -> bool {
        self.boot == other.boot && self.boot != 0
    }

    /// Later by `nanoseconds`.
    pub(crate) const fn after(self, nanoseconds: u64) -> Self {
        Self { boot: self.boot, nanoseconds: self.nanoseconds.saturating_add(nanoseconds) }
    }
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// Since boot.
    pub(crate) boot: BootTime,
    /// As people have set it.
    pub(crate) time_of_day: Timestamp,
}

impl Clocks {
    /// As they stand.
    pub(crate) fn now() -> Self {
        Self { boot: BootTime::now(), time_of_day: Timestamp::now() }
    }

    /// After so long, by both.
    pub(crate) fn until(&self, lasts: Duration) -> (Timestamp, BootTime) {
        let nanoseconds = u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX);
        (self.time_of_day.checked_add(lasts).unwrap_or(Timestamp::MAX), self.boot.after(nanoseconds))
    }
}

/// Nanoseconds since the boot of the host (`CLOCK_BOOTTIME`).
pub(crate) fn boottime() -> u64 {
    u64::try_from(read(ClockId::CLOCK_BOOTTIME)).unwrap_or(0)
}

/// Nanoseconds from 1970 to the boot of the host, as its clock has it now.
pub(crate) fn time_base() -> i128 {
    read(ClockId::CLOCK_REALTIME) - read(ClockId::CLOCK_BOOTTIME)
}

/// The time of day of a time since boot; the last one that can be told where it is later.
pub(crate) fn time_of_day(since_boot: u64) -> Timestamp {
    Timestamp::from_nanosecond(time_base() + i128::from(since_boot)).unwrap_or(Timestamp::MAX)
}

/// The time since boot of a time of day; 0 where that was before, the last one that can be told where it is later.
pub(crate) fn since_boot(time: Timestamp) -> u64 {
    u64::try_from((time.as_nanosecond() - time_base()).max(0)).unwrap_or(u64::MAX)
}

fn read(clock: ClockId) -> i128 {
    clock_gettime(clock)
        .map_or(0, |time| i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_clock_cannot_tell_is_the_nearest_that_it_can() {
        assert_eq!((since_boot(Timestamp::MIN), since_boot(Timestamp::MAX)), (0, u64::MAX));
        assert!(time_of_day(u64::MAX) > Timestamp::now());
        let in_an_hour = boottime() + 3_600_000_000_000;
        // The two clocks are read one after the other.
        assert!(since_boot(time_of_day(in_an_hour)).abs_diff(in_an_hour) < 1_000_000_000);
    }

    #[test]
    fn a_boot_has_one_name() {
        let (first, second) = (BootTime::now(), BootTime::now());
        assert!(first.is_of(second) && first.nanoseconds <= second.nanoseconds);
        assert!(!BootTime::default().is_of(BootTime::default()), "what is not known is never the same");
    }
}
