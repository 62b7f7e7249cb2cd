//! The archive of events: a database of SQLite, asked by time, device, reason and far end.
//!
//! [`Record`]s come in, in the order in which they came about; the same go out again, pages of them, oldest first.
//! Names and words are kept once, numbers and addresses as such: an event takes some 200 bytes, indices among them.
//! Whoever reads keeps nobody from writing.

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use jiff::Timestamp;

mod attempts;
mod read;
mod retain;
mod row;
mod schema;
mod write;

pub use attempts::Attempt;
pub use read::Position;
pub use retain::Bounds;

use schema::SCHEMA;

use crate::database::{Database, DatabaseError};
use crate::events::Record;

/// Which events are asked for. What is not said matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Of then or later.
    pub since: Option<Timestamp>,
    /// Of then or earlier.
    pub until: Option<Timestamp>,
    /// Of this device.
    pub device: Option<String>,
    /// For this reason.
    pub reason: Option<String>,
    /// With a far end in this network.
    pub peer: Option<IpNet>,
    /// With a number below this.
    pub below: Option<i64>,
}

/// The database, open.
#[derive(Debug)]
pub struct Archive {
    database: Database,
    words: write::Words,
    /// How many events there are, once they were counted.
    count: Option<u64>,
}

impl From<Database> for Archive {
    fn from(database: Database) -> Self {
        Self { database, words: write::Words::default(), count: None }
    }
}

impl Archive {
    /// Opens the database at `path` to keep events in it, and makes it where there is none.
    ///
    /// # Errors
    /// When it is damaged, of a newer version, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        SCHEMA.open(path).map(Self::from)
    }

    /// As [`open`](Self::open); what is damaged is moved aside, to `events.db.damaged-SECONDS`, and a new one begun.
    /// Beside the archive comes where the damaged one is.
    ///
    /// # Errors
    /// When it is of a newer version or cannot be written.
    pub fn open_or_begin(path: &Path, now: Timestamp) -> Result<(Self, Option<PathBuf>), DatabaseError> {
        SCHEMA.open_or_begin(path, now).map(|(database, aside)| (database.into(), aside))
    }

    /// Moves the database at `path` aside, which is damaged, and begins a new one. The old one must not be open.
    ///
    /// # Errors
    /// When it cannot be moved, or no new one be made.
    pub fn begin_anew(path: &Path, why: &str, now: Timestamp) -> Result<(Self, PathBuf), DatabaseError> {
        SCHEMA.begin_anew(path, why, now).map(|(database, aside)| (database.into(), aside))
    }

    /// Opens the database at `path` to read it, also while another process keeps events in it.
    ///
    /// # Errors
    /// When there is none, or it is damaged or of another version.
    pub fn open_to_read(path: &Path) -> Result<Self, DatabaseError> {
        SCHEMA.open_to_read(path).map(Self::from)
    }
}

/// Microseconds since 1970.
fn microseconds(time: Timestamp) -> i64 {
    time.as_microsecond()
}

#[cfg(test)]
mod tests;
