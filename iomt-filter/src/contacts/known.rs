//! What is told of devices beside their contacts: deviations, and packets that no rule allowed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::Contacts;
use crate::database::{DatabaseError, unsigned};
use crate::events::Record;

/// The last deviation of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDrift {
    /// When it was told, to the second.
    pub at: Timestamp,
    /// What it was.
    pub note: String,
}

/// What is known of a device beside its contacts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// Packets that no rule allowed, and that passed.
    pub would_drops: u64,
    /// For how many seconds it was watched.
    pub watched: u64,
    /// Deviations that were told of it.
    pub drifts: u64,
    /// The last of them.
    pub last_drift: Option<LastDrift>,
}

impl Contacts {
    /// What is known of each device beside its contacts; packets without a rule since the day of `since`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn habits(&self, since: Timestamp) -> Result<BTreeMap<String, Habits>, DatabaseError> {
        let read = || -> rusqlite::Result<_> {
            let all = "SELECT name, (SELECT seconds FROM watch) - since, drifts, last_drift, last_note,
                (SELECT ifnull(sum(packets), 0) FROM outside WHERE outside.device = id AND day >= ?1)
              FROM device JOIN baseline ON device = id";
            let mut all = self.database.prepare_cached(all)?;
            let rows = all.query_map([since.as_second().div_euclid(86_400)], |row| {
                let at: Option<i64> = row.get(3)?;
                let note: Option<String> = row.get(4)?;
                let at = at.and_then(|second| Timestamp::from_second(second).ok());
                let habits = Habits {
                    would_drops: unsigned(row, 5)?,
                    watched: row.get::<_, i64>(1)?.max(0).unsigned_abs(),
                    drifts: unsigned(row, 2)?,
                    last_drift: at.zip(note).map(|(at, note)| LastDrift { at, note }),
                };
                Ok((row.get(0)?, habits))
            })?;
            rows.collect::<Result<_, _>>()
        };
        read().map_err(|error| self.database.explain(error))
    }

    /// Up to which event of the archive attempts were read; nothing before the first time.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn read_event(&self) -> Result<Option<i64>, DatabaseError> {
        let event = self.database.query_row("SELECT event FROM watch", [], |row| row.get(0)).optional();
        event.map(Option::flatten).map_err(|error| self.database.explain(error))
    }

    /// Deviations with a number above `after` that are to be told, as events, in their order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn untold(&self, after: i64) -> Result<Vec<(i64, Record)>, DatabaseError> {
        let read = || -> rusqlite::Result<_> {
            let untold = "SELECT number, record FROM drift WHERE number > ?1 ORDER BY number";
            let mut untold = self.database.prepare_cached(untold)?;
            let rows = untold.query_map([after], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
            let mut told = Vec::new();
            for row in rows {
                let (number, text) = row?;
                let Ok(mut record) = serde_json::from_str::<Record>(&text) else { continue };
                if let Some(drift) = &mut record.drift {
                    drift.number = number;
                }
                told.push((number, record));
            }
            Ok(told)
        };
        read().map_err(|error| self.database.explain(error))
    }

    /// Forgets deviations that were told, up to and including this number.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn told(&self, number: i64) -> Result<(), DatabaseError> {
        let told = self.database.execute("DELETE FROM drift WHERE number <= ?1", params![number]);
        told.map(drop).map_err(|error| self.database.explain(error))
    }
}
