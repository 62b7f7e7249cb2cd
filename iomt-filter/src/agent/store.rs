//! What the agent keeps in its state folder: numbers of names, manual blocks, and last good copies.
//!
//! A file is written beside the old one, synced and renamed: after a power cut there is one of the two.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::core::chain;
use crate::intent::copies;
use crate::intent::last_good::LastGood;
use crate::privileges::as_owner_of;

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
    match read(folder, name)? {
        Some(bytes) => understand(folder, name, &bytes),
        None => Ok(T::default()),
    }
}

/// The same for an agent that starts: what cannot be read or understood is moved aside, which is told, and the default
/// counts; without an agent there would be no new filter either.
///
/// # Errors
/// When it cannot be moved aside.
pub fn load_or_begin<T: DeserializeOwned + Default>(
    folder: &Path,
    name: &str,
    now: Timestamp,
) -> Result<T, StoreError> {
    load(folder, name).or_else(|error| {
        move_aside(folder, name, now)?;
        let error = chain(&error);
        tracing::error!(error, "{}: it was moved aside", lost(name));
        Ok(T::default())
    })
}

/// Moves what is damaged out of the way.
pub(super) fn move_aside(folder: &Path, name: &str, now: Timestamp) -> Result<(), StoreError> {
    let (path, aside) = damaged(folder, name, now);
    fs::rename(&path, aside).map_err(|error| StoreError::Write(path, error))
}

/// Gives what is damaged a second name, so that it outlives what takes its place.
pub(super) fn keep_aside(folder: &Path, name: &str, now: Timestamp) -> Result<(), StoreError> {
    let (path, aside) = damaged(folder, name, now);
    fs::hard_link(&path, aside).map_err(|error| StoreError::Write(path, error))
}

/// A file, and its name when it is aside.
fn damaged(folder: &Path, name: &str, now: Timestamp) -> (PathBuf, PathBuf) {
    let path = folder.join(name);
    let aside = path.with_added_extension(format!("damaged-{}", now.as_second()));
    (path, aside)
}

/// What an operator is to know of each file that was moved aside and is still there.
pub(super) fn aside(folder: &Path) -> Vec<String> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let name = path.file_name()?.to_str()?.rsplit_once(".damaged-")?.0.to_owned();
            Some(format!("`{}` was moved aside, {}; look at it, and remove it", path.display(), lost(&name)))
        })
        .collect();
    found.sort();
    found
}

/// What is lost with a file that was damaged.
fn lost(name: &str) -> &'static str {
    match name {
        super::exceptions::EXCEPTIONS => {
            "quarantines and bypasses that were kept are lost, but for what the kernel still holds"
        }
        super::grants::GRANTS => "grants that were kept are lost",
        super::core::NUMBERS => "numbers of devices and feeds are given anew",
        super::blocks::BLOCKS => "blocks by hand that were kept are lost: add them anew",
        super::blocks::CHANGES => {
            "the latest changes of blocks by hand are lost: `iomt-filter block list` shows what holds"
        }
        crate::audit::FILE => "what it said is not in the audit log any more",
        _ => "it was damaged",
    }
}

/// The bytes that were kept, where any were.
pub(super) fn read(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let path = folder.join(name);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::Read(path, error)),
    }
}

/// What bytes that were kept mean.
pub(super) fn understand<T: DeserializeOwned>(
    folder: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Damaged(folder.join(name), error))
}

/// Keeps `value`.
///
/// # Errors
/// When it cannot be written; what was kept before is then still there.
pub fn save(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
    put(folder, name, &bytes(folder, name, value)?)
}

/// The bytes that `value` is kept as.
pub(super) fn bytes(folder: &Path, name: &str, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let bytes = serde_json::to_vec_pretty(value).map_err(io::Error::from);
    bytes.map_err(|error| StoreError::Write(folder.join(name), error))
}

/// Keeps bytes.
pub(super) fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = folder.join(name);
    replace(&path, bytes, None).map_err(|error| StoreError::Write(path, error))
}

/// What could not be kept.
#[derive(Debug, Default)]
pub struct Unkept {
    /// Feeds of which a file could not be written, by name: of each, what comes behind that file is as it was.
    pub feeds: BTreeSet<String>,
    /// Why, for these feeds and for whatever else.
    pub errors: Vec<StoreError>,
}

impl Unkept {
    /// Whether everything was kept, and everything let go that was to go.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }
}

/// The errors, one by one.
impl IntoIterator for Unkept {
    type Item = StoreError;
    type IntoIter = std::vec::IntoIter<StoreError>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

/// Keeps what was read as the last good copies, in its order, and lets copies go that are no longer wanted. A copy
/// that is the same already is left alone. Of a feed nothing is written or let go after a file that could not be
/// written, so that its notes, which come last, never say more than its list. What could not be done comes back.
#[must_use]
pub fn keep(folder: &Path, last_good: &LastGood) -> Unkept {
    let Unkept { mut feeds, mut errors } = Unkept::default();
    for (file, content) in &last_good.read {
        let feed = feed_of(file);
        if feed.as_ref().is_some_and(|feed| feeds.contains(feed)) {
            continue;
        }
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
            feeds.extend(feed);
        }
    }
    // Where the folder cannot be read there is no copy to let go.
    for entry in fs::read_dir(folder.join(copies::FOLDER)).into_iter().flatten().flatten() {
        let file = Path::new(copies::FOLDER).join(entry.file_name());
        // What is kept of a feed that was not kept whole may still need its files.
        let is_needed = feed_of(&file).is_some_and(|feed| feeds.contains(&feed));
        if is_needed || last_good.wanted.contains(&file) {
            continue;
        }
        if let Err(error) = fs::remove_file(entry.path()) {
            errors.push(StoreError::Write(entry.path(), error));
        }
    }
    Unkept { feeds, errors }
}

/// The feed that a file of the state folder is of, where it is one of a feed: [`file_name`](crate::intent::last_good::file_name) the other way round.
fn feed_of(file: &Path) -> Option<String> {
    if file.parent() != Some(Path::new(copies::FOLDER)) {
        return None;
    }
    let stem = file.file_stem()?.as_encoded_bytes();
    let mut name = Vec::with_capacity(stem.len());
    let mut rest = stem;
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.filter(|_| first == b'%') {
            Some(byte) => {
                name.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                name.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8(name).ok()
}

/// Puts a file in the place of another one, whole or not at all.
fn replace(path: &Path, bytes: &[u8], modified: Option<SystemTime>) -> io::Result<()> {
    // Commands of root's keep something here too, and the folder may be another user's.
    as_owner_of(path.parent().unwrap_or(Path::new("")), || {
        write_beside(path, bytes, modified)?;
        rename_beside(path)
    })
}

/// Writes and syncs a file beside the one of that path; nothing is left of it where that fails.
pub(super) fn write_beside(path: &Path, bytes: &[u8], modified: Option<SystemTime>) -> io::Result<File> {
    let mut file = File::create(beside(path))?;
    let dated = |file: &File| modified.map_or(Ok(()), |modified| file.set_modified(modified));
    let written = file.write_all(bytes).and_then(|()| dated(&file)).and_then(|()| file.sync_all());
    if let Err(error) = written {
        remove_beside(path);
        return Err(error);
    }
    Ok(file)
}

/// Puts what was written beside a file in its place.
pub(super) fn rename_beside(path: &Path) -> io::Result<()> {
    if let Err(error) = fs::rename(beside(path), path) {
        remove_beside(path);
        return Err(error);
    }
    sync_folder(path)
}

/// Lets go what was written beside a file.
pub(super) fn remove_beside(path: &Path) {
    // The next one is written over it.
    let _ = fs::remove_file(beside(path));
}

/// Removes a file for good.
pub(super) fn remove(folder: &Path, name: &str) -> Result<(), StoreError> {
    let path = folder.join(name);
    let removed = fs::remove_file(&path).and_then(|()| sync_folder(&path));
    removed.map_err(|error| StoreError::Write(path, error))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("")))?.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    beside.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intent::copies::Kind;
    use crate::intent::last_good::Content;

    #[test]
    fn what_is_kept_comes_back_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load::<Vec<u32>>(folder.path(), "x.json").unwrap(), Vec::<u32>::new());
        save(folder.path(), "x.json", &vec![1, 2]).unwrap();
        assert_eq!(load::<Vec<u32>>(folder.path(), "x.json").unwrap(), vec![1, 2]);
        fs::write(folder.path().join("x.json"), "[1,").unwrap();
        assert!(matches!(load::<Vec<u32>>(folder.path(), "x.json"), Err(StoreError::Damaged(..))));
    }

    #[test]
    fn what_is_damaged_is_moved_aside_by_a_start_and_told_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        for (number, content) in (1..).zip(["", "nonsense", "[1,", "{}"]) {
            let now = Timestamp::from_second(number).unwrap();
            fs::write(state.join("grants.json"), content).unwrap();
            assert_eq!(load_or_begin::<Vec<u32>>(state, "grants.json", now).unwrap(), Vec::<u32>::new());
            let aside = state.join(format!("grants.json.damaged-{number}"));
            assert_eq!(fs::read_to_string(aside).unwrap(), content);
        }
        assert!(!state.join("grants.json").exists());
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(load_or_begin::<Vec<u32>>(state, "grants.json", now).unwrap(), Vec::<u32>::new());
        let told = aside(state);
        assert_eq!(told.len(), 4);
        assert!(
            told[0].ends_with("was moved aside, grants that were kept are lost; look at it, and remove it")
        );
        fs::remove_file(state.join("grants.json.damaged-1")).unwrap();
        assert_eq!(aside(state).len(), 3);
        // Not a file at all.
        fs::create_dir(state.join("numbers.json")).unwrap();
        load_or_begin::<Vec<u32>>(state, "numbers.json", now).unwrap();
        assert!(!state.join("numbers.json").exists());
    }

    const FEEDS: [&str; 2] = ["c2", "a/b ü"];
    const KINDS: [Kind; 3] = [Kind::List, Kind::Content, Kind::Notes];

    fn of_feeds(text: &str) -> LastGood {
        let content = |text: &str| Content { bytes: text.into(), modified: None };
        let files = FEEDS.iter().flat_map(|feed| KINDS.map(|kind| (kind.of(feed), content(text))));
        let read: Vec<_> = files.chain([("country.mmdb".into(), content(text))]).collect();
        let wanted = read.iter().map(|(path, _)| path.clone()).collect();
        LastGood { read, wanted }
    }

    #[test]
    fn of_a_feed_nothing_is_written_after_what_could_not_be() {
        // Either the file cannot be replaced, or none be written beside it.
        for in_the_way in ["", ".new"] {
            for (failing, kind) in KINDS.into_iter().enumerate() {
                let folder = tempfile::tempdir().unwrap();
                assert!(keep(folder.path(), &of_feeds("old")).is_empty());
                let mut blocked = folder.path().join(kind.of(FEEDS[1])).into_os_string();
                blocked.push(in_the_way);
                let blocked = PathBuf::from(blocked);
                let _ = fs::remove_file(&blocked);
                fs::create_dir_all(blocked.join("something")).unwrap();

                let mut new = of_feeds("new");
                // No longer wanted, but the notes that stay may speak of it.
                new.wanted.remove(&Kind::Content.of(FEEDS[1]));
                new.read.retain(|(path, _)| kind == Kind::Content || *path != Kind::Content.of(FEEDS[1]));
                let unkept = keep(folder.path(), &new);
                assert!(!unkept.is_empty(), "{kind:?}");
                assert_eq!(unkept.feeds, BTreeSet::from([FEEDS[1].to_owned()]));
                let text = |path: &Path| fs::read_to_string(folder.path().join(path)).unwrap_or_default();
                for behind in KINDS.into_iter().skip(failing + 1) {
                    assert_eq!(text(&behind.of(FEEDS[1])), "old", "{behind:?} after {kind:?}");
                }
                for kind in KINDS {
                    assert_eq!(text(&kind.of(FEEDS[0])), "new", "the other feed is kept");
                }
                assert_eq!(text(Path::new("country.mmdb")), "new");
            }
        }
    }

    #[test]
    fn a_file_says_which_feed_it_is_of() {
        for name in ["c2", "../far", "a/b ü", "100%", "%2e", "a.b"] {
            for kind in KINDS {
                assert_eq!(feed_of(&kind.of(name)).as_deref(), Some(name));
            }
        }
        assert_eq!(feed_of(Path::new("country.mmdb")), None);
    }
}
