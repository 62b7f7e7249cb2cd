//! A file, a line for each event. When it is large it is moved aside, to `.1`, and those that were before it to `.2`
//! and so on. One that somebody else has moved is begun anew, as logrotate wants it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::{Outlet, Sent, SinkError};
use crate::config::FileTarget;
use crate::events::{Format, Record};

/// Bytes that are written at once.
const AT_ONCE: u64 = 256 << 10;

pub(super) struct FileOutlet {
    target: FileTarget,
    format: Format,
    open: Option<Open>,
}

struct Open {
    file: File,
    inode: (u64, u64),
    length: u64,
}

impl FileOutlet {
    pub(super) fn new(target: &FileTarget, format: Format) -> Self {
        Self { target: target.clone(), format, open: None }
    }

    fn failed(&self, what: &'static str) -> impl Fn(io::Error) -> SinkError + use<> {
        let path = self.target.path.clone();
        move |error| SinkError::file(what, &path, error)
    }

    /// The open file, the one that has the path now.
    fn ready(&mut self) -> Result<&mut Open, SinkError> {
        let path = &self.target.path;
        let found = fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
        if self.open.as_ref().is_some_and(|open| Some(open.inode) != found) {
            self.open = None;
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
                let file = file.map_err(self.failed("open"))?;
                let found = file.metadata().map_err(self.failed("read"))?;
                if !found.is_file() {
                    let reason = "is no file; give the sink another `path`".to_owned();
                    return Err(SinkError::Content { path: path.clone(), reason });
                }
                Open { file, inode: (found.dev(), found.ino()), length: found.len() }
            }
        };
        Ok(self.open.insert(open))
    }

    /// Writes lines, all or none, behind what there is room for.
    fn write(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        let failed = self.failed("write");
        let open = self.ready()?;
        if let Err(error) = open.file.write_all(lines) {
            // Half of a line would spoil the next.
            let _ = open.file.set_len(open.length);
            self.open = None;
            return Err(failed(error));
        }
        open.length += lines.len() as u64;
        Ok(())
    }

    /// Room in the file, in bytes; one that is full is moved aside first.
    fn room(&mut self) -> Result<u64, SinkError> {
        let largest = self.target.rotate_size;
        if self.ready()?.length >= largest {
            self.rotate()?;
        }
        let length = self.ready()?.length;
        Ok(largest.saturating_sub(length).max(1))
    }

    /// Moves the file aside.
    fn rotate(&mut self) -> Result<(), SinkError> {
        self.open = None;
        let aside = |number: u32| {
            let mut name = self.target.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let keep = self.target.rotate_keep;
        let gone = |done: io::Result<()>| match done {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        let rotated = if keep == 0 {
            fs::remove_file(&self.target.path)
        } else {
            (1..keep)
                .rev()
                .try_for_each(|number| gone(fs::rename(aside(number), aside(number + 1))))
                .and_then(|()| fs::rename(&self.target.path, aside(1)))
        };
        gone(rotated).map_err(self.failed("rotate"))
    }
}

impl Outlet for FileOutlet {
    fn open(&mut self) -> Result<(), SinkError> {
        self.ready().map(drop)
    }

    fn send(&mut self, records: &[Arc<Record>]) -> Sent {
        let mut rest = records;
        while !rest.is_empty() {
            let written = self.room().and_then(|room| {
                let (lines, count) = self.lines(rest, room.min(AT_ONCE));
                self.write(&lines).map(|()| count)
            });
            match written {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) => return (records.len() - rest.len(), Err(error)),
            }
        }
        (records.len(), Ok(()))
    }
}

impl FileOutlet {
    /// The lines of the first events, until `room` is full, and of how many they are.
    fn lines(&self, records: &[Arc<Record>], room: u64) -> (Vec<u8>, usize) {
        let (mut lines, mut count) = (Vec::new(), 0);
        for record in records {
            lines.extend(self.format.line(record).into_bytes());
            lines.push(b'\n');
            count += 1;
            if lines.len() as u64 >= room {
                break;
            }
        }
        (lines, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlet(folder: &tempfile::TempDir, rotate_size: u64, rotate_keep: u32) -> FileOutlet {
        let path = folder.path().join("events.json");
        FileOutlet::new(&FileTarget { path, rotate_size, rotate_keep }, Format::Json)
    }

    fn records(from: u32, count: u32) -> Vec<Arc<Record>> {
        (from..from + count).map(|length| Arc::new(Record { length, ..Record::default() })).collect()
    }

    /// The events of all files, the oldest first.
    fn kept(folder: &tempfile::TempDir) -> Vec<u32> {
        let name = |number: u32| if number == 0 { String::new() } else { format!(".{number}") };
        let read = |number| fs::read_to_string(folder.path().join(format!("events.json{}", name(number))));
        let texts: Vec<_> = (0..10).rev().filter_map(|number| read(number).ok()).collect();
        let line = |line: &str| serde_json::from_str::<Record>(line).unwrap().length;
        texts.concat().lines().map(line).collect()
    }

    #[test]
    fn a_large_file_is_moved_aside_and_no_line_is_lost_or_cut() {
        let folder = tempfile::tempdir().unwrap();
        let mut outlet = outlet(&folder, 4_000, 9);
        for from in (0..50).step_by(10) {
            let (sent, result) = outlet.send(&records(from, 10));
            assert!(sent == 10 && result.is_ok(), "{result:?}");
        }
        assert_eq!(kept(&folder), (0..50).collect::<Vec<_>>());
        for entry in fs::read_dir(folder.path()).unwrap() {
            assert!(entry.unwrap().metadata().unwrap().len() < 5_000);
        }
        outlet.target.rotate_keep = 2;
        assert!(outlet.send(&records(50, 100)).1.is_ok());
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert!(files <= 10 && kept(&folder).ends_with(&[148, 149]), "{files}");
    }

    #[test]
    fn a_file_that_somebody_moves_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut outlet = outlet(&folder, 1 << 20, 1);
        assert_eq!(outlet.send(&records(0, 3)).0, 3);
        let path = folder.path().join("events.json");
        fs::rename(&path, folder.path().join("moved")).unwrap();
        assert_eq!(outlet.send(&records(3, 2)).0, 2);
        assert_eq!(kept(&folder), [3, 4]);
    }

    #[test]
    fn what_cannot_be_written_is_said_with_its_place() {
        let target = FileTarget { path: "/dev/full".into(), rotate_size: 1 << 20, rotate_keep: 1 };
        let (sent, result) = FileOutlet::new(&target, Format::Cef).send(&records(0, 1));
        assert_eq!(
            (sent, result.unwrap_err().to_string().as_str()),
            (0, "`/dev/full` is no file; give the sink another `path`")
        );
        let folder = tempfile::tempdir().unwrap();
        let target = FileTarget { path: folder.path().join("none/x"), ..target };
        let error = FileOutlet::new(&target, Format::Cef).open().unwrap_err().to_string();
        assert!(error.starts_with("failed to open `/") && error.contains("No such file"), "{error}");
    }
}
