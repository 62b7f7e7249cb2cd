//! Who talked to whom: which device had a flow with which far end, on what service, opened by whom, and when.
//!
//! Flows as they were read from the kernel come in ([`Seen`]), and conversations that no rule allows and that pass
//! because a device is in `monitor` or `learn`; what they come to is kept in a database of SQLite, and [`Contact`]s go
//! out, by far end, by device, or all since a moment. What was dropped is no contact. Far ends of every kind are kept:
//! private addresses, groups and broadcasts too.
//!
//! Nothing is counted twice: what is known of a flow is written in the transaction that adds it to its contact, so
//! that a flow that goes on over a restart of the agent, or over a crash in the middle of a reading, is added to by
//! the difference. So is what a reading finds that a device never did ([`Compared`]): it is told once, whatever happens
//! to the agent. What can be missed: a flow that began and ended between two readings and whose place in the
//! table was needed by another; and the first packets of a flow that ended, began anew between the same ends and
//! ports, and had passed its former count by the next reading. Times are as exact as the readings are frequent.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iomt_filter_common::packet::protocol;
use ipnet::IpNet;
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize, Serializer};

mod compare;
mod deviation;
mod known;
mod record;
mod retain;
mod schema;
mod seen;

pub use compare::Compared;
pub use known::{Habits, LastDrift};
pub use record::Reading;
pub use retain::Bounds;
pub use seen::{Opening, Seen};

use schema::SCHEMA;

use crate::database::{Database, DatabaseError, unsigned};
use crate::events::protocol_name;
use crate::rows::Prefix;

/// Who opened a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The device.
    FromDevice = 1,
    /// The far end.
    ToDevice = 2,
}

impl Direction {
    /// As events say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FromDevice => "from-device",
            Self::ToDevice => "to-device",
        }
    }
}

/// What a device had to do with a far end on one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// The device, by name; it may have left the inventory.
    pub device: Arc<str>,
    /// The far end.
    pub peer: IpAddr,
    /// IP protocol number; shown by its name.
    #[serde(serialize_with = "named")]
    pub protocol: u8,
    /// The port that was opened; nothing for protocols without ports.
    pub port: Option<u16>,
    /// Who opened.
    pub direction: Direction,
    /// When it was first seen, to the second.
    pub first_seen: Timestamp,
    /// When it was last seen, to the second.
    pub last_seen: Timestamp,
    /// Packets, both ways.
    pub packets: u64,
    /// Bytes of the frames, both ways.
    pub bytes: u64,
    /// Packets of these that no rule allowed, and that passed because the device was in `monitor` or `learn`.
    pub outside: u64,
    /// When the last of those passed, to the second.
    pub last_outside: Option<Timestamp>,
}

impl Contact {
    /// Whether a rule ever allowed any of it.
    #[must_use]
    pub const fn was_allowed(&self) -> bool {
        self.packets > self.outside
    }
}

/// Contacts with the addresses of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfPeer {
    /// The latest of them, the latest first.
    pub contacts: Vec<Contact>,
    /// How many others were looked at.
    pub more: usize,
    /// Whether there are no others beside.
    pub looked_at_all: bool,
}

/// The database, open.
#[derive(Debug)]
pub struct Contacts {
    database: Database,
}

impl Contacts {
    /// Opens the database at `path` to keep contacts in it, and makes it where there is none. One that is of an older
    /// version is brought up to date. All of it is looked at, so that damage is found now.
    ///
    /// # Errors
    /// When it is damaged, of a newer version, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        SCHEMA.open(path).map(|database| Self { database })
    }

    /// As [`open`](Self::open); what is damaged is moved aside, to `history.db.damaged-SECONDS`, and a new one begun.
    /// Beside the database comes where the damaged one is.
    ///
    /// # Errors
    /// When it is of a newer version or cannot be written.
    pub fn open_or_begin(path: &Path, now: Timestamp) -> Result<(Self, Option<PathBuf>), DatabaseError> {
        SCHEMA.open_or_begin(path, now).map(|(database, aside)| (Self { database }, aside))
    }

    /// Moves the database at `path` aside, which is damaged, and begins a new one. The old one must not be open.
    ///
    /// # Errors
    /// When it cannot be moved, or no new one be made.
    pub fn begin_anew(path: &Path, why: &str, now: Timestamp) -> Result<(Self, PathBuf), DatabaseError> {
        SCHEMA.begin_anew(path, why, now).map(|(database, aside)| (Self { database }, aside))
    }

    /// Opens the database at `path` to read it, also while another process keeps contacts in it.
    ///
    /// # Errors
    /// When there is none, or it is damaged or of another version.
    pub fn open_to_read(path: &Path) -> Result<Self, DatabaseError> {
        SCHEMA.open_to_read(path).map(|database| Self { database })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.database.path()
    }

    /// Contacts that were seen at `since` or later, in the order of their far ends: for the question whom a list
    /// would cut off.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn far_ends(&self, since: Timestamp) -> Result<Vec<Contact>, DatabaseError> {
        self.select(OF_FAR_ENDS, params![since.as_second()])
    }

    /// Hands the same to `each`, one after the other, so that nobody has to hold them all.
    ///
    /// # Errors
    /// When the database cannot be read; some may have been handed out then.
    pub fn each(&self, since: Timestamp, each: impl FnMut(Contact)) -> Result<(), DatabaseError> {
        self.each_of(OF_FAR_ENDS, params![since.as_second()], each)
    }

    /// Contacts with any address of `network`: the latest `most` of them, the latest first. No more than `looked_at`
    /// are looked at, in the order of their far ends, however many there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn of_peer(&self, network: IpNet, most: usize, looked_at: usize) -> Result<OfPeer, DatabaseError> {
        let (first, last) = ends(network);
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let (most, looked_at) = (number(most), number(looked_at));
        let read = || {
            let window = "SELECT device, peer, protocol, port, direction, first_seen, last_seen, packets, bytes, \
                          outside, last_outside FROM contact WHERE peer BETWEEN ?1 AND ?2 LIMIT ?3";
            let latest = format!("SELECT * FROM ({window}) ORDER BY last_seen DESC, peer LIMIT ?4");
            let mut latest = self.database.prepare_cached(&latest)?;
            let mut names = Names::new();
            let mut contacts = Vec::new();
            let mut rows = latest.query(params![first, last, looked_at, most])?;
            while let Some(row) = rows.next()? {
                let device = row.get(0)?;
                if let Entry::Vacant(place) = names.entry(device) {
                    let mut name = self.database.prepare_cached("SELECT name FROM device WHERE id = ?1")?;
                    let name: Option<Box<str>> = name.query_row([device], |row| row.get(0)).optional()?;
                    place.insert(name.map_or_else(|| "?".into(), Arc::from));
                }
                contacts.push(contact(row, &names)?);
            }
            let count = "SELECT count(*) FROM \
                         (SELECT 1 FROM contact WHERE peer BETWEEN ?1 AND ?2 LIMIT ?3)";
            let mut count = self.database.prepare_cached(count)?;
            let beyond = looked_at.saturating_add(1);
            let found: i64 = count.query_row(params![first, last, beyond], |row| row.get(0))?;
            let looked_at_all = found <= looked_at;
            let found = usize::try_from(found.min(looked_at)).unwrap_or(usize::MAX);
            Ok(OfPeer { more: found.saturating_sub(contacts.len()), looked_at_all, contacts })
        };
        read().map_err(|error| self.database.explain(error))
    }

    /// The latest `most` contacts of `since` and later, the latest first: of a device, where one is named, and of far
    /// ends in a network, where one is given.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn latest(
        &self,
        device: Option<&str>,
        peer: Option<IpNet>,
        since: Timestamp,
        most: usize,
    ) -> Result<Vec<Contact>, DatabaseError> {
        let (first, last) = peer.map_or(([0; 16], [0xff; 16]), ends);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let named = "AND device = (SELECT id FROM device WHERE name = ?5)";
        let which = format!(
            "contact.last_seen >= ?1 AND peer BETWEEN ?2 AND ?3 {} ORDER BY contact.last_seen DESC, peer LIMIT ?4",
            device.map_or("AND ?5 IS NULL", |_| named)
        );
        self.select(&which, params![since.as_second(), first, last, most, device])
    }

    /// Since when contacts are known of: the first time that any of them was seen.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn since(&self) -> Result<Option<Timestamp>, DatabaseError> {
        let first = self.database.query_row("SELECT min(first_seen) FROM contact", [], |row| row.get(0));
        let first: Option<i64> = first.map_err(|error| self.database.explain(error))?;
        Ok(first.and_then(|second| Timestamp::from_second(second).ok()))
    }

    /// How many contacts there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn count(&self) -> Result<u64, DatabaseError> {
        let count = self.database.query_row("SELECT count(*) FROM contact", [], |row| unsigned(row, 0));
        count.map_err(|error| self.database.explain(error))
    }

    fn select(&self, which: &str, values: impl rusqlite::Params) -> Result<Vec<Contact>, DatabaseError> {
        let mut contacts = Vec::new();
        self.each_of(which, values, |contact| contacts.push(contact))?;
        Ok(contacts)
    }

    fn each_of(
        &self,
        which: &str,
        values: impl rusqlite::Params,
        mut each: impl FnMut(Contact),
    ) -> Result<(), DatabaseError> {
        let read = || {
            let mut names = self.database.prepare_cached("SELECT id, name FROM device")?;
            let names = names.query_map([], |row| Ok((row.get(0)?, row.get::<_, Box<str>>(1)?.into())))?;
            let names = names.collect::<Result<_, _>>()?;
            let sql = format!(
                "SELECT device, peer, protocol, port, direction, first_seen, last_seen, packets, bytes, \
                 outside, last_outside FROM contact WHERE {which}"
            );
            let mut statement = self.database.prepare_cached(&sql)?;
            let mut rows = statement.query(values)?;
            while let Some(row) = rows.next()? {
                each(contact(row, &names)?);
            }
            Ok(())
        };
        read().map_err(|error| self.database.explain(error))
    }
}

/// The first and the last address of a network, as they are kept.
fn ends(network: IpNet) -> ([u8; 16], [u8; 16]) {
    let prefix = Prefix::from(network);
    let first = u128::from_be_bytes(prefix.address.octets());
    let rest = u128::MAX.checked_shr(u32::from(prefix.bits)).unwrap_or(0);
    (first.to_be_bytes(), (first | rest).to_be_bytes())
}

/// Contacts since a moment, in the order of their far ends.
const OF_FAR_ENDS: &str = "contact.last_seen >= ?1 ORDER BY peer";

type Names = HashMap<i64, Arc<str>>;

fn contact(row: &Row<'_>, names: &Names) -> rusqlite::Result<Contact> {
    let peer: [u8; 16] = row.get(1)?;
    let protocol = row.get(2)?;
    let time =
        |column| row.get(column).map(|second| Timestamp::from_second(second).unwrap_or(Timestamp::MIN));
    let direction = match row.get(4)? {
        1 => Direction::FromDevice,
        2 => Direction::ToDevice,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(4, other)),
    };
    Ok(Contact {
        device: names.get(&row.get(0)?).cloned().unwrap_or_else(|| "?".into()),
        peer: IpAddr::from(iomt_filter_common::Address::from_v6(peer)),
        protocol,
        port: if has_ports(protocol) { Some(row.get(3)?) } else { None },
        direction,
        first_seen: time(5)?,
        last_seen: time(6)?,
        packets: unsigned(row, 7)?,
        bytes: unsigned(row, 8)?,
        outside: unsigned(row, 9)?,
        last_outside: row.get::<_, Option<i64>>(10)?.and_then(|second| Timestamp::from_second(second).ok()),
    })
}

const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, protocol::TCP | protocol::UDP | protocol::SCTP)
}

fn named<S: Serializer>(protocol: &u8, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&protocol_name(*protocol))
}
