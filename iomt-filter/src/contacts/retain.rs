//! What is let go: contacts that were not seen for long, the oldest ones where there are too many, and what was
//! counted of flows that can no longer go on. Bit by bit, so that nobody waits long for a turn to write.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension as _, params};

use super::Contacts;
use crate::baseline::drift::PAST_DAYS;
use crate::database::DatabaseError;

/// Contacts that are looked at in one go.
const AT_ONCE: u32 = 20_000;
/// How long what was counted of a flow is kept after the flow is forgotten, in nanoseconds: a reading may be late.
const GRACE: u64 = 600_000_000_000;

/// Attempts that are kept; some 60 bytes each.
const MOST_ATTEMPTS: u32 = 500_000;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long a contact is kept after it was last seen.
    pub age: Duration,
    /// How many contacts are kept; some 250 bytes each.
    pub contacts: u64,
    /// The largest size of the database, in bytes: beyond it nothing is written.
    pub bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { age: Duration::from_secs(60 * 86_400), contacts: 2_000_000, bytes: 1 << 30 }
    }
}

impl Contacts {
    /// Writes nothing beyond the largest size from now on.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn limit(&self, bounds: &Bounds) -> Result<(), DatabaseError> {
        self.database.limit(bounds.bytes)
    }

    /// Lets go what is beyond `bounds` at `now`, and flows that are forgotten at `since_boot` (nanoseconds); how many
    /// contacts went.
    ///
    /// # Errors
    /// When the database is damaged or cannot be written.
    pub fn retain(&self, bounds: &Bounds, now: Timestamp, since_boot: u64) -> Result<u64, DatabaseError> {
        let forgotten = i64::try_from(since_boot.saturating_sub(GRACE)).unwrap_or(i64::MAX);
        let retain = || {
            self.database.execute("DELETE FROM counted WHERE forgotten < ?1", [forgotten])?;
            let age = SignedDuration::try_from(bounds.age).unwrap_or(SignedDuration::MAX);
            let oldest = now.checked_sub(age).map_or(i64::MIN, Timestamp::as_second);
            let mut gone = self.let_go(oldest)?;
            if let Some(oldest) = self.oldest_within(bounds.contacts)? {
                gone += self.let_go(oldest)?;
            }
            self.let_go_of_habits(oldest, now)?;
            Ok(gone)
        };
        retain().map_err(|error| self.database.explain(error))
    }

    /// Lets go what is too old of attempts and of what was usual, and all that is known of devices without contacts.
    fn let_go_of_habits(&self, oldest: i64, now: Timestamp) -> rusqlite::Result<()> {
        self.database.execute("DELETE FROM attempt WHERE last_seen < ?1", [oldest])?;
        let beyond = "DELETE FROM attempt WHERE last_seen <= \
             (SELECT last_seen FROM attempt ORDER BY last_seen DESC LIMIT 1 OFFSET ?1)";
        self.database.execute(beyond, [MOST_ATTEMPTS])?;
        let past = "DELETE FROM day WHERE day < (SELECT seconds / 86400 FROM watch) - ?1";
        self.database.execute(past, [PAST_DAYS as i64])?;
        let first_day = oldest.max(0).min(now.as_second()) / 86_400;
        self.database.execute("DELETE FROM outside WHERE day < ?1", [first_day])?;
        let unused = "DELETE FROM device WHERE NOT EXISTS (SELECT 1 FROM contact WHERE device = device.id) \
             AND NOT EXISTS (SELECT 1 FROM attempt WHERE device = device.id)";
        // What else is known of them goes along.
        self.database.execute(unused, [])?;
        Ok(())
    }

    /// Lets contacts go that were last seen before `oldest`.
    fn let_go(&self, oldest: i64) -> rusqlite::Result<u64> {
        let mut gone = 0;
        let mut after = None::<[u8; 16]>;
        loop {
            let next =
                "SELECT peer FROM contact WHERE ?1 IS NULL OR peer > ?1 ORDER BY peer LIMIT 1 OFFSET ?2";
            let until: Option<[u8; 16]> =
                self.database.query_row(next, params![after, AT_ONCE], |row| row.get(0)).optional()?;
            let old = "DELETE FROM contact WHERE last_seen < ?1 AND peer > ?2 AND peer <= ?3";
            let first = after.as_ref().map_or(&[][..], |after| after);
            let last = until.unwrap_or([0xff; 16]);
            gone += self.database.execute(old, params![oldest, first, last])? as u64;
            match until {
                Some(until) => after = Some(until),
                None => return Ok(gone),
            }
        }
    }

    /// When the oldest contact may have been last seen, for no more than `most` to be left; nothing where there are
    /// no more.
    fn oldest_within(&self, most: u64) -> rusqlite::Result<Option<i64>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let first_beyond = "SELECT last_seen FROM contact ORDER BY last_seen DESC LIMIT 1 OFFSET ?1";
        let beyond: Option<i64> =
            self.database.query_row(first_beyond, [most], |row| row.get(0)).optional()?;
        // Of those that were seen in the same second all go.
        Ok(beyond.map(|second| second.saturating_add(1)))
    }
}
