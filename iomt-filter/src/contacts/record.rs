//! What a reading of the flow table adds.
//!
//! Flows come in with what they have counted since they began; what they have counted since the last reading is
//! added to their contacts.

use std::collections::HashMap;
use std::sync::Arc;

use iomt_filter_common::flow::FlowKey;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::compare::{Compared, Comparison};
use super::{Contacts, Seen};
use crate::database::{DatabaseError, unsigned};

/// Flows that are written at once: more would keep readers of the log waiting, and fewer cost more.
const AT_ONCE: usize = 50_000;

/// Up to where flows were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The boot, by a name; 0 where it is not known.
    pub boot: u64,
    /// Nanoseconds since then.
    pub until: u64,
}

const KNOWN: &str = "SELECT packets, bytes FROM counted WHERE flow = ?1 AND direction = ?2";
const COUNT: &str = "INSERT INTO counted (flow, direction, packets, bytes, forgotten) VALUES (?1, ?2, ?3, ?4, ?5)
  ON CONFLICT DO UPDATE SET packets = excluded.packets, bytes = excluded.bytes, forgotten = excluded.forgotten";
const ADD: &str =
    "INSERT INTO contact
    (peer, device, protocol, port, direction, first_seen, last_seen, packets, bytes, outside, last_outside)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10)
  ON CONFLICT DO UPDATE SET
    first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen),
    packets = packets + excluded.packets, bytes = bytes + excluded.bytes, outside = outside + excluded.outside,
    last_outside = max(ifnull(last_outside, excluded.last_outside), ifnull(excluded.last_outside, last_outside))";
/// Added to the direction of a flow that is counted where no rule allows it: the same ends may be in both of the
/// kernel's tables, with counts of their own.
const OUTSIDE: u8 = 2;

impl Contacts {
    /// Up to where flows were read by the last reading of this boot; from its begin where there was none. What was
    /// counted of flows in another boot is forgotten.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn begin(&self, boot: u64) -> Result<Reading, DatabaseError> {
        let begin = || {
            let read = "SELECT boot, until FROM reading";
            let last = self.database.query_row(read, [], |row| {
                Ok(Reading { boot: u64::from_be_bytes(row.get(0)?), until: unsigned(row, 1)? })
            });
            match last.optional()?.filter(|last| last.boot == boot && boot != 0) {
                Some(last) => Ok(last),
                None => {
                    self.database.execute("DELETE FROM counted", [])?;
                    Ok(Reading { boot, until: 0 })
                }
            }
        };
        begin().map_err(|error| self.database.explain(error))
    }

    /// Adds what was seen, up to and including `reading`. Where that fails, part of it may be kept; the same may
    /// then be recorded again, and nothing of it counts twice.
    ///
    /// # Errors
    /// When the database is full or damaged, or cannot be written.
    pub fn record(&self, seen: &[Seen], reading: Reading) -> Result<(), DatabaseError> {
        self.record_by(seen, reading, None)
    }

    /// The same, and finds what devices never did.
    ///
    /// # Errors
    /// As of [`record`](Self::record).
    pub fn compare(&self, seen: &[Seen], reading: Reading, by: &Compared<'_>) -> Result<(), DatabaseError> {
        let comparison = Comparison::begin(&self.database, by);
        let comparison = comparison.map_err(|error| self.database.explain(error))?;
        self.record_by(seen, reading, Some(comparison))
    }

    fn record_by(
        &self,
        seen: &[Seen],
        reading: Reading,
        mut comparison: Option<Comparison<'_>>,
    ) -> Result<(), DatabaseError> {
        let mut devices = HashMap::new();
        let mut rest = seen;
        loop {
            let (now, later) = rest.split_at(rest.len().min(AT_ONCE));
            let done = later.is_empty().then_some(reading);
            self.add(now, done, &mut devices, comparison.as_mut())
                .map_err(|error| self.database.explain(error))?;
            if done.is_some() {
                return Ok(());
            }
            rest = later;
        }
    }

    fn add(
        &self,
        seen: &[Seen],
        done: Option<Reading>,
        devices: &mut HashMap<Arc<str>, i64>,
        mut comparison: Option<&mut Comparison<'_>>,
    ) -> rusqlite::Result<()> {
        let begun = rusqlite::Transaction::new_unchecked(&self.database, TransactionBehavior::Immediate);
        let transaction = begun?;
        {
            let mut known = transaction.prepare_cached(KNOWN)?;
            let mut count = transaction.prepare_cached(COUNT)?;
            let mut add = transaction.prepare_cached(ADD)?;
            for seen in seen {
                let device = match devices.get(&seen.device) {
                    Some(&device) => device,
                    None => {
                        let device = device(&transaction, &seen.device)?;
                        devices.insert(seen.device.clone(), device);
                        device
                    }
                };
                let (flow, direction) = (flow(&seen.key), seen.direction as u8);
                let counted = if seen.is_outside { direction + OUTSIDE } else { direction };
                let before: Option<(u64, u64)> = known
                    .query_row(params![flow, counted], |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?)))
                    .optional()?;
                let (packets, bytes) = since(before.unwrap_or_default(), (seen.packets, seen.bytes));
                if let Some(comparison) = &mut comparison {
                    comparison.see(&transaction, device, seen, before.is_none(), (packets, bytes))?;
                }
                count.execute(params![
                    flow,
                    counted,
                    whole(seen.packets),
                    whole(seen.bytes),
                    whole(seen.forgotten)
                ])?;
                let (peer, port) = (seen.peer(), seen.port());
                let second = seen.last_seen.as_second();
                let (packets, bytes) = (whole(packets), whole(bytes));
                let (outside, last_outside) =
                    if seen.is_outside { (packets, Some(second)) } else { (0, None) };
                let protocol = seen.key.protocol;
                add.execute(params![
                    peer,
                    device,
                    protocol,
                    port,
                    direction,
                    second,
                    packets,
                    bytes,
                    outside,
                    last_outside
                ])?;
            }
            if let Some(comparison) = comparison {
                comparison.keep(&transaction, done.is_some())?;
            }
            if let Some(reading) = done {
                let put = "INSERT OR REPLACE INTO reading (id, boot, until) VALUES (1, ?1, ?2)";
                transaction
                    .prepare_cached(put)?
                    .execute(params![reading.boot.to_be_bytes(), whole(reading.until)])?;
            }
        }
        transaction.commit()
    }
}

/// What a flow has counted since it had counted `before`; all of it where it has begun anew, with a lower count.
fn since(before: (u64, u64), now: (u64, u64)) -> (u64, u64) {
    match (now.0.checked_sub(before.0), now.1.checked_sub(before.1)) {
        (Some(packets), Some(bytes)) => (packets, bytes),
        _ => now,
    }
}

/// The number of a device, a new one where it has none.
pub(super) fn device(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    let insert = "INSERT INTO device (name) VALUES (?1) ON CONFLICT DO NOTHING";
    connection.prepare_cached(insert)?.execute(params![name])?;
    connection.prepare_cached("SELECT id FROM device WHERE name = ?1")?.query_row([name], |row| row.get(0))
}

/// A flow's ends as bytes.
fn flow(key: &FlowKey) -> [u8; 37] {
    let mut bytes = [0; 37];
    let parts: [&[u8]; 5] = [
        &key.source.octets(),
        &key.destination.octets(),
        &key.source_port.to_be_bytes(),
        &key.destination_port.to_be_bytes(),
        &[key.protocol],
    ];
    for (place, byte) in bytes.iter_mut().zip(parts.concat()) {
        *place = byte;
    }
    bytes
}

/// SQLite's integers have a sign.
pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_of_a_flow_is_added() {
        assert_eq!(since((0, 0), (3, 300)), (3, 300));
        assert_eq!(since((3, 300), (5, 420)), (2, 120));
        assert_eq!(since((3, 300), (3, 300)), (0, 0));
        assert_eq!(since((3, 300), (1, 60)), (1, 60), "it began anew");
        assert_eq!(since((3, 300), (4, 60)), (4, 60), "a flow cannot lose bytes");
    }
}
