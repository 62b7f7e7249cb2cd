//! The tables of the database, by version.

use crate::database::Schema;

/// What each version adds to the one before it.
const STEPS: [&str; 3] = [
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
    "
-- For how many seconds was watched: one row. Neither a clock that is set nor time without an agent counts.
CREATE TABLE watch (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  seconds INTEGER NOT NULL,
  event INTEGER,                                -- of the archive, up to which attempts were read
  attempts_since INTEGER                        -- of these seconds, from when on they were
) STRICT;
INSERT INTO watch (id, seconds) SELECT 1, ifnull(max(last_seen) - min(first_seen), 0) FROM contact;
-- What is known of a device; times are of those seconds.
CREATE TABLE baseline (
  device INTEGER PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
  since INTEGER NOT NULL,
  measured INTEGER NOT NULL,
  talked INTEGER NOT NULL,
  hour INTEGER NOT NULL,
  bytes INTEGER NOT NULL,                       -- of that hour
  told_hour INTEGER NOT NULL,
  is_silent INTEGER NOT NULL,
  is_away INTEGER NOT NULL,
  drifts INTEGER NOT NULL,                      -- that were told of it
  last_drift INTEGER,                           -- seconds since 1970
  last_note TEXT
) STRICT;
INSERT INTO baseline
  SELECT device, min(first_seen) - (SELECT min(first_seen) FROM contact), seconds, seconds, seconds / 3600,
    0, 0, 0, 1, 0, NULL, NULL
  FROM contact, watch GROUP BY device;
-- What was usual on a day for which was watched.
CREATE TABLE day (
  device INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
  day INTEGER NOT NULL,
  busiest INTEGER NOT NULL,                     -- bytes of its busiest hour
  gap INTEGER NOT NULL,                         -- seconds of the longest silence that ended on it
  PRIMARY KEY (device, day)
) STRICT, WITHOUT ROWID;
-- Packets that no rule allowed, by days since 1970.
CREATE TABLE outside (
  device INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
  day INTEGER NOT NULL,
  packets INTEGER NOT NULL,
  PRIMARY KEY (device, day)
) STRICT, WITHOUT ROWID;
INSERT INTO outside
  SELECT device, last_outside / 86400, sum(outside) FROM contact WHERE last_outside IS NOT NULL GROUP BY 1, 2;
-- What a device tried and was stopped.
CREATE TABLE attempt (
  peer BLOB NOT NULL CHECK (length(peer) = 16),
  device INTEGER NOT NULL REFERENCES device (id),
  protocol INTEGER NOT NULL,
  port INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,                   -- seconds since 1970
  PRIMARY KEY (peer, device, protocol, port)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_of_device ON attempt (device);
-- What is new of a device and to be told together.
CREATE TABLE folding (
  device INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
  what TEXT NOT NULL,
  content TEXT NOT NULL,                        -- JSON
  PRIMARY KEY (device, what)
) STRICT, WITHOUT ROWID;
-- Events that are to be told. A number never comes again.
CREATE TABLE drift (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  record TEXT NOT NULL                          -- JSON
) STRICT;
",
];

/// Every contact may be the one that a list is judged by: damage is to be found at once.
pub(super) static SCHEMA: Schema =
    Schema { what: "the database of who talked to whom", steps: &STEPS, is_checked: true, shrinks: false };
