//! What the agent keeps in its state folder: numbers of names, and manual blocks.
//!
//! A file is written beside the old one, synced and renamed: after a power cut there is one of the two.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

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
    let path = folder.join(name);
    let beside = folder.join(format!("{name}.new"));
    let written = (|| {
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(value)?)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(folder)?.sync_all()
    })();
    written.map_err(|error| StoreError::Write(path, error))
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
