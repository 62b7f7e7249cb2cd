//! Whether the kernel's tables hold what was written into them. Whoever may use BPF can write them too, and memory can
//! fail: what is found is told, and written anew.

use std::hash::{DefaultHasher, Hasher as _};

use aya::maps::MapError;
use iomt_filter_common::abi::{MAX_PROFILES, ProtectedKey, map};
use iomt_filter_common::policy::GrantKey;

use super::generation::Generation;
use super::load::Datapath;
use super::lock::WriterToken;
use super::shared::SharedWords;
use crate::rows::{GrantCell, Prefix, Rows};

/// Bits of a [`ProtectedKey`] in front of its address.
pub(super) const PROTECTED_BITS: u32 = 64;

/// A table that holds something else than was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The map.
    pub table: &'static str,
    /// Rows that differ; of tables in lines, 1.
    pub rows: usize,
}

impl Datapath {
    /// Where the tables of what judges, and of what it would go back to, differ from what this process has written, or
    /// has [recognised](Self::recognise); nothing of what it has not.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn drift(&self) -> Result<Vec<Drift>, MapError> {
        let mut found = Vec::new();
        for Generation { slot, .. } in self.lasting() {
            let Some(rows) = self.slots.get(slot as usize).and_then(Option::as_ref) else { continue };
            merge(&mut found, self.drift_in(slot, rows)?);
            let directory = self.maps.directory.get(&slot, 0)?;
            let tables = self.maps.shelves.drift(&directory).into_iter();
            merge(&mut found, tables.map(|table| Drift { table, rows: 1 }).collect());
        }
        Ok(found)
    }

    /// What judges, and what it would go back to at a deadline.
    fn lasting(&self) -> Vec<Generation> {
        match self.pending() {
            Some(pending) => vec![pending.candidate, pending.confirmed],
            None => self.generation().into_iter().collect(),
        }
    }

    /// Where the tables of what judges differ from `rows`, whoever wrote them, and those of what it would go back to
    /// from `before`. What is the same is known from then on as if it had been written here.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn recognise(&mut self, rows: &Rows, before: Option<&Rows>) -> Result<Vec<Drift>, MapError> {
        let mut found = Vec::new();
        for (Generation { slot, .. }, rows) in self.lasting().into_iter().zip([Some(rows), before]) {
            let Some(rows) = rows else { continue };
            let directory = self.maps.directory.get(&slot, 0)?;
            let mut drift = self.drift_in(slot, rows)?;
            if drift.is_empty() {
                self.slots[slot as usize] = Some(rows.clone());
            }
            let tables = self.maps.shelves.recall(rows, &directory).into_iter();
            drift.extend(tables.map(|table| Drift { table, rows: 1 }));
            merge(&mut found, drift);
        }
        Ok(found)
    }

    /// Where the rows of the active generation that are no lines differ from `rows`, whoever wrote them.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn drift_from(&self, rows: &Rows) -> Result<Vec<Drift>, MapError> {
        self.generation().map_or(Ok(Vec::new()), |generation| self.drift_in(generation.slot, rows))
    }

    fn drift_in(&self, slot: u32, rows: &Rows) -> Result<Vec<Drift>, MapError> {
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
        let tables = [
            (map::SETTINGS, settings),
            (map::PROFILES, profiles),
            (map::DEVICES, devices),
            (map::GRANTS, grants),
            (map::PROTECTED, self.protected_drift(slot, rows)?),
        ];
        Ok(tables
            .into_iter()
            .filter(|(_, rows)| *rows > 0)
            .map(|(table, rows)| Drift { table, rows })
            .collect())
    }

    /// Pairs that are protected and are not to be, or the other way round.
    fn protected_drift(&self, slot: u32, rows: &Rows) -> Result<usize, MapError> {
        let (mut right, mut strange) = (0, 0);
        for key in self.maps.protected.keys() {
            let key = key?;
            let ProtectedKey { slot: of, device, address } = key.data();
            if of != slot {
                continue;
            }
            let bits = u8::try_from(key.prefix_len().saturating_sub(PROTECTED_BITS)).unwrap_or(u8::MAX);
            match rows.protected.contains(&(device, Prefix { address, bits })) {
                true => right += 1,
                false => strange += 1,
            }
        }
        Ok(strange.max(rows.protected.len().saturating_sub(right)))
    }

    /// Forgets what the tables hold where something else was found, so that the next generation is written whole.
    pub fn doubt(&mut self, found: &[Drift], _token: &WriterToken) {
        self.slots = Default::default();
        self.maps.shelves.doubt(found);
    }
}

/// Adds what was found of one generation to what was found of another: a table is named once.
fn merge(found: &mut Vec<Drift>, more: Vec<Drift>) {
    for drift in more {
        match found.iter_mut().find(|known| known.table == drift.table) {
            Some(known) => known.rows = known.rows.max(drift.rows),
            None => found.push(drift),
        }
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
