//! Who talked to whom: which device had a flow with which far end, on what service, opened by whom, and when.
//!
//! Flows as they were read from the kernel come in ([`Seen`]); what they come to is kept in a database of SQLite,
//! and [`Contact`]s go out, by far end, by device, or all since a moment. So are
//! conversations that no rule allows and that pass because a device is in `monitor` or `learn`; what was dropped is no
//! contact. Far ends of every kind are kept: private addresses, groups and broadcasts too.
//!
//! Nothing is counted twice: what is known of a flow is written in the transaction that adds it to its contact, so
//! that a flow that goes on over a restart of the agent, or over a crash in the middle of a reading, is added to by
//! the difference. What can be missed: a flow that began and ended between two readings and whose place in the
//! table was needed by another; and the first packets of a flow that ended, began anew between the same ends and
//! ports, and had passed its former count by the next reading. Times are as exact as the readings are frequent.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use iomt_filter_common::packet::protocol;
use ipnet::IpNet;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

mod record;
mod retain;
mod schema;
mod seen;

pub use record::Reading;
pub use retain::Bounds;
pub use seen::Seen;

use crate::events::protocol_name;
use crate::rows::Prefix;

/// How long one waits for another that writes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the contacts cannot be read or kept.
#[derive(Debug, Error)]
pub enum ContactsError {
    /// Made by a newer program.
    #[error(
        "`{path}` is of version {found}, and this program knows version {known} at most; \
         use the newer program, or move the file away to begin a new one",
        known = schema::VERSION
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// Bytes that are no database, or one that contradicts itself.
    #[error("`{path}` is damaged: {why}")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The disk is full, or the database has its largest size.
    #[error("there is no room for more in `{path}`; is the disk full?")]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// Anything else.
    #[error("failed to use `{path}`")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What went wrong.
        #[source]
        error: rusqlite::Error,
    },
    /// A damaged one cannot be moved aside.
    #[error("failed to move `{path}` aside")]
    Move {
        /// The database.
        path: PathBuf,
        /// What went wrong.
        #[source]
        error: io::Error,
    },
}

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
    path: PathBuf,
    connection: Connection,
}

impl Contacts {
    /// Opens the database at `path` to keep contacts in it, and makes it where there is none. One that is of an older
    /// version is brought up to date. All of it is looked at, so that damage is found now.
    ///
    /// # Errors
    /// When it is damaged, of a newer version, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, ContactsError> {
        let opened = Connection::open(path).map_err(|error| explain(path, error))?;
        let contacts = Self { path: path.to_owned(), connection: opened };
        contacts.prepare().map_err(|error| contacts.explain(error))?;
        let found = schema::version(&contacts.connection).map_err(|error| contacts.explain(error))?;
        if found > schema::VERSION {
            return Err(ContactsError::Newer { path: contacts.path, found });
        }
        contacts.check()?;
        contacts.migrate()?;
        Ok(contacts)
    }

    /// As [`open`](Self::open); what is damaged is moved aside, to `history.db.damaged-SECONDS`, and a new one begun.
    /// Of those that were moved aside the last one is left. Beside the database comes where the damaged one is.
    ///
    /// # Errors
    /// When it is of a newer version or cannot be written.
    pub fn open_or_begin(path: &Path, now: Timestamp) -> Result<(Self, Option<PathBuf>), ContactsError> {
        match Self::open(path) {
            Err(ContactsError::Damaged { why, .. }) => {
                Self::begin_anew(path, &why, now).map(|(contacts, aside)| (contacts, Some(aside)))
            }
            opened => opened.map(|contacts| (contacts, None)),
        }
    }

    /// Moves the database at `path` aside, which is damaged, and begins a new one. The old one must not be open.
    ///
    /// # Errors
    /// When it cannot be moved, or no new one be made.
    pub fn begin_anew(path: &Path, why: &str, now: Timestamp) -> Result<(Self, PathBuf), ContactsError> {
        let moved = move_aside(path, now);
        let aside = moved.map_err(|error| ContactsError::Move { path: path.to_owned(), error })?;
        tracing::warn!(
            path = %path.display(), aside = %aside.display(), why,
            "the database of who talked to whom is damaged: it is moved aside, and a new one begun"
        );
        Ok((Self::open(path)?, aside))
    }

    /// Opens the database at `path` to read it, also while another process keeps contacts in it.
    ///
    /// # Errors
    /// When there is none, or it is damaged or of a newer version.
    pub fn open_to_read(path: &Path) -> Result<Self, ContactsError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).map_err(|error| explain(path, error))?;
        let contacts = Self { path: path.to_owned(), connection: opened };
        let version =
            contacts.connection.busy_timeout(PATIENCE).and_then(|()| schema::version(&contacts.connection));
        match version.map_err(|error| contacts.explain(error))? {
            schema::VERSION => Ok(contacts),
            found if found > schema::VERSION => Err(ContactsError::Newer { path: contacts.path, found }),
            found => {
                let why = format!("it is of version {found}; the agent brings it up to date when it starts");
                Err(ContactsError::Damaged { path: contacts.path, why })
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Contacts that were seen at `since` or later, in the order of their far ends: for the question whom a list
    /// would cut off.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn far_ends(&self, since: Timestamp) -> Result<Vec<Contact>, ContactsError> {
        self.select(OF_FAR_ENDS, params![since.as_second()])
    }

    /// Hands the same to `each`, one after the other, so that nobody has to hold them all.
    ///
    /// # Errors
    /// When the database cannot be read; some may have been handed out then.
    pub fn each(&self, since: Timestamp, each: impl FnMut(Contact)) -> Result<(), ContactsError> {
        self.each_of(OF_FAR_ENDS, params![since.as_second()], each)
    }

    /// Contacts with any address of `network`: the latest `most` of them, the latest first. No more than `looked_at`
    /// are looked at, in the order of their far ends, however many there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn of_peer(&self, network: IpNet, most: usize, looked_at: usize) -> Result<OfPeer, ContactsError> {
        let (first, last) = ends(network);
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let (most, looked_at) = (number(most), number(looked_at));
        let read = || {
            let window = "SELECT device, peer, protocol, port, direction, first_seen, last_seen, packets, bytes, \
                          outside, last_outside FROM contact WHERE peer BETWEEN ?1 AND ?2 LIMIT ?3";
            let latest = format!("SELECT * FROM ({window}) ORDER BY last_seen DESC, peer LIMIT ?4");
            let mut latest = self.connection.prepare_cached(&latest)?;
            let mut names = Names::new();
            let mut contacts = Vec::new();
            let mut rows = latest.query(params![first, last, looked_at, most])?;
            while let Some(row) = rows.next()? {
                let device = row.get(0)?;
                if let Entry::Vacant(place) = names.entry(device) {
                    let mut name = self.connection.prepare_cached("SELECT name FROM device WHERE id = ?1")?;
                    let name: Option<Box<str>> = name.query_row([device], |row| row.get(0)).optional()?;
                    place.insert(name.map_or_else(|| "?".into(), Arc::from));
                }
                contacts.push(contact(row, &names)?);
            }
            let count = "SELECT count(*) FROM \
                         (SELECT 1 FROM contact WHERE peer BETWEEN ?1 AND ?2 LIMIT ?3)";
            let mut count = self.connection.prepare_cached(count)?;
            let beyond = looked_at.saturating_add(1);
            let found: i64 = count.query_row(params![first, last, beyond], |row| row.get(0))?;
            let looked_at_all = found <= looked_at;
            let found = usize::try_from(found.min(looked_at)).unwrap_or(usize::MAX);
            Ok(OfPeer { more: found.saturating_sub(contacts.len()), looked_at_all, contacts })
        };
        read().map_err(|error| self.explain(error))
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
    ) -> Result<Vec<Contact>, ContactsError> {
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
    pub fn since(&self) -> Result<Option<Timestamp>, ContactsError> {
        let first = self.connection.query_row("SELECT min(first_seen) FROM contact", [], |row| row.get(0));
        let first: Option<i64> = first.map_err(|error| self.explain(error))?;
        Ok(first.and_then(|second| Timestamp::from_second(second).ok()))
    }

    /// How many contacts there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn count(&self) -> Result<u64, ContactsError> {
        let count = self.connection.query_row("SELECT count(*) FROM contact", [], |row| unsigned(row, 0));
        count.map_err(|error| self.explain(error))
    }

    fn select(&self, which: &str, values: impl rusqlite::Params) -> Result<Vec<Contact>, ContactsError> {
        let mut contacts = Vec::new();
        self.each_of(which, values, |contact| contacts.push(contact))?;
        Ok(contacts)
    }

    fn each_of(
        &self,
        which: &str,
        values: impl rusqlite::Params,
        mut each: impl FnMut(Contact),
    ) -> Result<(), ContactsError> {
        let read = || {
            let mut names = self.connection.prepare_cached("SELECT id, name FROM device")?;
            let names = names.query_map([], |row| Ok((row.get(0)?, row.get::<_, Box<str>>(1)?.into())))?;
            let names = names.collect::<Result<_, _>>()?;
            let sql = format!(
                "SELECT device, peer, protocol, port, direction, first_seen, last_seen, packets, bytes, \
                 outside, last_outside FROM contact WHERE {which}"
            );
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query(values)?;
            while let Some(row) = rows.next()? {
                each(contact(row, &names)?);
            }
            Ok(())
        };
        read().map_err(|error| self.explain(error))
    }

    fn explain(&self, error: rusqlite::Error) -> ContactsError {
        explain(&self.path, error)
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

/// A number that has no sign; SQLite's have one.
fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, protocol::TCP | protocol::UDP | protocol::SCTP)
}

fn named<S: Serializer>(protocol: &u8, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&protocol_name(*protocol))
}

fn explain(path: &Path, error: rusqlite::Error) -> ContactsError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            ContactsError::Damaged { path, why: error.to_string() }
        }
        Some(ErrorCode::DiskFull) => ContactsError::Full { path },
        _ if matches!(
            error,
            rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
        ) =>
        {
            ContactsError::Damaged { path, why: error.to_string() }
        }
        _ => ContactsError::Sqlite { path, error },
    }
}

/// Moves a damaged database out of the way, with what belongs to it; earlier ones go.
fn move_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let with = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let aside = with(&format!(".damaged-{}", now.as_second()));
    let file_name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let begin = file_name(&with(".damaged-"));
    let folder = path.parent().unwrap_or(Path::new(""));
    let found: BTreeSet<_> = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    for earlier in found.iter().filter(|found| file_name(found).starts_with(&begin)) {
        fs::remove_file(earlier)?;
    }
    fs::rename(path, &aside)?;
    // They belong to the file that was moved: beside a new one they would be damage.
    for end in ["-wal", "-shm"] {
        match fs::remove_file(with(end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}
