//! What is let go: events that are too old, and the oldest ones where there is no room. Bit by bit, so that nobody
//! waits long for a turn to write.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Archive, microseconds};
use crate::database::DatabaseError;

/// Events that are let go at once.
const AT_ONCE: u32 = 5_000;
/// Room that is kept for the events that are written next, in bytes; no more than a part of all.
const SPARE: u64 = 4 << 20;
const SPARE_PART: u64 = 8;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long an event is kept.
    pub age: Duration,
    /// The largest size of the database, in bytes.
    pub bytes: u64,
}

impl Archive {
    /// Writes nothing beyond the largest size from now on.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn limit(&self, bounds: &Bounds) -> Result<(), DatabaseError> {
        self.database.limit(bounds.bytes)
    }

    /// Lets go what is beyond `bounds` at `now`; how many events went. `false` where there is more to let go.
    ///
    /// # Errors
    /// When the database is damaged or cannot be written.
    pub fn retain(&self, bounds: &Bounds, now: Timestamp) -> Result<(u64, bool), DatabaseError> {
        let age = SignedDuration::try_from(bounds.age).unwrap_or(SignedDuration::MAX);
        let oldest = now.checked_sub(age).map_or(i64::MIN, microseconds);
        let retain = || {
            let old = "DELETE FROM event WHERE number IN \
                       (SELECT number FROM event INDEXED BY event_of_time WHERE time < ?1 ORDER BY time LIMIT ?2)";
            let mut gone = self.database.prepare_cached(old)?.execute((oldest, AT_ONCE))? as u64;
            let mut is_done = gone < u64::from(AT_ONCE);
            if self.used()? + SPARE.min(bounds.bytes / SPARE_PART) > bounds.bytes {
                let first = "DELETE FROM event WHERE number IN \
                             (SELECT number FROM event INDEXED BY event_of_time ORDER BY time LIMIT ?1)";
                gone += self.database.prepare_cached(first)?.execute([AT_ONCE])? as u64;
                is_done = false;
            }
            if is_done
                && self.database.pragma("page_count")? * self.database.pragma("page_size")? > bounds.bytes
            {
                // It was allowed to be larger before.
                self.database.execute_batch("PRAGMA incremental_vacuum(2000)")?;
            }
            Ok((gone, is_done))
        };
        retain().map_err(|error| self.database.explain(error))
    }

    /// Bytes of the database that are in use.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn size(&self) -> Result<u64, DatabaseError> {
        self.used().map_err(|error| self.database.explain(error))
    }

    fn used(&self) -> rusqlite::Result<u64> {
        let pages =
            self.database.pragma("page_count")?.saturating_sub(self.database.pragma("freelist_count")?);
        Ok(pages * self.database.pragma("page_size")?)
    }
}
