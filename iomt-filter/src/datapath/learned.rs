//! What the kernel program learns by itself: leases, flows, and how much devices have open. Read here, for
//! people and for a private copy to go on from, and leases put back after a reboot.

use std::collections::BTreeMap;

use aya::maps::{HashMap, MapData, MapError};
use iomt_filter_common::Address;
use iomt_filter_common::abi::map;
use iomt_filter_common::device::Device;
use iomt_filter_common::exception::Exception;
use iomt_filter_common::flow::{Flow, FlowKey};
use iomt_filter_common::lease::{FAMILIES, Lease, Requests, index};
use iomt_filter_common::limit::{Bucket, Buckets, window};

use super::capacity::Fill;
use super::generation::wait_for_readers;
use super::load::{Datapath, FRAGMENTS, lru_rows};
use super::lock::WriterToken;
use super::maps::Maps;
use super::readings::Readings;
use crate::clock::boottime;
use crate::rows::Rows;

/// Leases, flows, and when the agent was last heard of.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// Devices and what they have leased.
    pub leases: Vec<(u32, Lease)>,
    /// Flows.
    pub flows: Vec<(FlowKey, Flow)>,
    /// What holds by hand.
    pub exceptions: Vec<(u32, Exception)>,
    /// In nanoseconds of the program's clock; 0 for never.
    pub heartbeat: u64,
}

impl Datapath {
    /// Makes the program believe leases that it has learned before. What it has learned meanwhile is newer, and
    /// stays.
    ///
    /// # Errors
    /// When the kernel refuses a write.
    pub fn restore_leases(&mut self, leases: &[(u32, Lease)], _token: &WriterToken) -> Result<(), MapError> {
        for (device, lease) in leases.iter().filter(|(device, _)| *device < self.device_capacity) {
            let index = index(*device, lease.address);
            let is_known = self.maps.leases.get(&index, 0)? != Lease::default();
            if is_known || found(self.maps.leased.get(&lease.address, 0))?.is_some() {
                continue;
            }
            self.maps.leased.insert(lease.address, device, 0)?;
            self.maps.leases.set(index, lease, 0)?;
        }
        Ok(())
    }

    /// Makes the program forget what it has learned of every device by its number: leases, requests for them, and
    /// tokens that were taken.
    ///
    /// # Errors
    /// When the kernel refuses a write.
    pub fn forget_devices(&mut self, _token: &WriterToken) -> Result<(), MapError> {
        // What a run that began before a swap learns is forgotten too.
        wait_for_readers();
        self.maps.forget_devices(0..self.device_capacity)
    }
}

impl Readings {
    /// Leases of `devices`, and of whoever has leased one of `addresses`; over or not.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn learned(&self, devices: &[u32], addresses: &[Address]) -> Result<Learned, MapError> {
        let mut devices = devices.to_vec();
        for address in addresses {
            devices.extend(found(self.leased.get(address, 0))?);
        }
        devices.sort_unstable();
        devices.dedup();
        let mut leases = Vec::new();
        for device in devices.iter().copied().filter(|&device| device < self.device_capacity) {
            for family in 0..FAMILIES {
                let lease = self.leases.get(&(device * FAMILIES + family), 0)?;
                if lease != Lease::default() {
                    leases.push((device, lease));
                }
            }
        }
        let of_hand = devices.iter().chain(&[0]).filter(|&&device| device < self.device_capacity);
        let exceptions = of_hand.map(|&device| Ok((device, self.exceptions.get(&device, 0)?)));
        let exceptions = exceptions.collect::<Result<_, MapError>>()?;
        Ok(Learned { leases, flows: Vec::new(), exceptions, heartbeat: self.heartbeat.last() })
    }

    /// The flow that is remembered under `key`, of whatever generation.
    #[must_use]
    pub fn flow(&self, key: &FlowKey) -> Option<Flow> {
        self.flows.get(key)
    }

    /// The leases that count for something with the devices of `rows`, by device; also those whose time is over.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn leases(&self, rows: &Rows) -> Result<BTreeMap<u32, Vec<Lease>>, MapError> {
        let mut leases = BTreeMap::new();
        for (&device, _) in rows.devices.iter().filter(|(_, row)| row.has(Device::BY_DHCP)) {
            for family in 0..FAMILIES {
                let lease = self.leases.get(&(device * FAMILIES + family), 0)?;
                let is_last = || self.leased.get(&lease.address, 0).is_ok_and(|last| last == device);
                if lease.expires != 0 && !rows.device_addresses.contains_key(&lease.address) && is_last() {
                    leases.entry(device).or_insert_with(Vec::new).push(lease);
                }
            }
        }
        Ok(leases)
    }

    /// Flows with traffic in the minute of `now` (nanoseconds since boot) of a device.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn flows_in_minute(&self, device: u32, now: u64) -> Result<u32, MapError> {
        if device >= self.device_capacity {
            return Ok(0);
        }
        let words = self.buckets.get(&device, 0)?.words;
        let count = |bucket: Bucket| {
            let word = words[bucket as usize];
            if word >> 32 == window(now) { word as u32 } else { 0 }
        };
        Ok(count(Bucket::FlowsFrom).max(count(Bucket::FlowsTo)))
    }

    /// How full the tables are that the program fills, where that is told by a short walk.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn filled(&self, rows: &Rows) -> Result<[Fill; 3], MapError> {
        let leases = self.leases(rows)?.values().map(Vec::len).sum();
        let fragments = lru_rows(FRAGMENTS) as usize;
        let of = |table, used, capacity| Fill { table, used, capacity };
        Ok([
            of(map::LEASES, leases, (self.device_capacity * FAMILIES) as usize),
            of("FLOWS", self.flows(boottime()).len(), self.flows.capacity()),
            of(map::FRAGMENTS, count(&self.fragments, fragments)?, fragments),
        ])
    }
}

impl Maps {
    /// Clears what is kept of `devices`, and who has leased which address. An address is nobody's before its lease
    /// goes: at no time is it another device's.
    pub(super) fn forget_devices(&mut self, devices: impl Iterator<Item = u32>) -> Result<(), MapError> {
        clear(&mut self.leased)?;
        for device in devices {
            self.buckets.set(device, Buckets::default(), 0)?;
            for place in device * FAMILIES..(device + 1) * FAMILIES {
                self.leases.set(place, Lease::default(), 0)?;
                self.requests.set(place, Requests::default(), 0)?;
            }
        }
        Ok(())
    }
}

/// Removes every row of a table.
pub(super) fn clear<K: aya::Pod, V: aya::Pod>(table: &mut HashMap<MapData, K, V>) -> Result<(), MapError> {
    let keys: Vec<K> = table.keys().filter_map(Result::ok).collect();
    // The program may have removed a row meanwhile.
    keys.iter().try_for_each(|key| found(table.remove(key)).map(drop))
}

/// Rows of a table. A walk begins anew when the row that it stands at goes, so it is cut off.
fn count<K: aya::Pod, V: aya::Pod>(table: &HashMap<MapData, K, V>, most: usize) -> Result<usize, MapError> {
    table.keys().take(most).try_fold(0, |count, key| match key {
        Ok(_) => Ok(count + 1),
        Err(MapError::KeyNotFound) => Ok(count),
        Err(error) => Err(error),
    })
}

fn found<V>(read: Result<V, MapError>) -> Result<Option<V>, MapError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
