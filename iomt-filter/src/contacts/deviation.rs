//! Whether something that a device has to do with is new of it, by what the database has of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use iomt_filter_common::Address;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Direction;
use crate::events::What;

/// Far ends of a device that are looked at for their countries; the others are taken for known.
const MOST_PEERS: u32 = 100_000;
/// Services from 1024 on of one far end from which on a further one is none that is new: a service that takes any port.
const MANY_PORTS: i64 = 8;
const FIRST_HIGH: u16 = 1_024;
/// How old those have to be, in seconds: a scan makes nothing usual.
const SETTLED: i64 = 86_400;

const CONTACT: &str = "SELECT 1 FROM contact
  WHERE peer = ?1 AND device = ?2 AND protocol = ?3 AND port = ?4 AND direction = ?5";
const ATTEMPT: &str = "SELECT 1 FROM attempt WHERE peer = ?1 AND device = ?2 AND protocol = ?3 AND port = ?4";
const PEER: &str = "SELECT 1 FROM contact WHERE peer = ?1 AND device = ?2
  UNION ALL SELECT 1 FROM attempt WHERE peer = ?1 AND device = ?2 LIMIT 1";
const HIGH_PORTS: &str = "SELECT count(*) FROM (SELECT 1 FROM contact
  WHERE peer = ?1 AND device = ?2 AND protocol = ?3 AND port >= ?4 AND direction = ?5 AND first_seen < ?6 LIMIT ?7)";
const PEERS: &str = "SELECT peer FROM contact WHERE device = ?1
  UNION SELECT peer FROM attempt WHERE device = ?1 LIMIT ?2";

/// Something that a device has to do with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thing {
    pub(super) device: i64,
    pub(super) peer: [u8; 16],
    pub(super) protocol: u8,
    pub(super) port: u16,
    pub(super) direction: Direction,
}

impl Thing {
    /// Whether it passed before.
    pub(super) fn is_contact(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let Self { device, peer, protocol, port, direction } = *self;
        let values = params![peer, device, protocol, port, direction as u8];
        connection.prepare_cached(CONTACT)?.exists(values)
    }

    /// Whether it was tried and stopped before.
    pub(super) fn is_attempt(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let Self { device, peer, protocol, port, direction } = *self;
        Ok(direction == Direction::FromDevice
            && connection.prepare_cached(ATTEMPT)?.exists(params![peer, device, protocol, port])?)
    }

    /// What is new of it at `now` (seconds since 1970), where it neither passed nor was stopped before.
    pub(super) fn novelty(&self, connection: &Connection, now: i64) -> rusqlite::Result<Option<What>> {
        let Self { device, peer, protocol, port, direction } = *self;
        if !connection.prepare_cached(PEER)?.exists(params![peer, device])? {
            return Ok(Some(What::NewPeer));
        }
        if port >= FIRST_HIGH {
            let settled = now.saturating_sub(SETTLED);
            let values = params![peer, device, protocol, FIRST_HIGH, direction as u8, settled, MANY_PORTS];
            let many = connection.prepare_cached(HIGH_PORTS)?.query_row(values, |row| row.get::<_, i64>(0));
            if many.optional()?.unwrap_or(0) >= MANY_PORTS {
                return Ok(None);
            }
        }
        Ok(Some(What::NewService))
    }

    /// In which countries the device's far ends are; nothing where there are too many to tell.
    pub(super) fn countries(
        &self,
        connection: &Connection,
        country: &dyn Fn(IpAddr) -> Option<[u8; 2]>,
    ) -> rusqlite::Result<Option<BTreeSet<[u8; 2]>>> {
        let mut peers = connection.prepare_cached(PEERS)?;
        let mut rows = peers.query(params![self.device, MOST_PEERS])?;
        let (mut countries, mut looked_at) = (BTreeSet::new(), 0);
        while let Some(row) = rows.next()? {
            looked_at += 1;
            countries.extend(country(IpAddr::from(Address::from_v6(row.get(0)?))));
        }
        Ok((looked_at < MOST_PEERS).then_some(countries))
    }
}
