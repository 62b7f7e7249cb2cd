//! What is told at once, and what is told together: a scan is a handful of events, and not one for each of its packets.
//!
//! Of a device, the first new thing of a kind is told at once; what follows within the hour is told when it has become
//! ten times as much, and what is left of it at its end. What many devices do in one reading is one event.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::HOUR;
use crate::events::{Drift, Evidence, What};

/// Evidence that an event holds at most.
const MOST_EVIDENCE: usize = 16;
/// How many times as much as was told is told before the hour is over.
const TIMES_TOLD: u64 = 10;
/// Devices that drift in one way within one reading, beyond which one event is told of all of them.
pub const MOST_DEVICES: usize = 100;

/// What is new of a device, in one way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folding {
    /// When the first was told, in seconds for which was watched.
    pub since: u64,
    /// How many were told from then on.
    pub told: u64,
    /// How many are still to be told.
    pub waiting: u64,
    /// When the first of those was seen.
    pub first: Option<Timestamp>,
    /// When the last was.
    pub last: Option<Timestamp>,
    /// The earliest of them.
    pub evidence: Vec<Evidence>,
}

/// What is to be told of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The device; nothing where it is of several.
    pub device: Option<String>,
    /// What is told, still without a number.
    pub drift: Drift,
}

impl Folding {
    /// One more, seen at `time`.
    pub fn add(&mut self, evidence: Evidence, time: Timestamp) {
        self.waiting += 1;
        self.first = self.first.map_or(Some(time), |first| Some(first.min(time)));
        self.last = self.last.map_or(Some(time), |last| Some(last.max(time)));
        if self.evidence.len() < MOST_EVIDENCE {
            self.evidence.push(evidence);
        }
    }

    /// What is to be told by now.
    pub fn take(&mut self, what: What, now: u64) -> Option<Drift> {
        let is_over = self.told == 0 || now.saturating_sub(self.since) >= HOUR || now < self.since;
        if self.waiting == 0 || !(is_over || self.waiting >= TIMES_TOLD.saturating_mul(self.told)) {
            return None;
        }
        if is_over {
            (self.since, self.told) = (now, 0);
        }
        self.told += self.waiting;
        let count = std::mem::take(&mut self.waiting);
        let (first, last) = (self.first.take(), self.last.take());
        let evidence = std::mem::take(&mut self.evidence);
        Some(Drift { number: 0, what, count, devices: 1, first, last, evidence, measured: None })
    }

    /// Whether there is nothing left to be kept.
    #[must_use]
    pub const fn is_done(&self, now: u64) -> bool {
        self.waiting == 0 && now.saturating_sub(self.since) >= HOUR
    }
}

/// What is told of one reading: of each device, and where too many drift in one way, once of all of them.
#[must_use]
pub fn fold(all: Vec<Told>) -> Vec<Told> {
    let mut folded = Vec::new();
    for what in What::ALL {
        let of_this: Vec<_> = all.iter().filter(|told| told.drift.what == what).cloned().collect();
        if of_this.len() <= MOST_DEVICES {
            folded.extend(of_this);
        } else {
            folded.push(Told { device: None, drift: together(what, &of_this) });
        }
    }
    folded
}

/// Of each device the first evidence.
fn together(what: What, all: &[Told]) -> Drift {
    let drifts = || all.iter().map(|told| &told.drift);
    Drift {
        number: 0,
        what,
        count: drifts().map(|drift| drift.count).sum(),
        devices: all.len() as u64,
        first: drifts().filter_map(|drift| drift.first).min(),
        last: drifts().filter_map(|drift| drift.last).max(),
        evidence: drifts().filter_map(|drift| drift.evidence.first().cloned()).take(MOST_EVIDENCE).collect(),
        measured: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(folding: &mut Folding, seen: u64, now: u64) -> Option<u64> {
        for _ in 0..seen {
            folding.add(Evidence::of_nothing("ct-1"), Timestamp::UNIX_EPOCH);
        }
        folding.take(What::NewService, now).map(|drift| drift.count)
    }

    #[test]
    fn the_first_is_told_at_once_and_a_scan_by_tens() {
        let mut folding = Folding::default();
        let steps = [
            (0, 0, None),
            (1, 10, Some(1)),
            (5, 40, None),
            (4, 70, None),
            (1, 100, Some(10)),
            (100, 130, None),
            (65_000, 160, Some(65_100)),
            (400, 190, None),
            (0, 9 + HOUR, None),
            (0, 10 + HOUR, Some(400)),
            (1, 40 + HOUR, None),
            (0, 20 + 3 * HOUR, Some(1)),
        ];
        let mut all = 0;
        for (seen, now, expected) in steps {
            let found = told(&mut folding, seen, now);
            assert_eq!(found, expected, "at {now}");
            all += found.unwrap_or(0);
        }
        assert_eq!(
            all,
            steps.iter().map(|(seen, ..)| seen).sum::<u64>(),
            "nothing is left out, nothing told twice"
        );
        assert!(!folding.is_done(20 + 3 * HOUR) && folding.is_done(20 + 4 * HOUR));
    }

    #[test]
    fn however_things_come_all_are_told_in_few_events() {
        let mut state = 7_u64;
        let mut next = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let (mut folding, mut now, mut seen, mut said, mut events) = (Folding::default(), 0, 0, 0, 0);
            for _ in 0..200 {
                let more = if next(3) == 0 { next(500) } else { 0 };
                seen += more;
                now += next(60);
                if let Some(count) = told(&mut folding, more, now) {
                    said += count;
                    events += 1;
                }
                assert!(folding.evidence.len() <= MOST_EVIDENCE && said + folding.waiting == seen);
            }
            said += told(&mut folding, 0, now + HOUR).unwrap_or(0);
            assert_eq!(said, seen);
            let hours = now / HOUR + 1;
            assert!(events <= 7 * hours, "{events} events in {hours} hours");
        }
    }

    #[test]
    fn what_many_devices_do_at_once_is_one_event() {
        let of = |number: usize, what| {
            let device = format!("ct-{number}");
            let evidence = vec![Evidence::of_nothing(&device)];
            let drift = Drift {
                number: 0,
                what,
                count: 2,
                devices: 1,
                first: None,
                last: None,
                evidence,
                measured: None,
            };
            Told { device: Some(device), drift }
        };
        let mut all: Vec<_> = (0..10_000).map(|number| of(number, What::Silence)).collect();
        all.extend((0..MOST_DEVICES).map(|number| of(number, What::NewPeer)));
        let folded = fold(all);
        assert_eq!(folded.len(), MOST_DEVICES + 1);
        let silent = &folded[MOST_DEVICES];
        assert_eq!((&silent.device, silent.drift.devices, silent.drift.count), (&None, 10_000, 20_000));
        assert_eq!(silent.drift.evidence.len(), MOST_EVIDENCE);
        assert!(
            silent.drift.to_string().starts_with("10000 devices: silent: ct-0; ct-1; ct-2, and "),
            "{}",
            silent.drift
        );
    }
}
