//! Feeds as they are kept in the state folder: the last good list, notes of how it came about, and content that is
//! needed again.
//!
//! Copies are read here and never written: what is to be kept comes out as bytes, and the agent keeps it once it
//! judges by it. A copy that is damaged is none, and said.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::last_good::file_name;
use crate::diagnostic::{Diagnostic, Place};
use crate::feeds::fetch::{Part, Resume};
use crate::feeds::formats::{Note, Reject};
use crate::feeds::{Held, List, Removed};
use crate::hex::hexadecimal;

/// The folder of feeds, in the state folder.
pub const FOLDER: &str = "feeds";
/// Lines, notes and removed entries of a feed that are kept and shown one by one; of more there are numbers.
pub const SHOWN: usize = 1000;

/// A feed as it is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeedCopy {
    /// What it lists, before the guard.
    pub list: List,
    /// How that came about.
    pub notes: FeedNotes,
}

/// How a list came about, and what waits to take its place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedNotes {
    /// SHA-256 of the content that the list is made of, and of how it is read.
    pub content: Option<String>,
    /// SHA-256 of the list as it is kept: without that list they say nothing.
    pub list: Option<String>,
    /// What it was read as.
    pub format: Option<String>,
    /// How it was read: a fetch that finds nothing changed says nothing where it is to be read otherwise.
    pub way: Option<String>,
    /// When the content last changed at its source.
    pub updated: Option<Timestamp>,
    /// When it was last read, or found unchanged.
    pub read: Option<Timestamp>,
    /// The first lines that are no entries.
    pub rejected: Vec<Line>,
    /// How many there are that could not be understood, and how many that are of no use here.
    pub faulty: usize,
    /// See [`faulty`](Self::faulty).
    pub ignored: usize,
    /// The first entries that were put right.
    pub notes: Vec<Line>,
    /// What deserves a look.
    pub warnings: Vec<String>,
    /// Who let it through the gate, where somebody had to.
    pub released: Option<String>,
    /// What waits.
    pub held: Option<HeldNote>,
    /// SHA-256 of the list of the last bundle, which was judged when it came.
    pub incoming: Option<String>,
    /// What the next fetch goes on from.
    pub resume: Resume,
}

/// A list that waits for somebody.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldNote {
    /// As of [`FeedNotes::content`].
    pub content: String,
    /// Since when.
    pub since: Timestamp,
    /// When it last changed at its source.
    pub updated: Option<Timestamp>,
    /// Whether it is a list as this program keeps it, of a bundle.
    #[serde(default)]
    pub is_kept_list: bool,
    /// Its entries and domains.
    pub entries: usize,
    /// Why.
    pub reasons: Vec<Held>,
    /// What of it is no entry, and what no list may block.
    #[serde(default)]
    pub account: Account,
}

/// What a list that waits holds beside its entries: the first of each kind, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Lines that are no entries.
    pub rejected: Vec<Line>,
    /// See [`rejected`](Self::rejected).
    pub rejected_lines: usize,
    /// Entries, or parts of them, that no list may block.
    pub spared: Vec<Spared>,
    /// See [`spared`](Self::spared).
    pub spared_entries: usize,
}

/// An entry, or the part of one, that no list may block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spared {
    /// The entry.
    pub entry: String,
    /// What of it.
    pub part: String,
    /// Why.
    pub reason: String,
}

impl Account {
    /// Of what was read and what the guard left out.
    #[must_use]
    pub fn of(rejects: &[Reject], removed: &[Removed]) -> Self {
        let spared = |removed: &Removed| Spared {
            entry: removed.entry.to_string(),
            part: removed.part.to_string(),
            reason: removed.reason.to_string(),
        };
        Self {
            rejected: rejects.iter().take(SHOWN).map(Line::from).collect(),
            rejected_lines: rejects.len(),
            spared: removed.iter().take(SHOWN).map(spared).collect(),
            spared_entries: removed.len(),
        }
    }
}

/// A line of a list, and what is to be said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The line, from 1.
    pub line: u32,
    /// The line itself, cut where it is long.
    pub text: String,
    /// Why it is no entry, or what it was read as.
    pub reason: String,
}

impl From<&Reject> for Line {
    fn from(reject: &Reject) -> Self {
        Self { line: reject.line, text: reject.text.clone(), reason: reject.reason.to_string() }
    }
}

impl From<&Note> for Line {
    fn from(note: &Note) -> Self {
        Self { line: note.line, text: note.text.clone(), reason: format!("read as `{}`", note.read_as) }
    }
}

/// A file that is to be kept: its path in the state folder, and what is in it.
pub type File = (PathBuf, super::last_good::Content);

/// The copies of all feeds by name.
pub type Copies = BTreeMap<String, Arc<FeedCopy>>;

/// A file of a feed in the state folder, as a path in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The list.
    List,
    /// The notes.
    Notes,
    /// The content that was fetched last, where it waits or the next fetch goes on from it.
    Content,
}

impl Kind {
    /// Where it is for a feed.
    #[must_use]
    pub fn of(self, feed: &str) -> PathBuf {
        let ending = match self {
            Self::List => ".list",
            Self::Notes => ".json",
            Self::Content => ".content",
        };
        Path::new(FOLDER).join(file_name(feed) + ending)
    }
}

/// Reads the copies of these feeds in the folder `state`.
pub fn read<'n>(
    state: &Path,
    feeds: impl IntoIterator<Item = &'n str>,
    warnings: &mut Vec<Diagnostic>,
) -> Copies {
    let mut copies = Copies::new();
    for feed in feeds {
        let path = state.join(Kind::List.of(feed));
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let list = match List::from_bytes(&bytes) {
            Ok(list) => list,
            Err(error) => {
                let message = format!("the last good copy of feed `{feed}` cannot be used: {error}");
                warnings.push(Diagnostic::warning(&Place::file(&path.display().to_string()), message));
                continue;
            }
        };
        let notes = std::fs::read(state.join(Kind::Notes.of(feed)));
        // Without its notes it is read anew, and judged anew; so it is where they are of another list.
        let notes: Option<FeedNotes> = notes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let is_of_list = |notes: &FeedNotes| notes.list.as_ref().is_none_or(|list| *list == digest(&bytes));
        let notes = notes.filter(is_of_list).unwrap_or_default();
        copies.insert(feed.to_owned(), Arc::new(FeedCopy { list, notes }));
    }
    copies
}

/// What tells a list as it is kept from another.
pub(super) fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The content that was fetched last, where it is kept.
#[must_use]
pub fn content(state: &Path, feed: &str) -> Option<Vec<Part>> {
    from_bytes(&std::fs::read(state.join(Kind::Content.of(feed))).ok()?)
}

#[derive(Serialize, Deserialize)]
struct Heading {
    name: String,
    bytes: usize,
}

/// Content as it is kept: a line that says which parts there are, and their bytes.
#[must_use]
pub fn to_bytes(parts: &[Part]) -> Vec<u8> {
    let headings: Vec<_> =
        parts.iter().map(|part| Heading { name: part.name.clone(), bytes: part.bytes.len() }).collect();
    let mut bytes = serde_json::to_vec(&headings).unwrap_or_default();
    bytes.push(b'\n');
    parts.iter().for_each(|part| bytes.extend_from_slice(&part.bytes));
    bytes
}

fn from_bytes(bytes: &[u8]) -> Option<Vec<Part>> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let headings: Vec<Heading> = serde_json::from_slice(bytes.get(..end)?).ok()?;
    let mut rest = bytes.get(end + 1..)?;
    let mut parts = Vec::with_capacity(headings.len());
    for Heading { name, bytes } in headings {
        let (part, behind) = rest.split_at_checked(bytes)?;
        parts.push(Part { name, bytes: part.to_vec() });
        rest = behind;
    }
    rest.is_empty().then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_comes_back_as_it_was_and_never_in_part() {
        let part = |name: &str, bytes: &[u8]| Part { name: name.into(), bytes: bytes.into() };
        let parts = vec![part("a\n\"b", b"203.0.113.1\n"), part("c", b""), part("d", b"x\0y")];
        let bytes = to_bytes(&parts);
        assert_eq!(from_bytes(&bytes), Some(parts));
        for end in 0..bytes.len() {
            assert_eq!(from_bytes(&bytes[..end]), None, "{end}");
        }
    }

    #[test]
    fn every_feed_has_files_of_its_own() {
        assert_eq!(Kind::List.of("c2"), Path::new("feeds/c2.list"));
        assert_eq!(Kind::Content.of("../numbers"), Path::new("feeds/%2e%2e%2fnumbers.content"));
    }
}
