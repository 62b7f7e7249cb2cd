//! The audit log: who changed what, and why, in a file that is only ever added to.
//!
//! A line is a JSON object that holds the hash of the line before it and its own, so that a line that was changed,
//! taken out or put in between shows. Entries come in, lines go to the disk before a change is answered; nothing here
//! decides what is worth an entry. Payloads of frames never come here.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// The file of the log, in the state folder.
pub const FILE: &str = "audit.log";
/// The hash that the first line follows on.
const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The longest line that is read back.
const LONGEST: u64 = 1 << 20;

/// What somebody did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Who, as the socket knows them.
    pub who: String,
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

/// An open log.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    file: File,
    sequence: u64,
    hash: String,
    /// Where the last whole line ends.
    end: u64,
}

impl Audit {
    /// Opens the log at `path`, or begins one. What a power cut left of a line is taken off, and said in a line.
    ///
    /// # Errors
    /// When the file cannot be read or written, or its last line is none.
    pub fn open(path: &Path, now: Timestamp) -> Result<Self, AuditError> {
        let failed = |error| AuditError::File(path.to_owned(), error);
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let begin = length.saturating_sub(LONGEST);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(begin)).and_then(|_| file.read_to_end(&mut tail)).map_err(failed)?;
        let whole = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let torn = tail.len() - whole;
        let last =
            tail.get(..whole.saturating_sub(1)).and_then(|lines| lines.rsplit(|&byte| byte == b'\n').next());
        let last = match last {
            Some(line) if whole > 0 => {
                let line: Option<Line> = serde_json::from_slice(line).ok();
                Some(line.ok_or_else(|| AuditError::Damaged(path.to_owned()))?)
            }
            _ if begin > 0 => return Err(AuditError::Damaged(path.to_owned())),
            _ => None,
        };
        let (sequence, hash) = last.map_or((0, BEGINNING.to_owned()), |line| (line.sequence, line.hash));
        let mut audit = Self { path: path.to_owned(), file, sequence, hash, end: length - torn as u64 };
        if torn > 0 {
            audit.file.set_len(audit.end).map_err(failed)?;
            let after = Value::from(format!("{torn} bytes of an unfinished line were taken off"));
            audit.append(
                Entry { who: "the agent".into(), what: "audit mend".into(), after, ..Entry::default() },
                now,
            )?;
        }
        Ok(audit)
    }

    /// Adds an entry; it is on the disk when this comes back.
    ///
    /// # Errors
    /// When it cannot be written: then nothing of it is there.
    pub fn append(&mut self, entry: Entry, now: Timestamp) -> Result<(), AuditError> {
        let mut line = Line {
            sequence: self.sequence + 1,
            time: now,
            entry,
            previous: self.hash.clone(),
            hash: String::new(),
        };
        line.hash = hash(&line);
        let failed = |error| AuditError::File(self.path.clone(), error);
        let mut text = serde_json::to_vec(&line).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        if let Err(error) = self.file.write_all(&text).and_then(|()| self.file.sync_data()) {
            // Half a line would be in the way of the next one.
            let _ = self.file.set_len(self.end);
            return Err(failed(error));
        }
        self.end += text.len() as u64;
        (self.sequence, self.hash) = (line.sequence, line.hash);
        Ok(())
    }
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
        if line.hash != hash(&line) {
            return Err(broken("was changed"));
        }
        (sequence, previous) = (line.sequence, line.hash);
    }
    Ok((sequence, previous))
}

/// The hash that a line ought to have.
fn hash(line: &Line) -> String {
    let unhashed = Line { hash: String::new(), ..line.clone() };
    let text = serde_json::to_vec(&unhashed).unwrap_or_default();
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(&text) {
        hex.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        hex.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    hex
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
    fn a_log_with_another_end_is_not_written_over() {
        let (_folder, path) = log(&["a"]);
        std::fs::write(&path, "nonsense\n").unwrap();
        assert!(matches!(Audit::open(&path, Timestamp::UNIX_EPOCH), Err(AuditError::Damaged(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "nonsense\n");
    }
}
