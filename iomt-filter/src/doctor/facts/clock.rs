//! The time of day, and whether it can be right.

use std::path::{Path, PathBuf};
use std::{fs, time::SystemTime};

use jiff::Timestamp;

use super::raw;

/// The clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// What it says.
    pub now: Timestamp,
    /// Whether somebody keeps it by another one; nothing where the kernel does not say.
    pub is_kept: Option<bool>,
    /// The file that was last written of those that the filter knows, and when.
    pub newest: Option<(PathBuf, Timestamp)>,
}

impl Clock {
    /// Looks at the clock, and at when these files, and what is in these folders, were written.
    pub(super) fn read(paths: &[&Path]) -> Self {
        let inside = paths.iter().flat_map(fs::read_dir).flatten().flatten().map(|entry| entry.path());
        let all = paths.iter().map(|path| path.to_path_buf()).chain(inside);
        let newest = all.filter_map(|path| Some((written(&path)?, path))).max();
        Self {
            now: Timestamp::now(),
            is_kept: raw::is_clock_kept().ok(),
            newest: newest.map(|(at, path)| (path, at)),
        }
    }
}

fn written(path: &Path) -> Option<Timestamp> {
    let modified: SystemTime = fs::metadata(path).ok()?.modified().ok()?;
    Timestamp::try_from(modified).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_newest_file_is_found_in_folders_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("late");
        let file = fs::File::create(&path).unwrap();
        let late = SystemTime::now() + Duration::from_secs(86_400);
        file.set_modified(late).unwrap();
        let clock = Clock::read(&[folder.path(), Path::new("/nowhere")]);
        assert_eq!(clock.newest, Some((path, Timestamp::try_from(late).unwrap())));
    }
}
