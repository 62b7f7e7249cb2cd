//! The audit log: who changed what, and why, in a file that is only ever added to.
//!
//! A line is a JSON object that holds the hash of the line before it and its own, so that a line that was changed,
//! taken out or put in between shows. Entries come in, lines go to the disk before a change is answered; nothing here
//! decides what is worth an entry. Payloads of frames never come here.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
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

/// The file of the log, in the state folder.
pub const FILE: &str = "audit.log";
/// The hash that the first line follows on.
const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// How much of the end is read to find the last line, at first; and the most, which is far more than a line can have
/// that is written here.
const TAIL: u64 = 64 << 10;
const LONGEST: u64 = 32 << 20;
/// The longest text of an entry, and the longest value as JSON, in bytes.
const LONGEST_TEXT: usize = 4 << 10;
const LONGEST_VALUE: usize = 64 << 10;
/// How long one waits for another that adds a line.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// What a look at the whole log found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line} of the audit log {fault}")]
pub struct Broken {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub fault: &'static str,
}

/// An open log. Others may have it open too, in other processes: each adds to what is there.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    file: File,
}

/// What there is to follow on.
struct End {
    sequence: u64,
    hash: String,
    /// Where the last whole line ends.
    at: u64,
    /// Bytes of an unfinished line behind it.
    torn: u64,
}

/// Held while the end of the log is looked at and added to.
struct Held<'f>(&'f File);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // It ends with the process at the latest.
        let _ = self.0.unlock();
    }
}

impl Audit {
    /// Opens the log at `path`, or begins one. What a power cut left of a line is taken off, and said in a line.
    ///
    /// # Errors
    /// When the file cannot be read or written, or its last line is none.
    pub fn open(path: &Path, now: Timestamp) -> Result<Self, AuditError> {
        let failed = |error| AuditError::File(path.to_owned(), error);
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o640);
        // The agent adds to it too, and may be another user.
        let folder = path.parent().unwrap_or(Path::new(""));
        let file = as_owner_of(folder, || options.open(path)).map_err(failed)?;
        let audit = Self { path: path.to_owned(), file };
        let held = audit.hold()?;
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
        self.append_all([entry], now)
    }

    /// Adds entries, all or none.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_all(
        &mut self,
        entries: impl IntoIterator<Item = Entry>,
        now: Timestamp,
    ) -> Result<(), AuditError> {
        let _held = self.hold()?;
        let end = self.mended(now)?;
        self.write(&end, entries.into_iter().map(bounded), now).map(drop)
    }

    /// Keeps others from adding to the log.
    fn hold(&self) -> Result<Held<'_>, AuditError> {
        let begun = Instant::now();
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(Held(&self.file)),
                Err(TryLockError::Error(error)) => return Err(self.failed(error)),
                Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                    return Err(AuditError::Busy(self.path.clone()));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// The end of the log, after what is unfinished there has been taken off.
    fn mended(&self, now: Timestamp) -> Result<End, AuditError> {
        let end = self.end()?;
        if end.torn == 0 {
            return Ok(end);
        }
        self.file.set_len(end.at).map_err(|error| self.failed(error))?;
        let after = Value::from(format!("{} bytes of an unfinished line were taken off", end.torn));
        let mend = Entry { who: "the agent".into(), what: "audit mend".into(), after, ..Entry::default() };
        self.write(&end, [mend], now)
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
            let (sequence, hash) = match line.map(serde_json::from_slice::<Line>) {
                Some(Ok(line)) => (line.sequence, line.hash),
                Some(Err(_)) => return Err(AuditError::Damaged(self.path.clone())),
                None => (0, BEGINNING.to_owned()),
            };
            return Ok(End { sequence, hash, at: length - torn, torn });
        }
    }

    /// Adds a line for each entry behind `end`, and says where the log ends then.
    fn write(
        &self,
        end: &End,
        entries: impl IntoIterator<Item = Entry>,
        now: Timestamp,
    ) -> Result<End, AuditError> {
        let (mut sequence, mut last, mut text) = (end.sequence, end.hash.clone(), Vec::new());
        for entry in entries {
            sequence += 1;
            let mut line = Line { sequence, time: now, entry, previous: last, hash: String::new() };
            line.hash = hash(&line);
            serde_json::to_writer(&mut text, &line).map_err(|error| self.failed(error.into()))?;
            text.push(b'\n');
            last = line.hash;
        }
        if let Err(error) = (&self.file).write_all(&text).and_then(|()| self.file.sync_data()) {
            // Half a line would be in the way of the next one.
            let _ = self.file.set_len(end.at);
            return Err(self.failed(error));
        }
        Ok(End { sequence, hash: last, at: end.at + text.len() as u64, torn: 0 })
    }

    fn failed(&self, error: io::Error) -> AuditError {
        AuditError::File(self.path.clone(), error)
    }
}

/// An entry with no text longer than [`LONGEST_TEXT`], and no value longer than [`LONGEST_VALUE`].
fn bounded(entry: Entry) -> Entry {
    let Entry { who, uid, what, about, before, after, note } = entry;
    Entry {
        who: cut(who),
        uid,
        what: cut(what),
        about: about.map(cut),
        before: bounded_value(before),
        after: bounded_value(after),
        note: note.map(cut),
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

/// Looks whether every line follows on the one before it; how many there are, and the hash of the last. Somebody who
/// kept that hash elsewhere notices a log that was cut off, too.
///
/// # Errors
/// The first line that does not follow.
pub fn verify(log: impl BufRead) -> Result<(u64, String), Broken> {
    let (mut sequence, mut previous) = (0, BEGINNING.to_owned());
    for text in log.split(b'\n') {
        let broken = |fault| Broken { line: sequence + 1, fault };
        let text = text.map_err(|_| broken("cannot be read"))?;
        let line: Line = serde_json::from_slice(&text).map_err(|_| broken("is no entry"))?;
        if line.previous != previous || line.sequence != sequence + 1 {
            return Err(broken("does not follow on the line before it"));
        }
        // A field that was added is in no hash.
        if line.hash != hash(&line) || serde_json::to_vec(&line).ok() != Some(text) {
            return Err(broken("was changed"));
        }
        (sequence, previous) = (line.sequence, line.hash);
    }
    Ok((sequence, previous))
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
mod tests {
    use super::*;

    fn entry(about: &str) -> Entry {
        Entry {
            who: "root".into(),
            what: "feed release".into(),
            about: Some(about.into()),
            ..Entry::default()
        }
    }

    fn log(entries: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        for about in entries {
            // Opened anew each time, as by another agent.
            Audit::open(&path, Timestamp::UNIX_EPOCH)
                .unwrap()
                .append(entry(about), Timestamp::UNIX_EPOCH)
                .unwrap();
        }
        (folder, path)
    }

    fn verified(path: &Path) -> Result<u64, Broken> {
        verify(io::BufReader::new(File::open(path).unwrap())).map(|(lines, _)| lines)
    }

    #[test]
    fn a_log_goes_on_over_restarts_and_is_whole() {
        let (_folder, path) = log(&["a", "b", "c"]);
        assert_eq!(verified(&path), Ok(3));
    }

    #[test]
    fn a_line_that_was_changed_moved_or_taken_out_shows() {
        let (_folder, path) = log(&["a", "b", "c"]);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (lines, line, fault) in [
            (vec![lines[0].replace("\"a\"", "\"x\""), lines[1].into()], 1, "was changed"),
            (vec![lines[0].replacen('{', "{\"approved\":true,", 1), lines[1].into()], 1, "was changed"),
            (vec![lines[0].into(), lines[2].into()], 2, "does not follow on the line before it"),
            (vec![lines[1].into(), lines[0].into()], 1, "does not follow on the line before it"),
            (vec![lines[0].into(), String::new(), lines[1].into()], 2, "is no entry"),
        ] {
            std::fs::write(&path, lines.join("\n") + "\n").unwrap();
            assert_eq!(verified(&path), Err(Broken { line, fault }));
        }
    }

    #[test]
    fn what_a_power_cut_left_of_a_line_is_taken_off_and_said() {
        let (_folder, path) = log(&["a", "b"]);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();
        let mut audit = Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap();
        audit.append(entry("c"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(verified(&path), Ok(3));
        assert!(
            std::fs::read_to_string(&path).unwrap().contains("bytes of an unfinished line were taken off")
        );
    }

    #[test]
    fn two_who_add_to_one_log_follow_on_each_other() {
        let (_folder, path) = log(&[]);
        let open = || Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap();
        let (mut one, mut other) = (open(), open());
        for about in ["a", "b", "c"] {
            one.append(entry(about), Timestamp::UNIX_EPOCH).unwrap();
            other.append(entry(about), Timestamp::UNIX_EPOCH).unwrap();
        }
        assert_eq!(verified(&path), Ok(6));
        // At once, and with half a line of a third that was cut off.
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"sequ").unwrap();
        thread::scope(|scope| {
            for audit in [&mut one, &mut other] {
                scope.spawn(|| {
                    for _ in 0..50 {
                        audit.append(entry("d"), Timestamp::UNIX_EPOCH).unwrap();
                    }
                });
            }
        });
        assert_eq!(verified(&path), Ok(6 + 1 + 100));
        assert_eq!(verify(read(&path).unwrap()).unwrap().0, 107);
    }

    #[test]
    fn texts_are_cut_and_say_so_and_whatever_was_written_is_followed_on() {
        let (_folder, path) = log(&["a"]);
        let long = "ü\u{1}".repeat(1 << 20);
        let value = serde_json::json!({ "text": long, "many": vec!["\u{1}"; 1 << 20], "deep": [[long]] });
        let huge = Entry {
            who: long.clone(),
            uid: None,
            what: long.clone(),
            about: Some(long.clone()),
            before: value.clone(),
            after: serde_json::json!({ "errors": [long], "entries": 7 }),
            note: Some(long.clone()),
        };
        Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap().append(huge, Timestamp::UNIX_EPOCH).unwrap();
        Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap().append(entry("b"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(verified(&path), Ok(3));
        let text = std::fs::read_to_string(&path).unwrap();
        let line = text.lines().nth(1).unwrap();
        assert!(line.len() < 1 << 20, "{}", line.len());
        let line: Line = serde_json::from_str(line).unwrap();
        let end = format!("… (cut, it has {} bytes)", long.len());
        assert!(line.entry.note.unwrap().ends_with(&end) && line.entry.who.ends_with(&end));
        assert_eq!(line.entry.after["entries"], 7);
        assert!(line.entry.after["errors"][0].as_str().unwrap().ends_with(&end));
        assert!(line.entry.before.as_str().unwrap().contains("… (cut, it has "));
    }

    #[test]
    fn a_line_that_is_longer_than_any_that_is_written_now_is_followed_on() {
        let (_folder, path) = log(&["a"]);
        let audit = Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap();
        let long = Entry { note: Some("x".repeat(3 << 20)), ..entry("b") };
        audit.write(&audit.end().unwrap(), [long], Timestamp::UNIX_EPOCH).unwrap();
        Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap().append(entry("c"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(verified(&path), Ok(3));
    }

    #[test]
    fn several_entries_are_lines_that_follow_on_each_other_and_lines_without_a_user_number_stay_good() {
        let (_folder, path) = log(&["a"]);
        let by = |uid| Author { name: "bob".into(), uid };
        let entries = [Entry::by(&by(Some(1_001)), "grant"), Entry::by(&by(None), "reload")];
        let mut audit = Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap();
        audit.append_all(entries.clone(), Timestamp::UNIX_EPOCH).unwrap();
        audit.append_all([], Timestamp::UNIX_EPOCH).unwrap();
        audit.append(entries[0].failed(&["full".into()]), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(verified(&path), Ok(4));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines[1].entry.uid, lines[2].entry.uid), (Some(1_001), None));
        assert!(!text.lines().next().unwrap().contains("uid"), "as it always was");
        assert_eq!(
            (lines[3].entry.what.as_str(), &lines[3].entry.after[0]),
            ("grant failed", &"full".into())
        );
    }

    #[test]
    fn one_that_another_keeps_to_itself_is_not_waited_for_without_end() {
        let (_folder, path) = log(&["a"]);
        let mut audit = Audit::open(&path, Timestamp::UNIX_EPOCH).unwrap();
        let other = File::open(&path).unwrap();
        other.lock_shared().unwrap();
        let refused = audit.append(entry("b"), Timestamp::UNIX_EPOCH);
        assert!(matches!(refused, Err(AuditError::Busy(_))), "{refused:?}");
        drop(other);
        audit.append(entry("b"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(verified(&path), Ok(2));
    }

    #[test]
    fn a_log_with_another_end_is_not_written_over() {
        let (_folder, path) = log(&["a"]);
        std::fs::write(&path, "nonsense\n").unwrap();
        assert!(matches!(Audit::open(&path, Timestamp::UNIX_EPOCH), Err(AuditError::Damaged(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "nonsense\n");
    }
}
