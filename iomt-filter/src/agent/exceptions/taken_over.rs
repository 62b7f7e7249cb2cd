//! What the kernel holds by hand and nobody has kept: the disk was full, or what was kept is damaged or gone.
//!
//! What somebody makes hold is in the kernel before it is kept, so that the kernel knows better. But a bypass that is
//! longer than any that can be asked for is somebody else's, and ends.

use std::collections::BTreeMap;

use iomt_filter_common::exception::Exception;

use super::{EXCEPTIONS, Entry, Exceptions, LONGEST_BYPASS};
use crate::agent::core::{Core, chain, nobody};
use crate::api::messages::{ExceptionKind, ExceptionStatus, Scope};
use crate::clock::{BootTime, Clocks, time_of_day};
use crate::numbers::Numbers;

impl Core {
    /// Has what the kernel holds by hand hold on, where an agent before has not kept it.
    pub(in crate::agent) fn take_over_exceptions(&mut self) {
        let held =
            (0..self.datapath.device_capacity()).filter_map(|device| match self.datapath.exception(device) {
                Ok(row) => Some((device, row)),
                Err(error) => {
                    let error = chain(&error);
                    tracing::error!(device, error, "what holds by hand cannot be taken over");
                    None
                }
            });
        let (found, unknown) = found(held, &self.wanted_exceptions(), &self.numbers, &Clocks::now());
        if unknown > 0 {
            tracing::error!(
                unknown,
                "quarantines and bypasses of devices that nobody knows any more do not hold any more"
            );
        }
        if found.is_empty() {
            return;
        }
        tracing::error!(count = found.len(), "quarantines and bypasses are taken over from the kernel");
        for Entry { exception, .. } in &found {
            let what = format!("{} taken over", exception.kind.name());
            self.told(&nobody("the agent"), &what, exception.scope.to_string(), exception.note.clone());
        }
        self.exceptions = Exceptions(self.exceptions.0.iter().cloned().chain(found).collect()).into();
        self.keep_exceptions();
    }
}

/// What rows of the kernel's table come to at `now` that say something else than `wanted`, and how many are of devices
/// that nobody knows.
fn found(
    held: impl Iterator<Item = (u32, Exception)>,
    wanted: &BTreeMap<u32, Exception>,
    numbers: &Numbers,
    now: &Clocks,
) -> (Vec<Entry>, usize) {
    let names: BTreeMap<u32, &String> =
        numbers.devices.iter().map(|(name, &number)| (number, name)).collect();
    let longest = u64::try_from(LONGEST_BYPASS.as_nanos()).unwrap_or(u64::MAX);
    let now_ns = now.boot.nanoseconds;
    let (mut entries, mut unknown, mut of_all) = (Vec::new(), 0, None);
    // Device 0, which is every frame, comes first: of several the last one counts.
    for (device, row) in held {
        let is_quarantine = row.quarantines(now_ns);
        let is_bypass = row.opens(now_ns) && row.open_until - now_ns <= longest;
        if !(is_quarantine || is_bypass) || wanted.get(&device) == Some(&row) || of_all == Some(row) {
            continue;
        }
        let (kind, until) = match is_quarantine {
            true => (ExceptionKind::Quarantine, row.quarantined_until),
            false => (ExceptionKind::Bypass, row.open_until),
        };
        let scope = match names.get(&device) {
            _ if device == 0 => {
                of_all = Some(row);
                Scope::All
            }
            Some(name) => Scope::Device((*name).clone()),
            None => {
                unknown += 1;
                continue;
            }
        };
        let ends = (until != u64::MAX).then_some(BootTime { nanoseconds: until, ..now.boot });
        let exception = ExceptionStatus {
            kind,
            scope,
            until: ends.map(|ends| time_of_day(ends.nanoseconds)),
            note: Some(format!("taken over from the kernel: it was not in `{EXCEPTIONS}`")),
            added: now.time_of_day,
            by: "the agent".to_owned(),
        };
        entries.push(Entry { exception, ends });
    }
    (entries, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn open(open_until: u64) -> Exception {
        Exception { quarantined_until: 0, open_until }
    }

    const fn cut_off(quarantined_until: u64) -> Exception {
        Exception { quarantined_until, open_until: 0 }
    }

    /// What comes of rows of devices 1 to 3, which are known, and others.
    fn found_in(
        rows: &[(u32, Exception)],
        wanted: &[(u32, Exception)],
    ) -> (Vec<(Scope, Option<u64>)>, usize) {
        let mut numbers = Numbers::default();
        for name in ["ct-1", "ct-2", "pump-1"] {
            numbers.device(name);
        }
        let mut now = Clocks::now();
        now.boot.nanoseconds = 100;
        let wanted = wanted.iter().copied().collect();
        let (found, unknown) = found(rows.iter().copied(), &wanted, &numbers, &now);
        let of = |entry: &Entry| {
            let ends = entry.ends.map(|ends| ends.nanoseconds);
            (entry.exception.scope.clone(), ends)
        };
        (found.iter().map(of).collect(), unknown)
    }

    fn device(name: &str, ends: Option<u64>) -> (Scope, Option<u64>) {
        (Scope::Device(name.to_owned()), ends)
    }

    #[test]
    fn what_nobody_has_kept_holds_on_for_devices_that_are_known() {
        let rows = [(1, cut_off(u64::MAX)), (2, open(900)), (3, open(99)), (4, cut_off(900))];
        let both = vec![device("ct-1", None), device("ct-2", Some(900))];
        assert_eq!(found_in(&rows, &[]), (both, 1));
        // What is kept is known already; what is kept otherwise is older.
        assert_eq!(found_in(&rows[..2], &rows[..2]), (Vec::new(), 0));
        assert_eq!(found_in(&rows[..1], &[(1, open(500))]).0, [device("ct-1", None)]);
        assert_eq!(
            found_in(&[(1, open(0))], &[(1, cut_off(900))]).0,
            [],
            "released, and not kept: it is cut off"
        );
    }

    #[test]
    fn every_frame_stands_for_its_devices_and_one_that_is_otherwise_stands_behind() {
        let rows = [(0, open(900)), (1, open(900)), (2, cut_off(u64::MAX)), (3, open(900))];
        assert_eq!(found_in(&rows, &[]), (vec![(Scope::All, Some(900)), device("ct-2", None)], 0));
    }

    #[test]
    fn a_bypass_that_nobody_could_have_asked_for_is_not_taken_over() {
        assert_eq!(found_in(&[(1, open(u64::MAX)), (2, open(1 << 62))], &[]).0, []);
    }
}
