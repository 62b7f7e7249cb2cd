//! The tables of the archive, by version.

use crate::database::Schema;

/// What each version adds to the one before it.
const STEPS: [&str; 2] = [
    "
-- Names of devices, rules, feeds and interfaces, reasons, verdicts and other words that come again and again. They stay
-- when their events go: nothing is one of them of which a frame or a feed could make as many as it likes.
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
  vlan TEXT,                   -- JSON, as every TEXT but the ethertype, the entry and the note
  ip_version INTEGER,          -- itself
  source BLOB,                 -- 4 or 16 bytes
  destination BLOB,
  protocol INTEGER,
  source_port INTEGER,         -- itself
  destination_port INTEGER,    -- itself
  tcp_flags INTEGER,
  fragment TEXT,
  length INTEGER NOT NULL,     -- itself
  country INTEGER,
  feed INTEGER,
  entry TEXT,
  score INTEGER,               -- itself
  rule INTEGER,
  generation INTEGER NOT NULL, -- itself
  count INTEGER NOT NULL,      -- itself
  ethertype TEXT,
  arp TEXT,
  icmp_type INTEGER,           -- itself
  icmp_code INTEGER,           -- itself
  hop_limit INTEGER,           -- itself
  expected TEXT,
  note TEXT
) STRICT;
-- Each has what may be asked for besides, so that no event is looked at that does not match.
CREATE INDEX event_of_time ON event (time, peer);
CREATE INDEX event_of_device ON event (device, time, reason, peer);
CREATE INDEX event_of_reason ON event (reason, time, peer);
CREATE INDEX event_of_peer ON event (peer, time, device, reason) WHERE peer IS NOT NULL;
",
    "
ALTER TABLE event ADD COLUMN drift TEXT; -- JSON
",
];

/// To look at all of it would keep events of a minute waiting: damage shows when it is met.
pub(super) static SCHEMA: Schema =
    Schema { what: "the archive of events", steps: &STEPS, is_checked: false, shrinks: true };
