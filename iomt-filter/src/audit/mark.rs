//! How far the log has come, in a small file beside it: what was cut off its end, or taken away, shows by that.
//!
//! The number and the hash of a line go in behind the line, come out before the next one is written and when the log is
//! looked at. It is never ahead of the log, and where it is behind, the log has what it says. Of fixed length, and
//! written over in place: a full disk has room for it, and no power cut leaves half of it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{BEGINNING, MOST_LINES};
use crate::privileges::as_owner_of;

/// The file, beside the log.
pub(super) const MARK: &str = "audit.last";

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its number; 0 where there was none yet.
    pub sequence: u64,
    /// Its hash.
    pub hash: String,
}

impl Default for Mark {
    fn default() -> Self {
        Self { sequence: 0, hash: BEGINNING.to_owned() }
    }
}

impl Mark {
    /// The one beside a log; nothing where there is none that can be understood.
    #[must_use]
    pub fn beside(log: &Path) -> Option<Self> {
        let mark: Self = serde_json::from_slice(&fs::read(file(log)).ok()?).ok()?;
        (1..MOST_LINES).contains(&mark.sequence).then_some(mark)
    }

    /// The one of two that is of a later line.
    pub(super) fn later(self, other: Option<Self>) -> Self {
        other.filter(|other| other.sequence > self.sequence).unwrap_or(self)
    }

    /// Puts it beside a log.
    pub(super) fn put(&self, log: &Path) -> io::Result<()> {
        let Self { sequence, hash } = self;
        let text = format!("{{\"sequence\":{sequence:>20},\"hash\":\"{hash}\"}}\n");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o640);
        let path = file(log);
        let open = || options.open(&path);
        let file: File = as_owner_of(path.parent().unwrap_or(Path::new("")), open)?;
        if file.metadata()?.len() > text.len() as u64 {
            file.set_len(0)?;
        }
        file.write_all_at(text.as_bytes(), 0)
    }
}

const _: () = assert!(BEGINNING.len() == 64, "as long as a hash");

fn file(log: &Path) -> PathBuf {
    log.with_file_name(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_what_is_none_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join(super::super::FILE);
        assert_eq!(Mark::beside(&log), None);
        for sequence in [1, MOST_LINES - 1, 7] {
            let mark = Mark { sequence, hash: "a".repeat(64) };
            mark.put(&log).unwrap();
            assert_eq!(Mark::beside(&log), Some(mark));
        }
        Mark { sequence: u64::MAX, hash: "a".repeat(64) }.put(&log).unwrap();
        assert_eq!(Mark::beside(&log), None, "no line has that number");
        let length = fs::metadata(folder.path().join(MARK)).unwrap().len();
        for nonsense in ["", "nonsense", &"x".repeat(length as usize * 2)] {
            fs::write(folder.path().join(MARK), nonsense).unwrap();
            assert_eq!(Mark::beside(&log), None);
            let mark = Mark { sequence: 3, hash: "b".repeat(64) };
            mark.put(&log).unwrap();
            assert_eq!(Mark::beside(&log), Some(mark), "written over `{nonsense}`");
        }
    }
}
