//! The right to change the tables, as a value that every change demands.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use thiserror::Error;

use crate::privileges::as_owner_of;

/// The file in the state folder that the agent holds.
pub(crate) const FILE: &str = "agent.lock";

/// Proof that no other process writes the same tables or the same state. Given back when dropped, or
/// when the process ends in whatever way.
#[derive(Debug)]
pub struct WriterToken {
    _state: Option<Flock<File>>,
    _pins: Option<Flock<File>>,
}

/// Why the right to write could not be had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another agent has the state.
    #[error(
        "another agent runs on this state: `{0}` is locked; stop it first, or give this one another `paths.state`"
    )]
    Held(PathBuf),
    /// Another agent has the pinned tables.
    #[error(
        "another agent runs on these tables: `{0}` is locked; stop it first, or give this one another `paths.pins`"
    )]
    PinsHeld(PathBuf),
    /// The lock file cannot be made.
    #[error("failed to open the lock file `{0}`")]
    Open(PathBuf, #[source] io::Error),
    /// The pin folder cannot be made or opened.
    #[error(
        "failed to open the pin folder `{0}`; is a BPF file system mounted there (`mount -t bpf bpf /sys/fs/bpf`)?"
    )]
    OpenPins(PathBuf, #[source] io::Error),
}

impl WriterToken {
    /// Takes the right to write the state in `state`, and tables that are not pinned.
    ///
    /// # Errors
    /// When another process has it, or the lock file cannot be made.
    pub fn take(state: &Path) -> Result<Self, LockError> {
        let path = state.join(FILE);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        // A command of root's must not leave one behind that the agent's user cannot open.
        let file = as_owner_of(state, || options.open(&path));
        let file = file.map_err(|error| LockError::Open(path.clone(), error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { _state: Some(lock), _pins: None }),
            Err((_, Errno::EWOULDBLOCK)) => Err(LockError::Held(path)),
            Err((_, error)) => Err(LockError::Open(path, error.into())),
        }
    }

    /// Takes the right to write the tables pinned in `pins` alone.
    ///
    /// # Errors
    /// When another process has it, or the folder cannot be made.
    pub fn of_pins(pins: &Path) -> Result<Self, LockError> {
        Ok(Self { _state: None, _pins: Some(lock_folder(pins)?) })
    }

    /// Takes the right to write the tables pinned in `pins` too: two agents with states of their own
    /// must not share tables.
    ///
    /// # Errors
    /// When another process has it, or the folder cannot be made.
    pub fn and_pins(self, pins: &Path) -> Result<Self, LockError> {
        Ok(Self { _pins: Some(lock_folder(pins)?), ..self })
    }

    /// For tables that no other process can reach: a replay's own.
    pub(super) const fn for_private_tables() -> Self {
        Self { _state: None, _pins: None }
    }
}

/// Locks the folder itself: a BPF file system takes no plain files.
fn lock_folder(pins: &Path) -> Result<Flock<File>, LockError> {
    let failed = |error| LockError::OpenPins(pins.to_owned(), error);
    loop {
        fs::create_dir_all(pins).map_err(failed)?;
        let folder = match File::open(pins) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(failed)?,
        };
        let lock = match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => return Err(LockError::PinsHeld(pins.to_owned())),
            Err((_, error)) => return Err(failed(error.into())),
        };
        // A `detach` may have removed the folder in between: then this lock keeps nobody out.
        let held = lock.metadata().map_err(failed)?.ino();
        if fs::metadata(pins).is_ok_and(|found| found.ino() == held) {
            return Ok(lock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_states_do_not_share_pins() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two, pins) =
            (folder.path().join("one"), folder.path().join("two"), folder.path().join("pins"));
        fs::create_dir_all(&one).unwrap();
        fs::create_dir_all(&two).unwrap();
        let held = WriterToken::take(&one).unwrap().and_pins(&pins).unwrap();
        assert!(matches!(WriterToken::take(&one), Err(LockError::Held(_))));
        let second = WriterToken::take(&two).unwrap().and_pins(&pins);
        assert!(matches!(second, Err(LockError::PinsHeld(_))));
        assert!(matches!(WriterToken::of_pins(&pins), Err(LockError::PinsHeld(_))));
        drop(held);
        WriterToken::of_pins(&pins).unwrap();
    }
}
