//! What changed since something was last kept whole: a short write each, into room that is there already, so that
//! nobody who waits for a change waits for the file system to make room.
//!
//! A journal continues one content of the whole copy, and its header says which: over another content its changes
//! are not made. They are read once, at a start. A record that a power cut has torn is the end: nobody was told that
//! it is kept.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::core::chain;
use super::store::{self, StoreError};

/// Bytes of the file.
const ROOM: u64 = 1 << 20;
/// Bytes before a content: its length and its checksum. The header of the file is that of the whole copy.
const HEAD: usize = 16;

/// A file of records.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Where the last record begins, and the next one.
    last: u64,
    next: u64,
    is_usable: bool,
}

impl Journal {
    /// An empty one that continues `whole`, beside the one that is there.
    pub(super) fn beside(folder: &Path, name: &str, whole: &[u8]) -> Result<Self, StoreError> {
        let path = folder.join(name);
        let mut bytes = vec![0; ROOM as usize];
        bytes[..HEAD].copy_from_slice(&head(whole));
        let file = store::write_beside(&path, &bytes, None);
        let file = file.map_err(|error| StoreError::Write(path.clone(), error))?;
        Ok(Self { path, file, last: HEAD as u64, next: HEAD as u64, is_usable: true })
    }

    /// None, where there is no room for one: everything is kept whole, once there is.
    pub(super) fn none(folder: &Path, name: &str) -> io::Result<Self> {
        let (path, file) = (folder.join(name), File::open("/dev/null")?);
        Ok(Self { path, file, last: HEAD as u64, next: HEAD as u64, is_usable: false })
    }

    /// In the place of the one that was there, once the whole copy is kept. Where that fails it is not usable: the
    /// whole copy is all that counts then.
    pub(super) fn into_place(mut self) -> Self {
        if let Err(error) = store::rename_beside(&self.path) {
            let error = chain(&StoreError::Write(self.path.clone(), error));
            tracing::error!(error, "changes cannot be noted, and are kept whole");
            self.is_usable = false;
        }
        self
    }

    /// Lets it go before it is in its place.
    pub(super) fn discard(self) {
        store::remove_beside(&self.path);
    }

    /// Whether changes can be noted.
    pub(super) const fn is_usable(&self) -> bool {
        self.is_usable
    }

    /// Nothing is noted from now on.
    pub(super) const fn give_up(&mut self) {
        self.is_usable = false;
    }

    /// Keeps a change; `false` where there is no room for it, or none can be noted. A change that could not be kept
    /// is taken back.
    pub(super) fn note(&mut self, change: &impl Serialize) -> Result<bool, StoreError> {
        let failed = |error| StoreError::Write(self.path.clone(), error);
        let content = serde_json::to_vec(change).map_err(io::Error::from).map_err(failed)?;
        let record = [&head(&content)[..], &content].concat();
        let end = self.next + record.len() as u64;
        if !self.is_usable || end > ROOM {
            return Ok(false);
        }
        // What is left of a longer record behind it is no record.
        let behind = vec![0; HEAD.min((ROOM - end) as usize)];
        let written = self.file.write_all_at(&[record, behind].concat(), self.next);
        if let Err(error) = written.and_then(|()| self.file.sync_data()).map_err(failed) {
            if let Err(error) = self.clear(self.next) {
                tracing::error!(
                    error = chain(&error),
                    "a change that was refused may be read at the next start"
                );
            }
            return Err(error);
        }
        (self.last, self.next) = (self.next, end);
        Ok(true)
    }

    /// Takes the last change back. Where that fails it is not usable any more.
    pub(super) fn take_back(&mut self) -> Result<(), StoreError> {
        self.next = self.last;
        self.clear(self.last)
    }

    fn clear(&mut self, at: u64) -> Result<(), StoreError> {
        let room = HEAD.min((ROOM - at) as usize);
        let cleared = self.file.write_all_at(&vec![0; room], at).and_then(|()| self.file.sync_data());
        self.is_usable &= cleared.is_ok();
        cleared.map_err(|error| StoreError::Write(self.path.clone(), error))
    }

    /// One that nothing can be written to.
    #[cfg(test)]
    pub(super) fn break_file(&mut self) {
        self.file = File::open(&self.path).unwrap();
    }
}

/// The changes that are kept, in order; none where they do not continue `whole`.
pub(super) fn read<C: DeserializeOwned>(
    folder: &Path,
    name: &str,
    whole: Option<&[u8]>,
) -> Result<Vec<C>, StoreError> {
    let path = folder.join(name);
    let Some(bytes) = store::read(folder, name)? else { return Ok(Vec::new()) };
    let (begin, mut rest) = bytes.split_at(HEAD.min(bytes.len()));
    if whole.is_none_or(|whole| begin != head(whole)) {
        if begin.iter().any(|byte| *byte != 0) {
            let path = path.display();
            tracing::warn!(%path, "the changes in this file do not belong to what is kept whole, and are left out");
        }
        return Ok(Vec::new());
    }
    let mut changes = Vec::new();
    while let Some((content, behind)) = record(rest) {
        let change = serde_json::from_slice(content);
        changes.push(change.map_err(|error| StoreError::Damaged(path.clone(), error))?);
        rest = behind;
    }
    Ok(changes)
}

/// Whether the file that is there is shorter than any that was ever written: it was emptied, or cut off.
pub(super) fn is_cut(folder: &Path, name: &str) -> bool {
    std::fs::metadata(folder.join(name)).is_ok_and(|about| about.is_file() && about.len() < ROOM)
}

/// Whether the file that is there continues `whole`.
pub(super) fn continues(folder: &Path, name: &str, whole: &[u8]) -> Result<bool, StoreError> {
    let path = folder.join(name);
    let mut begin = [0; HEAD];
    match File::open(&path).and_then(|mut file| file.read_exact(&mut begin)) {
        Ok(()) => Ok(begin == head(whole)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::UnexpectedEof | ErrorKind::IsADirectory => Ok(false),
            _ => Err(StoreError::Read(path, error)),
        },
    }
}

/// The first record, and what is behind it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (begin, rest) = bytes.split_at_checked(HEAD)?;
    let length = u64::from_le_bytes(*begin.first_chunk()?);
    let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
    let (content, behind) = rest.split_at_checked(length)?;
    (head(content) == begin).then_some((content, behind))
}

/// What stands before a content.
fn head(content: &[u8]) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&(content.len() as u64).to_le_bytes());
    head[8..].copy_from_slice(&checksum(content).to_le_bytes());
    head
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): tells a torn record from a whole one.
fn checksum(content: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    content.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const NAME: &str = "changes";
    const WHOLE: &[u8] = b"[]";

    fn new(folder: &Path) -> Journal {
        Journal::beside(folder, NAME, WHOLE).unwrap().into_place()
    }

    fn changes(folder: &Path) -> Vec<String> {
        read(folder, NAME, Some(WHOLE)).unwrap()
    }

    #[test]
    fn changes_come_back_in_order_up_to_one_that_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let read = || changes(folder.path());
        assert!(read().is_empty());
        let mut journal = new(folder.path());
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
        new(folder.path());
        assert!(read().is_empty());
    }

    #[test]
    fn what_has_no_room_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = new(folder.path());
        let long = "x".repeat(ROOM as usize / 2);
        assert!(journal.note(&long).unwrap());
        assert!(!journal.note(&long).unwrap());
        assert_eq!(changes(folder.path()).len(), 1);
        // Up to the last byte.
        let left = (ROOM - journal.next) as usize - HEAD - 2;
        assert!(!journal.note(&"x".repeat(left + 1)).unwrap());
        assert!(journal.note(&"x".repeat(left)).unwrap());
        assert_eq!((changes(folder.path()).len(), journal.next), (2, ROOM));
        assert_eq!(fs::metadata(folder.path().join(NAME)).unwrap().len(), ROOM);
    }

    #[test]
    fn changes_of_another_whole_copy_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = new(folder.path());
        assert!(journal.note(&"one").unwrap());
        assert_eq!(changes(folder.path()), ["one"]);
        for other in [None, Some(&b""[..]), Some(b"[ ]"), Some(b"[}")] {
            assert!(read::<String>(folder.path(), NAME, other).unwrap().is_empty());
        }
        assert!(continues(folder.path(), NAME, WHOLE).unwrap());
        assert!(!continues(folder.path(), NAME, b"[ ]").unwrap());
        // As agents before wrote it: no header.
        let bytes = fs::read(folder.path().join(NAME)).unwrap();
        fs::write(folder.path().join(NAME), &bytes[HEAD..]).unwrap();
        assert!(changes(folder.path()).is_empty());
        fs::write(folder.path().join(NAME), "short").unwrap();
        assert!(changes(folder.path()).is_empty());
        assert!(!continues(folder.path(), NAME, WHOLE).unwrap());
    }

    #[test]
    fn one_that_did_not_come_into_its_place_notes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::beside(folder.path(), NAME, WHOLE).unwrap();
        fs::remove_file(folder.path().join("changes.new")).unwrap();
        let mut journal = journal.into_place();
        assert!(!journal.is_usable() && !journal.note(&"one").unwrap());
        Journal::beside(folder.path(), NAME, WHOLE).unwrap().discard();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn one_that_cannot_be_written_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = new(folder.path());
        assert!(journal.note(&"one").unwrap());
        journal.break_file();
        journal.note(&"two").unwrap_err();
        assert!(!journal.is_usable() && !journal.note(&"two").unwrap());
        assert_eq!(changes(folder.path()), ["one"]);
    }
}
