//! The right to change the tables, as a value that every change demands.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use thiserror::Error;

/// Proof that no other process writes the same tables. Given back when dropped, or when the process
/// ends in whatever way.
#[derive(Debug)]
pub struct WriterToken {
    _lock: Option<Flock<File>>,
}

/// Why the right to write could not be had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another agent has it.
    #[error(
        "another agent runs on this state: `{0}` is locked; stop it first, or give this one another `paths.state`"
    )]
    Held(PathBuf),
    /// The lock file cannot be made.
    #[error("failed to open the lock file `{0}`")]
    Open(PathBuf, #[source] std::io::Error),
}

impl WriterToken {
    /// Takes the right to write the tables whose state lies in `state`.
    ///
    /// # Errors
    /// When another process has it, or the lock file cannot be made.
    pub fn take(state: &Path) -> Result<Self, LockError> {
        let path = state.join("agent.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| LockError::Open(path.clone(), error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { _lock: Some(lock) }),
            Err(_) => Err(LockError::Held(path)),
        }
    }

    /// For tables that no other process can reach: a replay's own.
    pub(super) const fn for_private_tables() -> Self {
        Self { _lock: None }
    }
}
