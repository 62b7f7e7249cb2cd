//! The file that somebody with nothing but a console makes, in the state folder: everything is let through.
//!
//! A file comes in and is moved away, how long it lets through goes out, with what was understood of it. It is opened so
//! that nothing that lies there instead, as a pipe, keeps the agent waiting, and no link is followed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::exceptions::LONGEST_BYPASS;
use crate::config::parse_duration;

/// Its name.
const TRIGGER: &str = "bypass";
/// What it is called once it was acted on, and what something else is called that lay there: the last one of each.
const TAKEN: &str = "bypass.taken";
const REFUSED: &str = "bypass.refused";
/// How long it lets through, where it does not say.
const USUAL: Duration = Duration::from_secs(30 * 60);
/// Bytes that are read of it, and characters that are repeated.
const MOST_READ: u64 = 256;
const MOST_SHOWN: usize = 40;

/// Why nothing is let through.
#[derive(Debug, Error)]
pub(super) enum TriggerError {
    /// It cannot be moved, and one that stays would begin anew with every second.
    #[error("`{0}` cannot be moved aside, and is not acted on")]
    Stays(PathBuf, #[source] io::Error),
    /// It is something else.
    #[error("`{0}` is no regular file, and is moved to `{REFUSED}`: `touch` makes one")]
    NoFile(PathBuf),
}

/// What somebody asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trigger {
    pub(super) lasts: Duration,
    /// What it says, and what was made of it.
    pub(super) note: String,
}

/// Takes the file, where there is one.
pub(super) fn take(state: &Path) -> Result<Option<Trigger>, TriggerError> {
    let path = state.join(TRIGGER);
    let Ok(found) = fs::symlink_metadata(&path) else { return Ok(None) };
    let is_file = found.is_file();
    let text = if is_file { read(&path) } else { None };
    let aside = state.join(if is_file { TAKEN } else { REFUSED });
    // What lies there may be a folder, which nothing is moved over.
    let _ = fs::remove_file(&aside).or_else(|_| fs::remove_dir_all(&aside));
    fs::rename(&path, aside).map_err(|error| TriggerError::Stays(path.clone(), error))?;
    if is_file { Ok(Some(understood(&path, text.as_deref()))) } else { Err(TriggerError::NoFile(path)) }
}

/// What the file says; nothing where it cannot be read, which keeps nobody from being let through.
fn read(path: &Path) -> Option<String> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    // It may have been exchanged for something else meanwhile.
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MOST_READ).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn understood(path: &Path, text: Option<&str>) -> Trigger {
    let line = text.map(|text| text.lines().next().unwrap_or_default().trim());
    let shown: String = line.unwrap_or_default().chars().take(MOST_SHOWN).collect();
    let (lasts, said) = match (line, line.map(parse_duration)) {
        (None, _) => (USUAL, "cannot be read: `30m` is meant".to_owned()),
        (Some(""), _) => (USUAL, "says nothing: `30m` is meant".to_owned()),
        (_, Some(Ok(lasts))) if lasts > LONGEST_BYPASS => {
            (LONGEST_BYPASS, format!("says `{shown}`: capped at `7d`, the longest that there is"))
        }
        (_, Some(Ok(lasts))) if lasts.as_secs() > 0 => (lasts, format!("says `{shown}`")),
        _ => (USUAL, format!("says `{}`, which is no duration: `30m` is meant", shown.escape_debug())),
    };
    Trigger { lasts, note: format!("the file `{}` {said}", path.display()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn what_it_says_is_understood_or_said_to_be_not() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        for (text, lasts, said) in [
            ("", USUAL, "says nothing: `30m` is meant"),
            ("\n2h\n", USUAL, "says nothing: `30m` is meant"),
            ("10m\nbecause of x", minutes(10), "says `10m`"),
            (" 2h ", minutes(120), "says `2h`"),
            ("99999d", LONGEST_BYPASS, "says `99999d`: capped at `7d`, the longest that there is"),
            ("0s", USUAL, "says `0s`, which is no duration: `30m` is meant"),
            ("until \u{7}noon", USUAL, "says `until \\u{7}noon`, which is no duration: `30m` is meant"),
        ] {
            let state = tempfile::tempdir().unwrap();
            fs::write(state.path().join(TRIGGER), text).unwrap();
            let taken = take(state.path()).unwrap().unwrap();
            assert_eq!(taken.lasts, lasts, "{text:?}");
            assert!(taken.note.ends_with(said), "{}", taken.note);
            assert!(take(state.path()).unwrap().is_none(), "it is acted on once");
        }
        let long = "x".repeat(1 << 20);
        assert!(understood(Path::new("bypass"), Some(&long)).note.len() < 200);
        assert!(understood(Path::new("bypass"), None).note.ends_with("cannot be read: `30m` is meant"));
    }

    #[test]
    fn the_last_one_alone_is_kept() {
        let state = tempfile::tempdir().unwrap();
        for text in ["10m", "20m", "30m"] {
            fs::write(state.path().join(TRIGGER), text).unwrap();
            take(state.path()).unwrap().unwrap();
        }
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(state.path().join(TAKEN)).unwrap(), "30m");
    }

    #[test]
    fn what_is_no_file_lets_nothing_through_keeps_nobody_waiting_and_is_moved_aside() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(TRIGGER);
        let elsewhere = state.path().join("elsewhere");
        fs::write(&elsewhere, "1h").unwrap();
        for _ in 0..2 {
            mkfifo(&path, Mode::S_IRWXU).unwrap();
            assert!(matches!(take(state.path()), Err(TriggerError::NoFile(_))));
            symlink(&elsewhere, &path).unwrap();
            assert!(matches!(take(state.path()), Err(TriggerError::NoFile(_))));
            fs::create_dir_all(path.join("with/something")).unwrap();
            assert!(matches!(take(state.path()), Err(TriggerError::NoFile(_))));
            assert!(take(state.path()).unwrap().is_none());
        }
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "1h");
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 2);
    }
}
