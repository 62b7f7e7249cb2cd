//! The tables of the archive, by version, and how one of an older version becomes one of this.
//!
//! An open database comes in and is of this version after it. Versions are only ever added to the end.

use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::{Archive, ArchiveError};

/// How long one waits for another that writes.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What each version adds to the one before it.
const STEPS: [&str; 1] = ["
-- Names of devices, rules, feeds and interfaces, reasons, verdicts and other words that come again and again.
CREATE TABLE word (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
) STRICT;
-- A number without a comment is that of a word.
CREATE TABLE event (
  number INTEGER PRIMARY KEY,  -- in the order in which they came
  time INTEGER NOT NULL,       -- microseconds since 1970
  device INTEGER,
  reason INTEGER NOT NULL,
  peer BLOB,                   -- the far end; 4 or 16 bytes
  verdict INTEGER NOT NULL,
  host INTEGER NOT NULL,
  interface INTEGER,
  port INTEGER NOT NULL,
  profile INTEGER,
  direction INTEGER,
  mac_source INTEGER,          -- 48 bits, as those of the next
  mac_destination INTEGER,
  vlan INTEGER,
  ip_version INTEGER,          -- itself
  source BLOB,                 -- 4 or 16 bytes
  destination BLOB,
  protocol INTEGER,
  source_port INTEGER,         -- itself
  destination_port INTEGER,    -- itself
  tcp_flags INTEGER,
  fragment TEXT,               -- JSON
  length INTEGER NOT NULL,     -- itself
  country INTEGER,
  feed INTEGER,
  entry INTEGER,
  score INTEGER,               -- itself
  rule INTEGER,
  generation INTEGER NOT NULL, -- itself
  count INTEGER NOT NULL,      -- itself
  ethertype INTEGER,
  arp TEXT,                    -- JSON
  icmp_type INTEGER,           -- itself
  icmp_code INTEGER,           -- itself
  hop_limit INTEGER,           -- itself
  expected INTEGER,
  note TEXT
) STRICT;
-- Each has what may be asked for besides, so that no event is looked at that does not match.
CREATE INDEX event_of_time ON event (time, peer);
CREATE INDEX event_of_device ON event (device, time, reason);
CREATE INDEX event_of_reason ON event (reason, time);
CREATE INDEX event_of_peer ON event (peer, time, device, reason) WHERE peer IS NOT NULL;
"];

/// The version that this program knows.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// The version of an open database; 0 of a new one.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

impl Archive {
    /// How it is written: a reader keeps nobody from writing, and a crash of the agent loses nothing that was
    /// written. A power cut may lose the last transactions, and never leaves half of one.
    pub(super) fn prepare(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(PATIENCE)?;
        self.connection.set_prepared_statement_cache_capacity(32);
        // Counts before there is a table: what was let go is given back.
        self.connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        self.connection.pragma_update(None, "journal_mode", "WAL")?;
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        self.connection.pragma_update(None, "cache_size", -(32 << 10))?;
        self.connection.pragma_update(None, "journal_size_limit", 16 << 20)
    }

    /// Brings one of an older version up to date, all at once.
    pub(super) fn migrate(&self) -> Result<(), ArchiveError> {
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
}
