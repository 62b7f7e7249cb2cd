//! What is let go: events that are too old, and the oldest ones where there is no room. Bit by bit, so that nobody
//! waits long for a turn to write.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Archive, microseconds};
use crate::database::DatabaseError;

/// Events that are let go at once.
const AT_ONCE: u32 = 5_000;
/// Pages that are given back at once.
const PAGES: u32 = 2_000;
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
    pub fn retain(&mut self, bounds: &Bounds, now: Timestamp) -> Result<(u64, bool), DatabaseError> {
        let (gone, is_done) = self.let_go(bounds, now).map_err(|error| self.database.explain(error))?;
        self.count = self.count.map(|count| count.saturating_sub(gone));
        Ok((gone, is_done))
    }

    fn let_go(&self, bounds: &Bounds, now: Timestamp) -> rusqlite::Result<(u64, bool)> {
        let age = SignedDuration::try_from(bounds.age).unwrap_or(SignedDuration::MAX);
        let oldest = now.checked_sub(age).map_or(i64::MIN, microseconds);
        let old = "DELETE FROM event WHERE number IN \
                   (SELECT number FROM event INDEXED BY event_of_time WHERE time < ?1 ORDER BY time LIMIT ?2)";
        let old = self.database.prepare_cached(old)?.execute((oldest, AT_ONCE))? as u64;
        let mut first = 0;
        if self.used()? + SPARE.min(bounds.bytes / SPARE_PART) > bounds.bytes {
            let delete = "DELETE FROM event WHERE number IN \
                          (SELECT number FROM event INDEXED BY event_of_time ORDER BY time LIMIT ?1)";
            first = self.database.prepare_cached(delete)?.execute([AT_ONCE])? as u64;
        }
        let is_done = old < u64::from(AT_ONCE) && first == 0;
        // What is free serves the next events, unless all was allowed to be larger before.
        Ok((old + first, is_done && !self.shrink(bounds.bytes)?))
    }

    /// Gives pages that are free back to the disk, as long as the file is larger than `bytes`; whether there are more.
    fn shrink(&self, bytes: u64) -> rusqlite::Result<bool> {
        let is_larger = || -> rusqlite::Result<bool> {
            let size = self.database.pragma("page_count")? * self.database.pragma("page_size")?;
            Ok(size > bytes && self.database.pragma("freelist_count")? > 0)
        };
        if !is_larger()? {
            return Ok(false);
        }
        // Each row that it answers with is a page that it gave back.
        let mut vacuum = self.database.prepare_cached(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        let (mut rows, mut given_back) = (vacuum.raw_query(), 0);
        while rows.next()?.is_some() {
            given_back += 1;
        }
        Ok(given_back > 0 && is_larger()?)
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
