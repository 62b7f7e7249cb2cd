//! What devices talk to: now, by the kernel's flow table, and before, by the database of contacts.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::running::Running;
use crate::clock::{boottime, time_of_day};
use crate::feeds::FarEnd;
use crate::rows::Rows;

/// Far ends of devices with which they talked in the last `span`. A database that cannot be read is no reason to ask
/// for less: what runs now counts all the same.
pub(super) fn of(running: &Running, rows: &Rows, _state: &Path, span: Duration) -> Vec<FarEnd> {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    let since = Timestamp::now().saturating_sub(span).unwrap_or(Timestamp::MIN);
    if span.is_zero() {
        return Vec::new();
    }
    let flows = running.readings.flows(running.generation, boottime());
    let mut far_ends = Vec::new();
    for (key, flow) in &flows {
        let seen = time_of_day(flow.last_seen);
        let ends = [(flow.opener, key.destination), (flow.responder, key.source)];
        for (device, address) in ends.into_iter().filter(|(device, _)| *device != 0 && seen >= since) {
            let (Some(name), Some(row)) = (rows.names.devices.get(&device), rows.devices.get(&device)) else {
                continue;
            };
            let block_score = rows.profiles.get(&row.profile).map_or(0, |profile| profile.block_score);
            far_ends.push(FarEnd { device: name.clone(), address: IpAddr::from(address), seen, block_score });
        }
    }
    far_ends
}
