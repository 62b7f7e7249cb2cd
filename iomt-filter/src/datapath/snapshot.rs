//! What the program has learned by itself: read from the tables that judge, for a private copy to go on from.

use aya::maps::MapError;
use iomt_filter_common::Address;
use iomt_filter_common::flow::{Flow, FlowKey};
use iomt_filter_common::lease::{FAMILIES, Lease};
use nix::time::{ClockId, clock_gettime};

use super::load::Datapath;

/// Leases, flows, and when the agent was last heard of.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// Devices and what they have leased.
    pub leases: Vec<(u32, Lease)>,
    /// Flows.
    pub flows: Vec<(FlowKey, Flow)>,
    /// In nanoseconds of the program's clock; 0 for never.
    pub heartbeat: u64,
}

/// The program's clock: nanoseconds since the host was booted.
#[must_use]
pub fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

impl Datapath {
    /// Leases of `devices`, and of whoever has leased one of `addresses`; over or not.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn learned(&self, devices: &[u32], addresses: &[Address]) -> Result<Learned, MapError> {
        let mut devices = devices.to_vec();
        for address in addresses {
            devices.extend(found(self.maps.leased.get(address, 0))?);
        }
        devices.sort_unstable();
        devices.dedup();
        let mut leases = Vec::new();
        for device in devices.into_iter().filter(|&device| device < self.device_capacity) {
            for family in 0..FAMILIES {
                let lease = self.maps.leases.get(&(device * FAMILIES + family), 0)?;
                if lease != Lease::default() {
                    leases.push((device, lease));
                }
            }
        }
        Ok(Learned { leases, flows: Vec::new(), heartbeat: self.heartbeat.last() })
    }

    /// The flow that is remembered under `key`.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn flow(&self, key: &FlowKey) -> Result<Option<Flow>, MapError> {
        found(self.maps.flows.get(key, 0))
    }
}

fn found<V>(read: Result<V, MapError>) -> Result<Option<V>, MapError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
