//! Puts what a bundle holds where the configuration says: all of it, or nothing.
//!
//! Everything is written beside the files that it is to replace, checked and synced, before the first of them is
//! replaced. Where a replacement fails, those before it are taken back. A crash between two of them leaves some files
//! old and some new, each of them whole, and the version of the bundle unnoted: applying it again puts that right.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};
use tar::Archive;

use super::{BundleError, Content, Manifest, Opened, Trusted, incoming};
use crate::agent::store;
use crate::config::Config;
use crate::privileges::as_owner_of;

/// What is kept of the last bundle, in the state folder.
const APPLIED: &str = "bundle.json";
const LOCK: &str = "bundle.lock";

/// The last bundle that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Its version.
    pub version: u64,
    /// When it was made.
    pub created: Timestamp,
    /// On which host.
    pub host: String,
    /// What its maker says of it.
    pub note: Option<String>,
    /// When it was applied.
    pub applied: Timestamp,
}

/// Where members go.
#[derive(Clone, Debug)]
pub struct Places {
    state: PathBuf,
    policy: PathBuf,
    countries: Option<PathBuf>,
    feeds: BTreeSet<String>,
}

/// A bundle whose members lie beside what they are to replace.
#[derive(Debug)]
pub struct Prepared {
    /// What it holds.
    pub manifest: Manifest,
    /// What of it has no place here, and why.
    pub left_out: Vec<String>,
    state: PathBuf,
    files: Vec<Replacement>,
    _lock: Flock<File>,
}

#[derive(Debug)]
struct Replacement {
    content: Content,
    path: PathBuf,
    /// As whose owner it is replaced: that of the path that was configured, wherever a link in its place leads. For
    /// what the state folder holds that is the state folder: who owns it can put anything in place of what is below.
    folder: PathBuf,
}

impl Places {
    /// Those of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            state: config.paths.state.clone(),
            policy: config.paths.policy.clone(),
            countries: config.geo.database.clone(),
            feeds: config.feeds.iter().map(|feed| feed.name.clone()).collect(),
        }
    }

    /// Where `content` goes, and the folder in which that is said; why nowhere.
    fn of_content(&self, content: &Content) -> Result<(PathBuf, PathBuf), String> {
        let path = match content {
            Content::Policy => self.policy.clone(),
            Content::Countries => match &self.countries {
                Some(path) => path.clone(),
                None => return Err("no `database` is configured in `[geo]`".to_owned()),
            },
            Content::Feed(name) if self.feeds.contains(name) => incoming(&self.state, name),
            Content::Feed(_) => return Err("no feed with this name is configured".to_owned()),
        };
        let folder = match content {
            Content::Feed(_) => self.state.clone(),
            Content::Policy | Content::Countries => path.parent().unwrap_or(Path::new("")).to_owned(),
        };
        // What a link leads to is replaced, and not the link.
        Ok((fs::canonicalize(&path).unwrap_or(path), folder))
    }
}

/// The last bundle that was applied, where one was.
///
/// # Errors
/// When what is kept of it cannot be read.
pub fn applied(state: &Path) -> Result<Option<Placement>, BundleError> {
    Ok(store::load(state, APPLIED)?)
}

/// Reads the bundle at `bundle`, and writes its members beside what they are to replace. Nothing is replaced yet.
///
/// # Errors
/// When it is none, not signed with the trusted key, or not newer than the last one, and when there is no room.
pub fn prepare(bundle: &Path, trusted: &Trusted, places: &Places) -> Result<Prepared, BundleError> {
    let lock = lock(&places.state)?;
    let file = File::open(bundle).map_err(|error| BundleError::Read(bundle.to_owned(), error))?;
    let mut archive = Archive::new(file);
    let opened = Opened::open(&mut archive, trusted)?;
    if let Some(last) = applied(&places.state)?
        && opened.manifest.version <= last.version
    {
        return Err(BundleError::Old { found: opened.manifest.version, applied: last.version });
    }
    let mut prepared = Prepared {
        manifest: opened.manifest.clone(),
        left_out: Vec::new(),
        state: places.state.clone(),
        files: Vec::new(),
        _lock: lock,
    };
    let (files, left_out) = (&mut prepared.files, &mut prepared.left_out);
    opened.members(
        |_, member| -> Result<Box<dyn Write>, BundleError> {
            match places.of_content(&member.content) {
                Ok((path, folder)) => {
                    let file = as_owner_of(&folder, || create(&path))?;
                    files.push(Replacement { content: member.content.clone(), path, folder });
                    Ok(Box::new(file))
                }
                Err(why) => {
                    left_out.push(format!("{}: {why}", member.content));
                    Ok(Box::new(io::sink()))
                }
            }
        },
        |_, error| BundleError::Write(places.state.clone(), error),
    )?;
    for file in &prepared.files {
        let updated = prepared.manifest.members.iter().find(|member| member.content == file.content);
        file.finish(updated.and_then(|member| member.updated))?;
    }
    Ok(prepared)
}

impl Prepared {
    /// Where the new file of `content` lies until it is placed.
    #[must_use]
    pub fn beside(&self, content: &Content) -> Option<PathBuf> {
        self.files.iter().find(|file| file.content == *content).map(Replacement::beside)
    }

    /// What will be placed.
    pub fn contents(&self) -> impl Iterator<Item = &Content> {
        self.files.iter().map(|file| &file.content)
    }

    /// Replaces the files, and notes the version of the bundle last.
    ///
    /// # Errors
    /// When a file cannot be replaced: then every file is as it was.
    pub fn place(self, now: Timestamp) -> Result<Placement, BundleError> {
        let Manifest { version, created, host, note, .. } = self.manifest.clone();
        let placement = Placement { version, created, host, note, applied: now };
        let mut done = Vec::new();
        let placed =
            self.replace(&mut done).and_then(|()| Ok(store::save(&self.state, APPLIED, &placement)?));
        for (file, had_one) in done.into_iter().rev() {
            let taken_back = match (&placed, had_one) {
                (Ok(()), _) => continue,
                (Err(_), true) => as_owner_of(&file.folder, || fs::rename(file.old(), &file.path)),
                (Err(_), false) => as_owner_of(&file.folder, || fs::remove_file(&file.path)),
            };
            if let Err(error) = taken_back {
                tracing::error!(%error, path = %file.path.display(), "a file of the bundle could not be taken back");
            }
        }
        placed.map(|()| placement)
    }

    fn replace<'p>(&'p self, done: &mut Vec<(&'p Replacement, bool)>) -> Result<(), BundleError> {
        for file in &self.files {
            let failed = |error| BundleError::Write(file.path.clone(), error);
            let replaced = as_owner_of(&file.folder, || {
                let had_one = file.keep()?;
                fs::rename(file.beside(), &file.path).map(|()| had_one)
            });
            done.push((file, replaced.map_err(failed)?));
        }
        let folders: BTreeSet<_> = self.files.iter().filter_map(|file| file.path.parent()).collect();
        folders.into_iter().try_for_each(|folder| {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|error| BundleError::Write(folder.to_owned(), error))
        })
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        for file in &self.files {
            // What was placed is there no more, and what was not is of no use.
            as_owner_of(&file.folder, || {
                let _ = fs::remove_file(file.beside());
                let _ = fs::remove_file(file.old());
            });
        }
    }
}

impl Replacement {
    fn beside(&self) -> PathBuf {
        with(&self.path, ".bundle-new")
    }

    fn old(&self) -> PathBuf {
        with(&self.path, ".bundle-old")
    }

    /// Makes what was written last a power cut, with owner, rights and time as they should be.
    fn finish(&self, updated: Option<Timestamp>) -> Result<(), BundleError> {
        let finish = || {
            let new = self.beside();
            let file = File::options().append(true).open(&new)?;
            if let Ok(before) = fs::metadata(&self.path) {
                let about = file.metadata()?;
                // In a folder of somebody else's it is theirs by now.
                let is_own = about.uid() == Uid::effective().as_raw();
                if is_own && (before.uid(), before.gid()) != (about.uid(), about.gid()) {
                    chown(&new, Some(before.uid()), Some(before.gid()))?;
                }
                file.set_permissions(before.permissions())?;
            }
            if let Some(updated) = updated.and_then(|updated| SystemTime::try_from(updated).ok()) {
                file.set_modified(updated)?;
            }
            file.sync_all()
        };
        as_owner_of(&self.folder, finish).map_err(|error| BundleError::Write(self.beside(), error))
    }

    /// Keeps the file that is there, so that it can be taken back; whether there is one.
    fn keep(&self) -> io::Result<bool> {
        let old = self.old();
        match fs::remove_file(&old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Not every file system knows links.
        match fs::hard_link(&self.path, &old).or_else(|_| fs::copy(&self.path, &old).map(drop)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Makes the state folder as the agent does, where none has run yet.
///
/// # Errors
/// When it cannot be made.
pub fn prepare_state(state: &Path) -> Result<(), BundleError> {
    let made = as_owner_of(state, || fs::DirBuilder::new().recursive(true).mode(0o750).create(state));
    made.map_err(|error| BundleError::Write(state.to_owned(), error))
}

fn create(path: &Path) -> Result<File, BundleError> {
    let new = with(path, ".bundle-new");
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    // One that a crash has left may be a link to anywhere.
    let _ = fs::remove_file(&new);
    made.and_then(|()| File::create_new(&new)).map_err(|error| BundleError::Write(new, error))
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

fn lock(state: &Path) -> Result<Flock<File>, BundleError> {
    prepare_state(state)?;
    let path = state.join(LOCK);
    let file = as_owner_of(state, || File::options().create(true).append(true).open(&path));
    let file = file.map_err(|error| BundleError::Write(path.clone(), error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        Errno::EWOULDBLOCK => BundleError::Busy,
        error => BundleError::Write(path, error.into()),
    })
}
