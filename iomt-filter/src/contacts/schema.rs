//! The tables of the database, by version.

use crate::database::Schema;

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

/// Every contact may be the one that a list is judged by: damage is to be found at once.
pub(super) static SCHEMA: Schema =
    Schema { what: "the database of who talked to whom", steps: &STEPS, is_checked: true, shrinks: false };
