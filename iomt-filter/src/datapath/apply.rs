//! The one executor of plans: writes the idle slot, then makes it the active one.

use aya::maps::MapError;
use iomt_filter_common::abi::{MAX_PROFILES, ProtectedKey, map};
use iomt_filter_common::device::Device;
use iomt_filter_common::lookup::Directory;
use iomt_filter_common::policy::{GrantKey, Profile};
use thiserror::Error;

use super::capacity;
use super::drift::PROTECTED_BITS;
use super::generation::Generation;
use super::load::Datapath;
use super::lock::WriterToken;
use super::maps::{Maps, trie_key};
use super::plan::{Plan, diff};
use crate::image::ImageError;
use crate::rows::{Prefix, Rows};

/// Why a generation could not be made active. The one before stays as it is.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The new rows do not fit.
    #[error(
        "table `{table}` has room for {capacity} rows, {needed} are needed; nothing was changed; {way_out}"
    )]
    Full {
        /// The map.
        table: &'static str,
        /// Rows of the new generation.
        needed: usize,
        /// Rows of a generation that fit.
        capacity: usize,
        /// What to do.
        way_out: &'static str,
    },
    /// The lists of a new generation are larger than a half of their table.
    #[error(
        "table `{table}` has room for {capacity} lines of 64 bytes, {needed} are needed; nothing was changed. To make a larger one, run `iomt-filter detach`, then start again"
    )]
    Large {
        /// The map.
        table: &'static str,
        /// Lines that are needed.
        needed: usize,
        /// Lines that a half has.
        capacity: usize,
    },
    /// Both halves of a table in lines are read: by what judges, and by what is pending.
    #[error(
        "table `{table}` has no room for a third generation beside a change that is pending; `iomt-filter confirm` or `iomt-filter rollback` first"
    )]
    Busy {
        /// The map.
        table: &'static str,
    },
    /// What judges is to be confirmed first.
    #[error("a change is pending; `iomt-filter confirm` or `iomt-filter rollback` first")]
    Pending,
    /// The lists fit no table.
    #[error("{0}; nothing was changed")]
    Lists(#[from] ImageError),
    /// The kernel refused a row.
    #[error("failed to write the table `{table}`; the generation before stays active")]
    Write {
        /// The map.
        table: &'static str,
        /// What went wrong.
        #[source]
        error: MapError,
    },
}

impl Datapath {
    /// Makes `rows` what the kernel judges with, by one swap. Until the swap, and where this fails, the
    /// generation before judges alone.
    ///
    /// # Errors
    /// When the rows do not fit, the kernel refuses one, or a change is pending.
    pub fn apply(&mut self, rows: Rows, token: &WriterToken) -> Result<Generation, ApplyError> {
        self.take_fall_back(token);
        if self.pending().is_some() {
            return Err(ApplyError::Pending);
        }
        let generation = match self.write(rows) {
            // What is on trial gives way to what is to hold.
            Err((rows, ApplyError::Busy { .. })) if self.judging.active().has_trial() => {
                self.end_trial(token);
                self.write(*rows)
            }
            written => written,
        };
        let generation = generation.map_err(|(_, error)| error)?;
        self.judging.set_active(generation.word().beside_trial(self.trial().is_some()));
        self.grace.begin();
        Ok(generation)
    }

    /// Writes `rows` as a new generation into a slot that nobody reads. Where that fails they come back.
    pub(super) fn write(&mut self, rows: Rows) -> Result<Generation, (Box<Rows>, ApplyError)> {
        match self.write_idle(&rows) {
            Ok(slot) => {
                self.slots[slot as usize] = Some(rows);
                Ok(Generation { number: self.judging.take_number(), slot })
            }
            Err(error) => Err((Box::new(rows), error)),
        }
    }

    fn write_idle(&mut self, rows: &Rows) -> Result<u32, ApplyError> {
        let read = self.slots_in_use();
        let slot = self.idle_slot();
        let index = slot as usize;
        capacity::check(rows, self.device_capacity)?;
        let directories = read.iter().map(|slot| self.maps.directory.get(slot, 0));
        let directories = directories.collect::<Result<Vec<_>, _>>().map_err(failed(map::DIRECTORY))?;
        let staged = self.maps.shelves.stage(rows, &directories)?;
        self.grace.wait();
        let held = match self.slots[index].take() {
            Some(held) => held,
            None => self.maps.clear(slot, self.device_capacity)?,
        };
        // Until the write is complete nobody knows what the slot holds: it is then cleared first.
        self.write_slot(slot, &diff(&with_lines_of(rows, &held), rows))?;
        let directory = self.maps.shelves.put(staged);
        self.maps.directory.set(slot, directory, 0).map_err(failed(map::DIRECTORY))?;
        Ok(slot)
    }

    /// Writes a plan into a slot that nobody reads. Where that fails the slot is emptied: what is half written would
    /// take the room of others.
    fn write_slot(&mut self, slot: u32, plan: &Plan) -> Result<(), ApplyError> {
        let written = self.maps.write(plan, slot, self.device_capacity);
        if written.is_err() {
            self.slots[slot as usize] = self.maps.clear(slot, self.device_capacity).ok();
        }
        written
    }
}

impl Datapath {
    /// Waits until no packet is judged by the generation before.
    pub fn wait_for_readers(&mut self) {
        self.grace.wait();
    }

    /// Writes what is active into the other slot too, once nobody reads that, so that the next change has only
    /// itself to write.
    ///
    /// # Errors
    /// When the kernel refuses a row.
    pub fn settle(&mut self, token: &WriterToken) -> Result<(), ApplyError> {
        self.take_fall_back(token);
        let Some(active) = self.generation() else { return Ok(()) };
        if self.pending().is_some() || self.trial().is_some() {
            return Ok(());
        }
        let idle = self.idle_slot();
        let index = idle as usize;
        let [Some(rows), Some(held)] = [active.slot as usize, index].map(|slot| self.slots[slot].as_ref())
        else {
            return Ok(());
        };
        // What is in lines waits for the change that needs it: both slots can refer to the same ones.
        let rows = with_lines_of(held, rows);
        let plan = diff(held, &rows);
        if plan.is_empty() {
            return Ok(());
        }
        self.grace.wait();
        // As in a change: until it is done nobody knows what the slot holds.
        self.slots[index] = None;
        self.write_slot(idle, &plan)?;
        self.slots[index] = Some(rows);
        Ok(())
    }
}

impl Maps {
    /// Writes a plan into a slot that no packet is judged by.
    fn write(&mut self, plan: &Plan, slot: u32, capacity: u32) -> Result<(), ApplyError> {
        if let Some(settings) = plan.settings {
            self.settings.set(slot, settings, 0).map_err(failed(map::SETTINGS))?;
        }
        for (profile, row) in &plan.profiles.put {
            self.profiles
                .set(slot * MAX_PROFILES + u32::from(*profile), row, 0)
                .map_err(failed(map::PROFILES))?;
        }
        for profile in &plan.profiles.remove {
            let index = slot * MAX_PROFILES + u32::from(*profile);
            self.profiles.set(index, Profile::default(), 0).map_err(failed(map::PROFILES))?;
        }
        for (device, row) in &plan.devices.put {
            self.devices.set(slot * capacity + device, row, 0).map_err(failed(map::DEVICES))?;
        }
        for device in &plan.devices.remove {
            self.devices.set(slot * capacity + device, Device::default(), 0).map_err(failed(map::DEVICES))?;
        }
        self.write_keyed(plan, slot)
    }

    fn write_keyed(&mut self, plan: &Plan, slot: u32) -> Result<(), ApplyError> {
        let grant_key = |cell: &crate::rows::GrantCell| GrantKey {
            slot,
            device: cell.device,
            direction: cell.direction as u16,
            peer: cell.peer,
            service: cell.service,
            reserved: 0,
        };
        hash(&mut self.grants, map::GRANTS, &plan.grants, grant_key, |v| *v)?;

        let protected_key = |(device, p): &(u32, Prefix)| {
            trie_key(PROTECTED_BITS, p.bits, ProtectedKey { slot, device: *device, address: p.address })
        };
        trie(&mut self.protected, map::PROTECTED, &plan.protected, protected_key, |()| 1)
    }

    /// Empties a slot whose content this process did not write.
    fn clear(&mut self, slot: u32, capacity: u32) -> Result<Rows, ApplyError> {
        for profile in 0..MAX_PROFILES {
            let index = slot * MAX_PROFILES + profile;
            self.profiles.set(index, Profile::default(), 0).map_err(failed(map::PROFILES))?;
        }
        for device in 0..capacity {
            self.devices.set(slot * capacity + device, Device::default(), 0).map_err(failed(map::DEVICES))?;
        }
        self.settings
            .set(slot, iomt_filter_common::policy::Settings::default(), 0)
            .map_err(failed(map::SETTINGS))?;
        clear_hash(&mut self.grants, map::GRANTS, |key: &GrantKey| key.slot == slot)?;
        self.directory.set(slot, Directory::default(), 0).map_err(failed(map::DIRECTORY))?;
        clear_trie(&mut self.protected, map::PROTECTED, |key: &ProtectedKey| key.slot == slot)?;
        Ok(Rows::default())
    }
}

/// `rows` with that of others which is written in lines: that need not be compared row by row.
fn with_lines_of(others: &Rows, rows: &Rows) -> Rows {
    let Rows { settings, profiles, devices, grants, protected, names, .. } = rows.clone();
    Rows { settings, profiles, devices, grants, protected, names, ..others.clone() }
}

fn failed(table: &'static str) -> impl Fn(MapError) -> ApplyError {
    move |error| ApplyError::Write { table, error }
}

fn hash<K, V, Key: aya::Pod, Value: aya::Pod>(
    table: &mut aya::maps::HashMap<aya::maps::MapData, Key, Value>,
    name: &'static str,
    changes: &super::plan::Changes<K, V>,
    key: impl Fn(&K) -> Key,
    value: impl Fn(&V) -> Value,
) -> Result<(), ApplyError> {
    for row in &changes.remove {
        match table.remove(&key(row)) {
            Ok(()) | Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(failed(name)(error)),
        }
    }
    for (row, content) in &changes.put {
        table.insert(key(row), value(content), 0).map_err(failed(name))?;
    }
    Ok(())
}

fn trie<K, V, Key: aya::Pod, Value: aya::Pod>(
    table: &mut aya::maps::lpm_trie::LpmTrie<aya::maps::MapData, Key, Value>,
    name: &'static str,
    changes: &super::plan::Changes<K, V>,
    key: impl Fn(&K) -> aya::maps::lpm_trie::Key<Key>,
    value: impl Fn(&V) -> Value,
) -> Result<(), ApplyError> {
    for row in &changes.remove {
        match table.remove(&key(row)) {
            Ok(()) | Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(failed(name)(error)),
        }
    }
    for (row, content) in &changes.put {
        table.insert(&key(row), value(content), 0).map_err(failed(name))?;
    }
    Ok(())
}

fn clear_hash<Key: aya::Pod, Value: aya::Pod>(
    table: &mut aya::maps::HashMap<aya::maps::MapData, Key, Value>,
    name: &'static str,
    is_ours: impl Fn(&Key) -> bool,
) -> Result<(), ApplyError> {
    // A row that cannot be read might be one that lets something pass: then nothing is swapped.
    let keys: Vec<Key> = table.keys().collect::<Result<_, _>>().map_err(failed(name))?;
    for key in keys.into_iter().filter(is_ours) {
        table.remove(&key).map_err(failed(name))?;
    }
    Ok(())
}

fn clear_trie<Key: aya::Pod, Value: aya::Pod>(
    table: &mut aya::maps::lpm_trie::LpmTrie<aya::maps::MapData, Key, Value>,
    name: &'static str,
    is_ours: impl Fn(&Key) -> bool,
) -> Result<(), ApplyError> {
    let keys: Vec<_> = table.keys().collect::<Result<_, _>>().map_err(failed(name))?;
    for key in keys.into_iter().filter(|key| is_ours(&key.data())) {
        table.remove(&key).map_err(failed(name))?;
    }
    Ok(())
}
