//! Whether the kernel's tables hold what was written into them. Whoever may use BPF can write them too, and memory can
//! fail: what is found is told, and written anew.

use std::hash::{DefaultHasher, Hasher as _};

use aya::maps::MapError;
use iomt_filter_common::abi::{MAX_PROFILES, ProtectedKey, map};
use iomt_filter_common::policy::GrantKey;

use super::load::Datapath;
use super::lock::WriterToken;
use super::shared::SharedWords;
use crate::rows::{GrantCell, Rows};

/// A table that holds something else than was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The map.
    pub table: &'static str,
    /// Rows that differ; of tables in lines, 1.
    pub rows: usize,
}

impl Datapath {
    /// Where the tables of the active generation differ from what this process has written; nothing while a change is
    /// pending, or before it has written any.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn drift(&self) -> Result<Vec<Drift>, MapError> {
        let (Some(rows), None) = (self.active_rows(), self.pending()) else { return Ok(Vec::new()) };
        let mut found = self.drift_from(rows)?;
        let slot = self.generation().map_or(0, |generation| generation.slot);
        let halves = self.maps.directory.get(&slot, 0)?.halves;
        found.extend(self.maps.shelves.drift(halves).into_iter().map(|table| Drift { table, rows: 1 }));
        Ok(found)
    }

    /// Where the rows of the active generation that are no lines differ from `rows`, whoever wrote them.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn drift_from(&self, rows: &Rows) -> Result<Vec<Drift>, MapError> {
        let Some(generation) = self.generation() else { return Ok(Vec::new()) };
        let slot = generation.slot;
        let settings = usize::from(self.maps.settings.get(&slot, 0)? != rows.settings);
        let mut profiles = 0;
        for number in 0..MAX_PROFILES {
            let wanted = u16::try_from(number).ok().and_then(|number| rows.profiles.get(&number));
            let held = self.maps.profiles.get(&(slot * MAX_PROFILES + number), 0)?;
            profiles += usize::from(held != wanted.copied().unwrap_or_default());
        }
        let mut devices = 0;
        for number in 0..self.device_capacity {
            let held = self.maps.devices.get(&(slot * self.device_capacity + number), 0)?;
            devices += usize::from(held != rows.devices.get(&number).copied().unwrap_or_default());
        }
        let (mut grants, mut held) = (0, 0);
        for row in self.maps.grants.iter() {
            let (key, grant): (GrantKey, _) = row?;
            if key.slot == slot {
                held += 1;
                let wanted = rows.grants.iter().find(|(cell, _)| is_cell(cell, &key));
                grants += usize::from(wanted.is_none_or(|(_, wanted)| *wanted != grant));
            }
        }
        grants += rows.grants.len().saturating_sub(held);
        let mut protected: usize = 0;
        for key in self.maps.protected.keys() {
            let key = key?;
            let data: ProtectedKey = key.data();
            protected += usize::from(data.slot == slot);
        }
        let tables = [
            (map::SETTINGS, settings),
            (map::PROFILES, profiles),
            (map::DEVICES, devices),
            (map::GRANTS, grants),
            (map::PROTECTED, protected.abs_diff(rows.protected.len())),
        ];
        Ok(tables
            .into_iter()
            .filter(|(_, rows)| *rows > 0)
            .map(|(table, rows)| Drift { table, rows })
            .collect())
    }

    /// Forgets what the tables hold, so that the next generation is written whole.
    pub fn doubt(&mut self, _token: &WriterToken) {
        self.slots = Default::default();
        self.maps.shelves.doubt();
    }
}

fn is_cell(cell: &GrantCell, key: &GrantKey) -> bool {
    cell.device == key.device
        && cell.direction as u16 == key.direction
        && cell.peer == key.peer
        && cell.service == key.service
}

/// What tells words from others; no help against who means it.
pub(super) fn digest(words: &SharedWords, first: usize, count: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    words.read(first, count, |word| hasher.write_u64(word));
    hasher.finish()
}
