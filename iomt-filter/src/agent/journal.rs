//! What changed since something was last kept whole: a short write each, into room that is there already, so that
//! nobody who waits for a change waits for the file system to make room.
//!
//! Changes are read once, at a start. A record that a power cut has torn is the end: nobody was told that it is kept.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::store::{self, StoreError};

/// Bytes of the file.
const ROOM: u64 = 1 << 20;
/// Bytes before a record: its length and its checksum.
const HEAD: usize = 16;

/// A file of records.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Where the last record begins, and the next one.
    last: u64,
    next: u64,
}

impl Journal {
    /// An empty one, in the place of what was there: only once that is kept elsewhere.
    pub(super) fn new(folder: &Path, name: &str) -> Result<Self, StoreError> {
        let path = folder.join(name);
        let made = store::replace(&path, &vec![0; ROOM as usize], None)
            .and_then(|()| File::options().write(true).open(&path));
        let file = made.map_err(|error| StoreError::Write(path.clone(), error))?;
        Ok(Self { path, file, last: 0, next: 0 })
    }

    /// Keeps a change; `false` where there is no room for it.
    pub(super) fn note(&mut self, change: &impl Serialize) -> Result<bool, StoreError> {
        let failed = |error| StoreError::Write(self.path.clone(), error);
        let content = serde_json::to_vec(change).map_err(io::Error::from).map_err(failed)?;
        let length = (content.len() as u64).to_le_bytes();
        let record = [&length[..], &checksum(&content).to_le_bytes(), &content].concat();
        let end = self.next + record.len() as u64;
        if end > ROOM {
            return Ok(false);
        }
        self.file.write_all_at(&record, self.next).and_then(|()| self.file.sync_data()).map_err(failed)?;
        (self.last, self.next) = (self.next, end);
        Ok(true)
    }

    /// Takes the last change back.
    pub(super) fn take_back(&mut self) -> Result<(), StoreError> {
        self.next = self.last;
        let cleared = self.file.write_all_at(&[0; HEAD], self.next).and_then(|()| self.file.sync_data());
        cleared.map_err(|error| StoreError::Write(self.path.clone(), error))
    }
}

/// The changes that are kept, in order.
pub(super) fn read<C: DeserializeOwned>(folder: &Path, name: &str) -> Result<Vec<C>, StoreError> {
    let path = folder.join(name);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|error| StoreError::Read(path.clone(), error))?,
    };
    let mut changes = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((content, behind)) = record(rest) {
        let change = serde_json::from_slice(content);
        changes.push(change.map_err(|error| StoreError::Damaged(path.clone(), error))?);
        rest = behind;
    }
    Ok(changes)
}

/// The first record, and what is behind it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|length| *length > 0)?;
    let (content, behind) = rest.split_at_checked(length)?;
    (checksum(content) == u64::from_le_bytes(*sum)).then_some((content, behind))
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): tells a torn record from a whole one.
fn checksum(content: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    content.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "changes";

    #[test]
    fn changes_come_back_in_order_up_to_one_that_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let read = || read::<String>(folder.path(), NAME).unwrap();
        assert!(read().is_empty());
        let mut journal = Journal::new(folder.path(), NAME).unwrap();
        for change in ["one", "two", "a third that is longer"] {
            assert!(journal.note(&change).unwrap());
        }
        journal.take_back().unwrap();
        assert_eq!(read(), ["one", "two"]);
        assert!(journal.note(&"3").unwrap());
        assert_eq!(read(), ["one", "two", "3"], "nothing of the longer one is read");
        // Each byte that a power cut may have left out.
        let whole = fs::read(folder.path().join(NAME)).unwrap();
        let (last, end) = (journal.last as usize, journal.next as usize);
        for torn in last..end {
            let mut bytes = whole.clone();
            bytes[torn] ^= 0xff;
            fs::write(folder.path().join(NAME), bytes).unwrap();
            assert_eq!(read(), ["one", "two"]);
        }
        Journal::new(folder.path(), NAME).unwrap();
        assert!(read().is_empty());
    }

    #[test]
    fn what_has_no_room_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::new(folder.path(), NAME).unwrap();
        let long = "x".repeat(ROOM as usize / 2);
        assert!(journal.note(&long).unwrap());
        assert!(!journal.note(&long).unwrap());
        assert_eq!(read::<String>(folder.path(), NAME).unwrap().len(), 1);
    }
}
