//! Databases of SQLite in the state folder: opened, brought up to date, moved aside where they are damaged, read by
//! others while one writes.
//!
//! How a database is written: a reader keeps nobody from writing, and a crash of the agent loses nothing that was
//! written. A power cut may lose the last transactions, and never leaves half of one (`synchronous=NORMAL` of SQLite's
//! WAL).

use std::fs;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, TransactionBehavior};
use thiserror::Error;

/// How long one waits for another that writes.
const PATIENCE: Duration = Duration::from_secs(5);
/// By default two MiB of a database are kept in memory; what is written here touches it all over.
const CACHE_KIB: i32 = 32 << 10;
/// What a large transaction has needed is given back down to this, in bytes.
const LOG_BYTES: i32 = 16 << 20;

/// Why a database cannot be read or written.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// Made by a newer program.
    #[error(
        "`{path}` is of version {found}, and this program knows version {known} at most; \
         use the newer program, or move the file away to begin a new one"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version that this program knows.
        known: i64,
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

/// What a database is, and how one of an older version becomes one of this.
#[derive(Debug)]
pub(crate) struct Schema {
    /// What it is, in words.
    pub(crate) what: &'static str,
    /// What each version adds to the one before it. Versions are only ever added to the end.
    pub(crate) steps: &'static [&'static str],
    /// Whether all of it is looked at when it is opened to be written, so that damage is found then.
    pub(crate) is_checked: bool,
    /// Whether what was let go is given back to the disk; counts for databases that are made from then on.
    pub(crate) shrinks: bool,
}

/// A database, open.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    connection: Connection,
    schema: &'static Schema,
}

impl Deref for Database {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Schema {
    const fn version(&self) -> i64 {
        self.steps.len() as i64
    }

    /// Opens the database at `path` to write it, and makes it where there is none. One that is of an older version is
    /// brought up to date.
    pub(crate) fn open(&'static self, path: &Path) -> Result<Database, DatabaseError> {
        let database = self.opened(path, Connection::open(path))?;
        database.prepare().map_err(|error| database.explain(error))?;
        let found = version(&database).map_err(|error| database.explain(error))?;
        if found > self.version() {
            return Err(database.newer(found));
        }
        if self.is_checked {
            database.check()?;
        }
        database.migrate().map_err(|error| database.explain(error))?;
        Ok(database)
    }

    /// As [`open`](Self::open); what is damaged is moved aside, to `NAME.damaged-SECONDS`, and a new one begun. Beside
    /// the database comes where the damaged one is.
    pub(crate) fn open_or_begin(
        &'static self,
        path: &Path,
        now: Timestamp,
    ) -> Result<(Database, Option<PathBuf>), DatabaseError> {
        match self.open(path) {
            Err(DatabaseError::Damaged { why, .. }) => {
                self.begin_anew(path, &why, now).map(|(database, aside)| (database, Some(aside)))
            }
            opened => opened.map(|database| (database, None)),
        }
    }

    /// Moves the database at `path` aside, which is damaged, and begins a new one. The old one must not be open. Of
    /// those that were moved aside the last one is left.
    pub(crate) fn begin_anew(
        &'static self,
        path: &Path,
        why: &str,
        now: Timestamp,
    ) -> Result<(Database, PathBuf), DatabaseError> {
        let moved = move_aside(path, now);
        let aside = moved.map_err(|error| DatabaseError::Move { path: path.to_owned(), error })?;
        tracing::warn!(
            path = %path.display(), aside = %aside.display(), why,
            "{} is damaged: it is moved aside, and a new one begun", self.what
        );
        Ok((self.open(path)?, aside))
    }

    /// Opens the database at `path` to read it, also while another process writes it.
    pub(crate) fn open_to_read(&'static self, path: &Path) -> Result<Database, DatabaseError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = self.opened(path, Connection::open_with_flags(path, flags))?;
        let found = database.busy_timeout(PATIENCE).and_then(|()| version(&database));
        match found.map_err(|error| database.explain(error))? {
            found if found == self.version() => Ok(database),
            found if found > self.version() => Err(database.newer(found)),
            found => {
                let why = format!("it is of version {found}; the agent brings it up to date when it starts");
                Err(DatabaseError::Damaged { path: database.path, why })
            }
        }
    }

    fn opened(
        &'static self,
        path: &Path,
        opened: rusqlite::Result<Connection>,
    ) -> Result<Database, DatabaseError> {
        let connection = opened.map_err(|error| explain(path, error))?;
        Ok(Database { path: path.to_owned(), connection, schema: self })
    }
}

impl Database {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What went wrong with it.
    pub(crate) fn explain(&self, error: rusqlite::Error) -> DatabaseError {
        explain(&self.path, error)
    }

    /// Writes nothing beyond so many bytes from now on.
    pub(crate) fn limit(&self, bytes: u64) -> Result<(), DatabaseError> {
        let limit = || {
            let pages = i64::try_from(bytes / self.pragma("page_size")?.max(1)).unwrap_or(i64::MAX);
            // It answers with the size that holds, which is that of the database where that is larger.
            self.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
        };
        limit().map_err(|error| self.explain(error))
    }

    /// A number that SQLite knows of it.
    pub(crate) fn pragma(&self, name: &str) -> rusqlite::Result<u64> {
        self.query_row(&format!("PRAGMA {name}"), [], |row| unsigned(row, 0))
    }

    fn newer(self, found: i64) -> DatabaseError {
        DatabaseError::Newer { known: self.schema.version(), path: self.path, found }
    }

    fn prepare(&self) -> rusqlite::Result<()> {
        self.busy_timeout(PATIENCE)?;
        self.set_prepared_statement_cache_capacity(32);
        if self.schema.shrinks {
            // Before there is a table.
            self.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        self.pragma_update(None, "journal_mode", "WAL")?;
        self.pragma_update(None, "synchronous", "NORMAL")?;
        self.pragma_update(None, "cache_size", -CACHE_KIB)?;
        self.pragma_update(None, "journal_size_limit", LOG_BYTES)
    }

    /// Brings one of an older version up to date, all at once.
    fn migrate(&self) -> rusqlite::Result<()> {
        let transaction =
            rusqlite::Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let found = usize::try_from(version(&transaction)?).unwrap_or(0);
        let steps = self.schema.steps.get(found..).unwrap_or_default();
        if steps.is_empty() {
            return Ok(());
        }
        steps.iter().try_for_each(|step| transaction.execute_batch(step))?;
        transaction.pragma_update(None, "user_version", self.schema.version())?;
        transaction.commit()
    }

    /// Looks at every page of it.
    fn check(&self) -> Result<(), DatabaseError> {
        let found = self.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        match found.map_err(|error| self.explain(error))?.as_str() {
            "ok" => Ok(()),
            why => Err(DatabaseError::Damaged { path: self.path.clone(), why: why.to_owned() }),
        }
    }
}

/// The version of an open database; 0 of a new one.
fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// A number that has no sign; SQLite's have one.
pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn explain(path: &Path, error: rusqlite::Error) -> DatabaseError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            DatabaseError::Damaged { path, why: error.to_string() }
        }
        Some(ErrorCode::DiskFull) => DatabaseError::Full { path },
        _ if matches!(
            error,
            rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
        ) =>
        {
            DatabaseError::Damaged { path, why: error.to_string() }
        }
        _ => DatabaseError::Sqlite { path, error },
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
    let found: Vec<_> = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
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
