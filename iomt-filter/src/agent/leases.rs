//! Leases that the kernel program has learned, kept by the names of devices so that they survive a reboot, and the
//! loss of the numbers.
//!
//! A device that goes on with an address it was given before the reboot asks nobody until half its time is
//! over; without its lease it would be `spoofed` until then.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use anyhow::Context as _;
use iomt_filter_common::lease::Lease;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::core::{Core, chain};
use super::store::{self, StoreError};
use crate::clock::{boottime, since_boot, time_of_day};
use crate::numbers::Numbers;

/// The file of the leases, in the state folder.
const LEASES: &str = "leases.json";
const SECOND: u64 = 1_000_000_000;

/// A lease as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    device: String,
    address: IpAddr,
    /// When it ends; nothing where it is good until another replaces it.
    until: Option<Timestamp>,
    /// How long it had to go when it was kept. No lease is believed for longer: a clock that stands wrong after
    /// the boot makes none eternal.
    #[serde(default = "a_month")]
    seconds_left: u64,
}

/// What an agent kept that did not say how long: it believed no lease for longer.
const fn a_month() -> u64 {
    30 * 86_400
}

/// The leases of devices that have them, by device.
pub(super) type Leases = BTreeMap<u32, Vec<Lease>>;

impl Kept {
    fn of(device: &str, lease: &Lease, now: u64) -> Self {
        let left = lease.expires.saturating_sub(now);
        Self {
            device: device.to_owned(),
            address: lease.address.into(),
            until: (lease.expires != Lease::NEVER).then(|| time_of_day(lease.expires)),
            seconds_left: left.div_ceil(SECOND),
        }
    }

    /// What is left of it at `now`, where that is anything.
    fn lease(&self, now: u64) -> Option<Lease> {
        let expires = match self.until {
            Some(until) => {
                let longest = now.saturating_add(self.seconds_left.saturating_mul(SECOND));
                since_boot(until).min(longest).min(Lease::NEVER - 1)
            }
            None => Lease::NEVER,
        };
        (now < expires).then(|| Lease { expires, address: self.address.into() })
    }
}

/// Addresses that were leased when an agent last looked, by the number of the device.
pub(super) fn kept(state: &Path, numbers: &Numbers) -> Result<Vec<(u32, IpAddr)>, StoreError> {
    let kept: Vec<Kept> = store::load(state, LEASES)?;
    let numbered = kept.iter().filter_map(|kept| Some((*numbers.devices.get(&kept.device)?, kept.address)));
    Ok(numbered.collect())
}

impl Core {
    /// Keeps what was learned, where it has changed.
    pub(super) fn keep_leases(&mut self) {
        let leases = match self.datapath.readings().leases(&self.intent.rows) {
            Ok(leases) => leases,
            Err(error) => {
                tracing::error!(error = chain(&error), "leases cannot be read, and are not kept");
                return;
            }
        };
        if leases == self.kept_leases {
            return;
        }
        let (names, now) = (&self.intent.rows.names.devices, boottime());
        let kept: Vec<Kept> = leases
            .iter()
            .filter_map(|(device, leases)| Some((names.get(device)?, leases)))
            .flat_map(|(name, leases)| leases.iter().map(|lease| Kept::of(name, lease, now)))
            .collect();
        match store::save(&self.config.paths.state, LEASES, &kept) {
            Ok(()) => self.kept_leases = leases,
            Err(error) => tracing::error!(error = chain(&error), "leases are not kept"),
        }
    }

    /// Whether the tables were taken over and the numbers that devices have in them are lost: what they say of a
    /// number is then of some other device.
    pub(super) fn is_renumbered(&self) -> bool {
        self.datapath.is_adopted() && self.numbers.devices.is_empty()
    }

    /// Makes the kernel program forget what it knows of devices by numbers that are lost.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn forget_devices(&mut self) -> anyhow::Result<()> {
        self.datapath.forget_devices(&self.token).context("failed to clear what was learned of devices")
    }

    /// Gives the kernel program back what it had learned: after a reboot, or where it had to forget.
    pub(super) fn restore_leases(&mut self) {
        let kept: Vec<Kept> = match store::load(&self.config.paths.state, LEASES) {
            Ok(kept) => kept,
            Err(error) => {
                // Devices ask anew in time; that is no reason not to start.
                tracing::warn!(error = chain(&error), "leases of before are lost");
                return;
            }
        };
        let now = boottime();
        let numbers = &self.numbers.devices;
        let leases = kept.iter().filter_map(|kept| Some((*numbers.get(&kept.device)?, kept.lease(now)?)));
        // As the program learns none outside of the segments.
        let leases: Vec<_> = leases.filter(|(_, lease)| self.intent.rows.in_segment(lease.address)).collect();
        match self.datapath.restore_leases(&leases, &self.token) {
            Ok(()) if leases.is_empty() => {}
            Ok(()) => tracing::info!(leases = leases.len(), "leases of before hold on"),
            Err(error) => tracing::warn!(error = chain(&error), "leases of before are lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1 << 50;

    fn kept(expires: u64) -> Kept {
        let address = IpAddr::from([10, 10, 0, 12]).into();
        let kept = Kept::of("pump-1", &Lease { expires, address }, NOW);
        serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap()
    }

    fn ends(kept: &Kept, now: u64) -> Option<u64> {
        kept.lease(now).map(|lease| lease.expires)
    }

    #[test]
    fn a_lease_is_kept_until_its_end_and_one_without_an_end_for_good() {
        const YEAR: u64 = 31_536_000 * SECOND;
        let year = ends(&kept(NOW + YEAR), NOW).unwrap();
        assert!(year.abs_diff(NOW + YEAR) < 10 * SECOND, "{year}");
        let endless = kept(Lease::NEVER);
        assert_eq!((endless.until, ends(&endless, NOW)), (None, Some(Lease::NEVER)));
        assert_eq!(ends(&endless, 5), Some(Lease::NEVER));
        assert_eq!(ends(&kept(NOW + SECOND), NOW + YEAR), None);
        let longest = NOW + u64::from(u32::MAX - 1) * SECOND;
        assert!(ends(&kept(longest), NOW).unwrap().abs_diff(longest) < 10 * SECOND);
    }

    #[test]
    fn a_clock_that_stands_wrong_makes_no_lease_longer_than_it_was() {
        let mut late = kept(NOW + 60 * SECOND);
        late.until = Some(Timestamp::MAX);
        assert_eq!(ends(&late, 7), Some(7 + 60 * SECOND));
        late.seconds_left = u64::MAX;
        assert_eq!(ends(&late, 7), Some(Lease::NEVER - 1));
        let old = r#"{ "device": "ct-1", "address": "10.10.0.11", "until": "9999-01-01T00:00:00Z" }"#;
        let old: Kept = serde_json::from_str(old).unwrap();
        assert_eq!(ends(&old, 7), Some(7 + 30 * 86_400 * SECOND));
    }
}
