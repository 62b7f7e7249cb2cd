//! How files are replaced and removed so that a power cut leaves the one or the other, one step at a time.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
#[cfg(test)]
use std::sync::{Arc, atomic::AtomicU32, atomic::Ordering};

/// The disk. In tests it fails for good after so many steps, as if the power were cut.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub(super) steps: Option<Arc<AtomicU32>>,
}

impl Disk {
    /// Puts a file in the place of another one, whole or not at all.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let beside = path.with_added_extension("new");
        let (first, second) = bytes.split_at(bytes.len() / 2);
        self.step()?;
        let mut file = File::create(&beside)?;
        let written = self.step().and_then(|()| file.write_all(first));
        let written = written.and_then(|()| self.step()).and_then(|()| file.write_all(second));
        let written = written.and_then(|()| self.step()).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| self.step()).and_then(|()| fs::rename(&beside, path)) {
            self.undo(&beside);
            return Err(error);
        }
        self.step()?;
        sync_folder(path)
    }

    /// Removes a file, where there is one.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What is left half written is written over by the next one: without power nothing can be done about it.
    fn undo(&self, beside: &Path) {
        if self.step().is_ok() {
            let _ = fs::remove_file(beside);
        }
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests cut the power here")]
    const fn step(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn step(&self) -> io::Result<()> {
        let Some(steps) = &self.steps else { return Ok(()) };
        match steps.load(Ordering::Relaxed).checked_sub(1) {
            Some(left) => {
                steps.store(left, Ordering::Relaxed);
                Ok(())
            }
            None => Err(io::Error::other("the power is cut")),
        }
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("")))?.sync_all()
}
