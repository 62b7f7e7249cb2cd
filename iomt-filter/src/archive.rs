//! The archive of events: a database of SQLite, asked by time, device, reason and far end.
//!
//! [`Record`]s come in, in the order in which they came about; the same go out again, pages of them, oldest first.
//! Names and words are kept once, numbers and addresses as such: an event takes some 200 bytes, indices among them.
//! Whoever reads keeps nobody from writing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use thiserror::Error;

mod read;
mod retain;
mod row;
mod schema;
mod write;

pub use read::Position;
pub use retain::Bounds;

use crate::events::Record;

/// Why events cannot be read or kept.
#[derive(Debug, Error)]
pub enum ArchiveError {
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
    path: PathBuf,
    connection: Connection,
    words: write::Words,
}

impl Archive {
    /// Opens the database at `path` to keep events in it, and makes it where there is none.
    ///
    /// # Errors
    /// When it is damaged, of a newer version, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let opened = Connection::open(path).map_err(|error| explain(path, error))?;
        let archive = Self { path: path.to_owned(), connection: opened, words: write::Words::default() };
        archive.prepare().map_err(|error| archive.explain(error))?;
        let found = schema::version(&archive.connection).map_err(|error| archive.explain(error))?;
        if found > schema::VERSION {
            return Err(ArchiveError::Newer { path: archive.path, found });
        }
        archive.migrate()?;
        Ok(archive)
    }

    /// As [`open`](Self::open); what is damaged is moved aside, to `events.db.damaged-SECONDS`, and a new one begun.
    /// Beside the archive comes where the damaged one is.
    ///
    /// # Errors
    /// When it is of a newer version or cannot be written.
    pub fn open_or_begin(path: &Path, now: Timestamp) -> Result<(Self, Option<PathBuf>), ArchiveError> {
        match Self::open(path) {
            Err(ArchiveError::Damaged { why, .. }) => {
                let (archive, aside) = Self::begin_anew(path, &why, now)?;
                Ok((archive, Some(aside)))
            }
            opened => opened.map(|archive| (archive, None)),
        }
    }

    /// Moves the database at `path` aside, which is damaged, and begins a new one. The old one must not be open.
    ///
    /// # Errors
    /// When it cannot be moved, or no new one be made.
    pub fn begin_anew(path: &Path, why: &str, now: Timestamp) -> Result<(Self, PathBuf), ArchiveError> {
        let moved = move_aside(path, now);
        let aside = moved.map_err(|error| ArchiveError::Move { path: path.to_owned(), error })?;
        tracing::warn!(
            path = %path.display(), aside = %aside.display(), why,
            "the archive of events is damaged: it is moved aside, and a new one begun"
        );
        Ok((Self::open(path)?, aside))
    }

    /// Opens the database at `path` to read it, also while another process keeps events in it.
    ///
    /// # Errors
    /// When there is none, or it is damaged or of another version.
    pub fn open_to_read(path: &Path) -> Result<Self, ArchiveError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).map_err(|error| explain(path, error))?;
        let archive = Self { path: path.to_owned(), connection: opened, words: write::Words::default() };
        let version = archive
            .connection
            .busy_timeout(schema::PATIENCE)
            .and_then(|()| schema::version(&archive.connection));
        match version.map_err(|error| archive.explain(error))? {
            schema::VERSION => Ok(archive),
            found if found > schema::VERSION => Err(ArchiveError::Newer { path: archive.path, found }),
            found => {
                let why = format!("it is of version {found}; the agent brings it up to date when it starts");
                Err(ArchiveError::Damaged { path: archive.path, why })
            }
        }
    }

    fn explain(&self, error: rusqlite::Error) -> ArchiveError {
        explain(&self.path, error)
    }
}

fn explain(path: &Path, error: rusqlite::Error) -> ArchiveError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ArchiveError::Full { path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            ArchiveError::Damaged { path, why: error.to_string() }
        }
        _ => ArchiveError::Sqlite { path, error },
    }
}

/// The database and what belongs to it. Of those that were moved aside the last one is left.
fn move_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent().unwrap_or(Path::new(""));
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&format!("{name}.damaged-")) {
            fs::remove_file(entry.path())?;
        }
    }
    let aside = folder.join(format!("{name}.damaged-{}", now.as_second()));
    fs::rename(path, &aside)?;
    for end in ["-wal", "-shm"] {
        match fs::remove_file(folder.join(format!("{name}{end}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

/// Microseconds since 1970.
fn microseconds(time: Timestamp) -> i64 {
    time.as_microsecond()
}

#[cfg(test)]
mod tests;
