//! The audit log: who changed what, and why, in a file that is only ever added to.
//!
//! A line is a JSON object that holds the hash of the line before it and its own, so that a line that was changed,
//! taken out or put in between shows. Entries come in, lines go to the disk before a change is answered; nothing here
//! decides what is worth an entry. Payloads of frames never come here. Whoever replaces the log or cuts it off gets a
//! line that says so, and that follows on what was written last, not on what was left.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::hex::hexadecimal;
use crate::privileges::as_owner_of;

mod check;
mod mark;

pub use self::check::{Broken, Check, Fault, Verified, verify};
pub use self::mark::Mark;

/// The file of the log, in the state folder.
pub const FILE: &str = "audit.log";
/// The hash that the first line follows on.
/// Where numbers of lines end, for whatever reads JSON; a larger one is none that was written here.
const MOST_LINES: u64 = 1 << 53;
const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// How much of the end is read to find the last line, at first; and the most, which is far more than a line can have
/// that is written here.
const TAIL: u64 = 64 << 10;
const LONGEST: u64 = 32 << 20;
/// The longest text of an entry, and the longest value as JSON, in bytes.
const LONGEST_TEXT: usize = 4 << 10;
const LONGEST_VALUE: usize = 64 << 10;
/// How long one waits for another that adds a line.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Who does something, as the kernel knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Author {
    /// The name of the user.
    pub name: String,
    /// Its number, where it is somebody who has one.
    pub uid: Option<u32>,
}

impl Author {
    /// The user with this number.
    #[must_use]
    pub fn of(uid: Uid) -> Self {
        let name = match User::from_uid(uid) {
            Ok(Some(user)) => user.name,
            _ => format!("uid {uid}"),
        };
        Self { name, uid: Some(uid.as_raw()) }
    }

    /// Whoever started this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self::of(Uid::current())
    }
}

/// What somebody did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Who, by the name that the user has on this host.
    pub who: String,
    /// The user's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The command, as in `feed release`.
    pub what: String,
    /// What it was about: a feed, a device, a generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What was there before.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub before: Value,
    /// What is there now.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub after: Value,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it was done, where that could not be written down at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Entry {
    /// What `author` is about to do.
    #[must_use]
    pub fn by(author: &Author, what: &str) -> Self {
        Self { who: author.name.clone(), uid: author.uid, what: what.to_owned(), ..Self::default() }
    }

    /// The entry that follows on this one where nothing came of it.
    #[must_use]
    pub fn failed(&self, errors: &[String]) -> Self {
        Self {
            who: self.who.clone(),
            uid: self.uid,
            what: format!("{} failed", self.what),
            about: self.about.clone(),
            after: Value::from(errors),
            ..Self::default()
        }
    }
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// From 1, without a gap.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// What.
    #[serde(flatten)]
    pub entry: Entry,
    /// Hash of the line before.
    pub previous: String,
    /// SHA-256 of this line without this field, as 64 hexadecimal digits.
    pub hash: String,
}

/// Why the log cannot be written or read.
#[derive(Debug, Error)]
pub enum AuditError {
    /// Reading or writing.
    #[error("failed to write the audit log `{0}`; is the disk full?")]
    File(PathBuf, #[source] io::Error),
    /// Reading it for somebody who only reads.
    #[error("failed to read the audit log `{0}`")]
    Read(PathBuf, #[source] io::Error),
    /// Another process keeps it to itself.
    #[error(
        "another process holds the audit log `{0}`; nothing is changed without an entry in it, try again"
    )]
    Busy(PathBuf),
    /// The last line cannot be understood, so that nothing can follow on it.
    #[error("the audit log `{0}` is damaged at its end; keep it and move it away, a new one is begun")]
    Damaged(PathBuf),
}

/// An open log. Others may have it open too, in other processes: each adds to what is there.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    file: Arc<File>,
    /// The last line that is known to have been written.
    last: Mark,
    /// Whether another file was found in the place of the one that was open, which is in no line yet.
    is_replaced: bool,
}

/// What there is to follow on.
struct End {
    last: Mark,
    /// Where the last whole line ends.
    at: u64,
    /// Bytes of an unfinished line behind it.
    torn: u64,
}

/// Held while the end of the log is looked at and added to.
struct Held(Arc<File>);

impl Drop for Held {
    fn drop(&mut self) {
        // It ends with the process at the latest.
        let _ = self.0.unlock();
    }
}

impl Audit {
    /// Opens the log at `path`, or begins one. What a power cut left of a line is taken off, and what is missing of what
    /// was written is followed on all the same; either is said in a line.
    ///
    /// # Errors
    /// When the file cannot be read or written, or its last line is none.
    pub fn open(path: &Path, now: Timestamp) -> Result<Self, AuditError> {
        let file = Arc::new(open(path)?);
        let mut audit = Self { path: path.to_owned(), file, last: Mark::default(), is_replaced: false };
        let held = audit.hold(PATIENCE)?;
        audit.mended(now)?;
        drop(held);
        Ok(audit)
    }

    /// Adds an entry, whoever has added to the log meanwhile; it is on the disk when this comes back. Long texts are
    /// cut, and say so.
    ///
    /// # Errors
    /// When it cannot be written, or the last line is none: then nothing of it is there.
    pub fn append(&mut self, entry: Entry, now: Timestamp) -> Result<(), AuditError> {
        self.append_all([entry], now, PATIENCE)
    }

    /// Adds entries, all or none, and waits no longer than `patience` for others who add something.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_all(
        &mut self,
        entries: impl IntoIterator<Item = Entry>,
        now: Timestamp,
        patience: Duration,
    ) -> Result<(), AuditError> {
        let _held = self.hold(patience)?;
        let end = self.mended(now)?;
        self.write(&end, entries.into_iter().map(bounded), now).map(drop)
    }

    /// The last line that is known to have been written.
    #[must_use]
    pub const fn last(&self) -> &Mark {
        &self.last
    }

    /// Keeps others from adding to the log; the file that is there now, where it was replaced.
    fn hold(&mut self, patience: Duration) -> Result<Held, AuditError> {
        let begun = Instant::now();
        loop {
            if !self.is_in_place() {
                self.file = Arc::new(open(&self.path)?);
                self.is_replaced = true;
            }
            match self.file.try_lock() {
                Ok(()) => {
                    let held = Held(self.file.clone());
                    // It may have been replaced while it was waited for.
                    if self.is_in_place() {
                        return Ok(held);
                    }
                }
                Err(TryLockError::Error(error)) => return Err(self.failed(error)),
                Err(TryLockError::WouldBlock) => {}
            }
            if begun.elapsed() > patience {
                return Err(AuditError::Busy(self.path.clone()));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether the file that is open is the one that the path leads to.
    fn is_in_place(&self) -> bool {
        let identity = |about: fs::Metadata| (about.dev(), about.ino());
        let there = fs::metadata(&self.path).map(identity);
        there.is_ok_and(|there| self.file.metadata().is_ok_and(|open| identity(open) == there))
    }

    /// The end of the log, after what is unfinished there has been taken off. Where that is not what was written last,
    /// what follows does not follow on it.
    fn mended(&mut self, now: Timestamp) -> Result<End, AuditError> {
        let mut end = self.end()?;
        let written = self.last.clone().later(Mark::beside(&self.path));
        let mut found = Vec::new();
        if end.torn > 0 {
            self.file.set_len(end.at).map_err(|error| self.failed(error))?;
            found.push(("audit mend", format!("{} bytes of an unfinished line were taken off", end.torn)));
            end.torn = 0;
        }
        let (last, number) = (end.last.sequence, written.sequence);
        let is_short = last < number || (last == number && end.last != written);
        if is_short || self.is_replaced {
            let what =
                if self.is_replaced { "the log was replaced while it was open" } else { "the log was cut" };
            let found_now = match is_short {
                true => format!("{what}: it ended with line {last}, and {number} were written"),
                false => what.to_owned(),
            };
            found.push(("audit replaced", found_now));
            tracing::error!(log = %self.path.display(), last, written = number, "{what}: `iomt-filter audit verify` says what is missing");
        }
        if is_short {
            end.last = written;
        }
        if found.is_empty() {
            return Ok(end);
        }
        let entry = |(what, found): (&str, String)| Entry {
            who: "the agent".into(),
            what: what.to_owned(),
            after: Value::from(found),
            ..Entry::default()
        };
        let end = self.write(&end, found.into_iter().map(entry), now)?;
        self.is_replaced = false;
        Ok(end)
    }

    /// Reads the end of the log.
    fn end(&self) -> Result<End, AuditError> {
        let failed = |error| self.failed(error);
        let length = self.file.metadata().map_err(failed)?.len();
        let mut size = TAIL;
        loop {
            let begin = length.saturating_sub(size);
            let mut tail = vec![0; usize::try_from(length - begin).unwrap_or(usize::MAX)];
            self.file.read_exact_at(&mut tail, begin).map_err(failed)?;
            let whole = tail.iter().rposition(|&byte| byte == b'\n');
            let lines = whole.and_then(|end| tail.get(..end));
            let torn = (tail.len() - whole.map_or(0, |end| end + 1)) as u64;
            let first = lines.and_then(|lines| lines.iter().rposition(|&byte| byte == b'\n'));
            let line = match (first, lines) {
                (Some(before), Some(lines)) => lines.get(before + 1..),
                (None, lines) if begin == 0 => lines,
                _ if size >= LONGEST => return Err(AuditError::Damaged(self.path.clone())),
                _ => {
                    size *= 8;
                    continue;
                }
            };
            let last = match line.map(serde_json::from_slice::<Line>) {
                Some(Ok(line)) if line.sequence < MOST_LINES => {
                    Mark { sequence: line.sequence, hash: line.hash }
                }
                Some(_) => return Err(AuditError::Damaged(self.path.clone())),
                None => Mark::default(),
            };
            return Ok(End { last, at: length - torn, torn });
        }
    }

    /// Adds a line for each entry behind `end`, and says where the log ends then.
    fn write(
        &mut self,
        end: &End,
        entries: impl IntoIterator<Item = Entry>,
        now: Timestamp,
    ) -> Result<End, AuditError> {
        let (Mark { mut sequence, hash: mut last }, mut text) = (end.last.clone(), Vec::new());
        for entry in entries {
            sequence += 1;
            let mut line = Line { sequence, time: now, entry, previous: last, hash: String::new() };
            line.hash = hash(&line);
            serde_json::to_writer(&mut text, &line).map_err(|error| self.failed(error.into()))?;
            text.push(b'\n');
            last = line.hash;
        }
        if let Err(error) = (&*self.file).write_all(&text).and_then(|()| self.file.sync_data()) {
            // Half a line would be in the way of the next one.
            let _ = self.file.set_len(end.at);
            return Err(self.failed(error));
        }
        self.last = Mark { sequence, hash: last };
        if !text.is_empty()
            && let Err(error) = self.last.put(&self.path)
        {
            tracing::warn!(%error, "how far the audit log has come is not kept beside it");
        }
        Ok(End { last: self.last.clone(), at: end.at + text.len() as u64, torn: 0 })
    }

    fn failed(&self, error: io::Error) -> AuditError {
        AuditError::File(self.path.clone(), error)
    }
}

/// Opens the file of a log, or makes it.
fn open(path: &Path) -> Result<File, AuditError> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o640);
    // The agent adds to it too, and may be another user.
    let folder = path.parent().unwrap_or(Path::new(""));
    as_owner_of(folder, || options.open(path)).map_err(|error| AuditError::File(path.to_owned(), error))
}

/// Moves a log that nothing can follow on out of the way; where it is then.
///
/// # Errors
/// When it cannot be moved.
pub fn move_aside(path: &Path, now: Timestamp) -> Result<PathBuf, AuditError> {
    let aside = path.with_added_extension(format!("damaged-{}", now.as_second()));
    fs::rename(path, &aside).map_err(|error| AuditError::File(path.to_owned(), error))?;
    Ok(aside)
}

/// An entry with no text longer than [`LONGEST_TEXT`], and no value longer than [`LONGEST_VALUE`].
fn bounded(entry: Entry) -> Entry {
    let Entry { who, uid, what, about, before, after, note, at } = entry;
    Entry {
        who: cut(who),
        uid,
        what: cut(what),
        about: about.map(cut),
        before: bounded_value(before),
        after: bounded_value(after),
        note: note.map(cut),
        at,
    }
}

fn bounded_value(value: Value) -> Value {
    let value = with_short_texts(value);
    let text = value.to_string();
    if text.len() > LONGEST_VALUE { Value::from(cut(text)) } else { value }
}

fn with_short_texts(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text)),
        Value::Array(values) => values.into_iter().map(with_short_texts).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (cut(name), with_short_texts(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// A text of at most [`LONGEST_TEXT`] bytes, or the begin of a longer one and how long it was.
fn cut(text: String) -> String {
    if text.len() <= LONGEST_TEXT {
        return text;
    }
    let end = text.floor_char_boundary(LONGEST_TEXT);
    format!("{}… (cut, it has {} bytes)", text.get(..end).unwrap_or_default(), text.len())
}

/// Opens a log to read it, as far as it goes at this moment: what others add meanwhile is not seen in half.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<impl BufRead + use<>, AuditError> {
    let failed = |error| AuditError::Read(path.to_owned(), error);
    let file = File::open(path).map_err(failed)?;
    file.lock_shared().map_err(failed)?;
    let length = file.metadata().map(|about| about.len());
    file.unlock().map_err(failed)?;
    Ok(BufReader::new(file.take(length.map_err(failed)?)))
}

/// The hash that a line ought to have.
fn hash(line: &Line) -> String {
    let unhashed = Line { hash: String::new(), ..line.clone() };
    hexadecimal(&Sha256::digest(serde_json::to_vec(&unhashed).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
