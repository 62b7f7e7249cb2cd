//! The tables of the database, by version, and how one of an older version becomes one of this.
//!
//! An open database comes in and is of this version after it. Versions are only ever added to the end.

use rusqlite::{Connection, TransactionBehavior};

use super::{Contacts, ContactsError, PATIENCE};

/// What each version adds to the one before it.
const STEPS: [&str; 2] = [
    "
CREATE TABLE device (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;
-- Far ends first: which addresses lie in a prefix is asked more often than anything else.
CREATE TABLE contact (
  peer BLOB NOT NULL CHECK (length(peer) = 16), -- IPv4 in its mapped form
  device INTEGER NOT NULL REFERENCES device (id),
  protocol INTEGER NOT NULL,
  port INTEGER NOT NULL,                        -- that was opened; 0 where the protocol has none
  direction INTEGER NOT NULL,                   -- 1 the device opened, 2 the far end did
  first_seen INTEGER NOT NULL,                  -- seconds since 1970
  last_seen INTEGER NOT NULL,
  packets INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (peer, device, protocol, port, direction)
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_of_device ON contact (device);
-- What of a flow that may go on is in its contact already.
CREATE TABLE counted (
  flow BLOB NOT NULL,
  direction INTEGER NOT NULL,
  packets INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  forgotten INTEGER NOT NULL,                   -- nanoseconds since boot
  PRIMARY KEY (flow, direction)
) STRICT, WITHOUT ROWID;
-- Up to which moment of which boot flows were read: one row.
CREATE TABLE reading (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  boot BLOB NOT NULL,
  until INTEGER NOT NULL
) STRICT;
",
    "
ALTER TABLE contact ADD COLUMN outside INTEGER NOT NULL DEFAULT 0; -- packets that no rule allowed
ALTER TABLE contact ADD COLUMN last_outside INTEGER;               -- when the last of them passed
",
];

/// The version that this program knows.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// The version of an open database; 0 of a new one.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

impl Contacts {
    /// How it is written: a reader keeps nobody from writing, and a crash of the agent loses nothing. A power cut
    /// may lose the last transactions, and never leaves half of one (`synchronous=NORMAL` of SQLite's WAL).
    pub(super) fn prepare(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(PATIENCE)?;
        self.connection.set_prepared_statement_cache_capacity(32);
        self.connection.pragma_update(None, "journal_mode", "WAL")?;
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        // A reading touches far ends all over the tree; by default two MiB of it are kept in memory.
        self.connection.pragma_update(None, "cache_size", -(32 << 10))?;
        // What a large transaction has needed is given back.
        self.connection.pragma_update(None, "journal_size_limit", 16 << 20)
    }

    /// Brings one of an older version up to date, all at once.
    pub(super) fn migrate(&self) -> Result<(), ContactsError> {
        let failed = |error| self.explain(error);
        let begun = rusqlite::Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate);
        let transaction = begun.map_err(failed)?;
        let found = usize::try_from(version(&transaction).map_err(failed)?).unwrap_or(0);
        let steps = STEPS.get(found..).unwrap_or_default();
        if steps.is_empty() {
            return Ok(());
        }
        for step in steps {
            transaction.execute_batch(step).map_err(failed)?;
        }
        transaction.pragma_update(None, "user_version", VERSION).map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    /// Looks at every page of it.
    pub(super) fn check(&self) -> Result<(), ContactsError> {
        let found = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        match found.map_err(|error| self.explain(error))?.as_str() {
            "ok" => Ok(()),
            why => Err(ContactsError::Damaged { path: self.path.clone(), why: why.to_owned() }),
        }
    }
}
