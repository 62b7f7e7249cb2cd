//! What the agent keeps in its state folder: numbers of names, manual blocks, and last good copies.
//!
//! A file is written beside the old one, synced and renamed: after a power cut there is one of the two.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::intent::last_good::{self, LastGood};

/// Why state could not be read or kept.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Reading.
    #[error("failed to read `{0}`")]
    Read(PathBuf, #[source] io::Error),
    /// What is there cannot be understood.
    #[error("`{0}` is damaged; move it away to start without it")]
    Damaged(PathBuf, #[source] serde_json::Error),
    /// Writing.
    #[error("failed to write `{0}`; is the disk full?")]
    Write(PathBuf, #[source] io::Error),
}

/// Reads what was kept; the default where nothing was.
///
/// # Errors
/// When the file cannot be read or understood.
pub fn load<T: DeserializeOwned + Default>(folder: &Path, name: &str) -> Result<T, StoreError> {
    let path = folder.join(name);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged(path, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(StoreError::Read(path, error)),
    }
}

/// Keeps `value`.
///
/// # Errors
/// When it cannot be written; what was kept before is then still there.
pub fn save(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec_pretty(value).map_err(io::Error::from);
    let written = bytes.and_then(|bytes| replace(&folder.join(name), &bytes, None));
    written.map_err(|error| StoreError::Write(folder.join(name), error))
}

/// Keeps what was read as the last good copies, and lets copies go that are no longer wanted. A copy that
/// is the same already is left alone. What could not be done comes back.
pub fn keep(folder: &Path, last_good: &LastGood) -> Vec<StoreError> {
    let mut errors = Vec::new();
    for (file, content) in &last_good.read {
        let path = folder.join(file);
        if fs::read(&path).is_ok_and(|kept| kept == content.bytes) {
            // A file that was only touched: the copy is as fresh as it.
            if let Some(modified) = content.modified {
                let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(modified));
            }
            continue;
        }
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        if let Err(error) = made.and_then(|()| replace(&path, &content.bytes, content.modified)) {
            errors.push(StoreError::Write(path, error));
        }
    }
    // Where the folder cannot be read there is no copy to let go.
    for entry in fs::read_dir(folder.join(last_good::FEEDS)).into_iter().flatten().flatten() {
        if last_good.wanted.contains(&Path::new(last_good::FEEDS).join(entry.file_name())) {
            continue;
        }
        if let Err(error) = fs::remove_file(entry.path()) {
            errors.push(StoreError::Write(entry.path(), error));
        }
    }
    errors
}

/// Puts a file in the place of another one, whole or not at all.
pub(super) fn replace(path: &Path, bytes: &[u8], modified: Option<SystemTime>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    if let Some(modified) = modified {
        file.set_modified(modified)?;
    }
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load::<Vec<u32>>(folder.path(), "x.json").unwrap(), Vec::<u32>::new());
        save(folder.path(), "x.json", &vec![1, 2]).unwrap();
        assert_eq!(load::<Vec<u32>>(folder.path(), "x.json").unwrap(), vec![1, 2]);
        fs::write(folder.path().join("x.json"), "[1,").unwrap();
        assert!(matches!(load::<Vec<u32>>(folder.path(), "x.json"), Err(StoreError::Damaged(..))));
    }
}
