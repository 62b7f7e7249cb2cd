//! Files and folders as sources, and the small files that a fetch needs. Only regular files are read: a pipe or a
//! device would never end.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::body::{self, Coding};
use super::{FetchError, Fetched, Part, Resume, Source, signature};
use crate::hex::hexadecimal;

/// The most files that are read of a folder.
const MAX_FILES: usize = 1_000;

const FEED: &str = "the feed";

/// A file that was read.
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) modified: Option<SystemTime>,
}

/// Reads a file, or all files of a folder.
pub(super) fn fetch(source: &Source, path: &Path, resume: &Resume) -> Result<Fetched, FetchError> {
    let metadata = fs::metadata(path).map_err(|error| FetchError::file(FEED, path, error))?;
    let files = if metadata.is_dir() { files(path)? } else { vec![path.to_owned()] };
    let mut left = source.max_bytes;
    let too_large =
        |path: &Path| FetchError::TooLarge { place: path.display().to_string(), max_bytes: source.max_bytes };
    let (mut parts, mut modified, mut hash) = (Vec::new(), None, Sha256::new());
    for file in files {
        let name = file.display().to_string();
        let content = read(&file, left, FEED)
            .map_err(|error| if let FetchError::TooLarge { .. } = error { too_large(path) } else { error })?;
        if let Some(signature) = &source.signature {
            signature::check_file(signature, &file, &content.bytes, metadata.is_dir())?;
        }
        let bytes = body::unpack(content.bytes, left, &name)
            .map_err(|error| if let FetchError::TooLarge { .. } = error { too_large(path) } else { error })?;
        left = left.saturating_sub(bytes.len() as u64);
        modified = modified.max(content.modified);
        for piece in [name.as_bytes(), &bytes] {
            hash.update((piece.len() as u64).to_le_bytes());
            hash.update(piece);
        }
        parts.push(Part { name, bytes });
    }
    let digest = Some(hexadecimal(&hash.finalize()));
    let is_unchanged = digest == resume.digest;
    let resume = Resume { source: resume.source.clone(), digest, ..Resume::default() };
    if is_unchanged {
        return Ok(Fetched::Unchanged { resume });
    }
    let modified = modified.and_then(|time| Timestamp::try_from(time).ok());
    Ok(Fetched::New { parts, resume, modified })
}

/// Reads a regular file of at most `max_bytes`.
pub(super) fn read(path: &Path, max_bytes: u64, what: &'static str) -> Result<Content, FetchError> {
    let failed = |error: std::io::Error| FetchError::file(what, path, error);
    // To open a pipe waits for its other end, unless it is told not to.
    let file: File =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(FetchError::file(what, path, "it is no file; give the path of one"));
    }
    let bytes = body::read(&file, Coding::Plain, max_bytes, &path.display().to_string(), failed)?;
    Ok(Content { bytes, modified: metadata.modified().ok() })
}

/// The files of a folder that are read, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, FetchError> {
    let failed = |error: std::io::Error| FetchError::file(FEED, folder, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || name.ends_with(signature::EXTENSION) {
            continue;
        }
        // A link counts as what it leads to, and one that leads nowhere is an error and not silence.
        if fs::metadata(entry.path()).map_err(|error| FetchError::file(FEED, &entry.path(), error))?.is_file()
        {
            files.push(entry.path());
        }
        if files.len() > MAX_FILES {
            let reason = format!("there are more than {MAX_FILES} files in it; put lists together");
            return Err(FetchError::file(FEED, folder, reason));
        }
    }
    if files.is_empty() {
        return Err(FetchError::file(FEED, folder, "there is no file in it; put a list there"));
    }
    files.sort();
    Ok(files)
}
