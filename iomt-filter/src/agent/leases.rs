//! Leases that the kernel program has learned, kept so that they survive a reboot.
//!
//! A device that goes on with an address it was given before the reboot asks nobody until half its time is
//! over; without its lease it would be `spoofed` until then.

use std::collections::BTreeMap;

use iomt_filter_common::lease::Lease;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::core::{Core, chain};
use super::store;
use crate::clock::{boottime, since_boot, time_of_day};

/// The file of the leases, in the state folder.
const LEASES: &str = "leases.json";
/// No lease is believed for longer: a clock that stands wrong after the boot makes none eternal.
const LONGEST: u64 = 30 * 86_400 * 1_000_000_000;

/// A lease as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    device: String,
    address: std::net::IpAddr,
    until: Timestamp,
}

/// The leases of devices that have them, by device.
pub(super) type Leases = BTreeMap<u32, Vec<Lease>>;

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
        let names = &self.intent.rows.names.devices;
        let kept: Vec<Kept> = leases
            .iter()
            .filter_map(|(device, leases)| Some((names.get(device)?, leases)))
            .flat_map(|(name, leases)| {
                leases.iter().map(|lease| Kept {
                    device: name.clone(),
                    address: lease.address.into(),
                    until: time_of_day(lease.expires),
                })
            })
            .collect();
        match store::save(&self.config.paths.state, LEASES, &kept) {
            Ok(()) => self.kept_leases = leases,
            Err(error) => tracing::error!(error = chain(&error), "leases are not kept"),
        }
    }

    /// Gives the kernel program back what it had learned, where its tables are new.
    pub(super) fn restore_leases(&mut self) {
        if self.datapath.is_adopted() {
            return;
        }
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
        let leases = kept.iter().filter_map(|kept| {
            let lease = Lease { expires: since_boot(kept.until), address: kept.address.into() };
            let holds = now < lease.expires && lease.expires - now <= LONGEST;
            Some((*numbers.get(&kept.device)?, lease)).filter(|_| holds)
        });
        let leases: Vec<_> = leases.collect();
        match self.datapath.restore_leases(&leases, &self.token) {
            Ok(()) if leases.is_empty() => {}
            Ok(()) => tracing::info!(leases = leases.len(), "leases of before the reboot hold on"),
            Err(error) => tracing::warn!(error = chain(&error), "leases of before are lost"),
        }
    }
}
