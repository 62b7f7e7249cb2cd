//! Last good copies of feeds and of the country database, in the state folder: what holds when the file
//! itself cannot be used.
//!
//! Copies are read here. They are never written here: what was read comes out as [`LastGood`], and the
//! agent keeps it once it judges by it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

/// The copy of the country database, in the state folder.
pub(super) const COUNTRIES: &str = "country.mmdb";

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// All of it.
    pub bytes: Vec<u8>,
    /// When it was last changed; a copy keeps that.
    pub modified: Option<SystemTime>,
}

impl Content {
    /// When it was last changed.
    pub(super) fn updated(&self) -> Option<Timestamp> {
        self.modified.and_then(|time| Timestamp::try_from(time).ok())
    }
}

/// What a reading leaves to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastGood {
    /// What could be used, by its path in the state folder.
    pub read: Vec<(PathBuf, Content)>,
    /// Every copy of a feed that may stay; those of other feeds are no longer wanted.
    pub wanted: BTreeSet<PathBuf>,
}

/// The name of a feed as a name of a file.
#[must_use]
pub fn file_name(name: &str) -> String {
    let mut file = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => file.push(char::from(byte)),
            // Any other name is no file name, or one of another folder.
            _ => drop(write!(file, "%{byte:02x}")),
        }
    }
    file
}

/// The copy at `file` of the state folder, where there is one.
pub(super) fn read(state: &Path, file: &Path) -> Option<Content> {
    let path = state.join(file);
    let modified = std::fs::metadata(&path).ok()?.modified().ok();
    Some(Content { bytes: std::fs::read(path).ok()?, modified })
}

/// Since when a copy is what it is, in words.
pub(super) fn since(updated: Option<Timestamp>) -> String {
    updated.map_or_else(|| "an unknown time".to_owned(), |time| format!("{time:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_file_of_the_folder() {
        for (name, file) in
            [("c2", "c2"), ("../numbers", "%2e%2e%2fnumbers"), ("a b", "a%20b"), ("a%20b", "a%2520b")]
        {
            assert_eq!(file_name(name), file);
        }
    }
}
