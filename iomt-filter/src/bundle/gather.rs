//! What goes into a bundle: the files that the configuration names, or their last good copies.
//!
//! A configuration comes in; open files with their size and hash go out, so that what is written later is what was
//! hashed.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{BundleError, Content, LARGEST_BUNDLE, Member, hexadecimal, incoming};
use crate::config::Config;
use crate::feeds::fetch::Origin;
use crate::intent::copies::Kind;

/// A file that goes into a bundle.
#[derive(Debug)]
pub struct Source {
    /// What the manifest says of it.
    pub member: Member,
    /// Where it was found.
    pub path: PathBuf,
    pub(super) file: File,
}

/// All of them, and what could not be had.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The files, in the order of the bundle.
    pub sources: Vec<Source>,
    /// What the configuration names and is left out, and why.
    pub left_out: Vec<String>,
}

/// Opens what `config` names: the policy must be there. Of a feed that comes from a server or a folder, and of one
/// whose file is gone, the last good list that the agent has is taken, as it is kept.
///
/// # Errors
/// When a file cannot be read, or does not fit.
pub fn gather(config: &Config) -> Result<Gathered, BundleError> {
    let mut gathered = Gathered::default();
    gathered.sources.push(Source::open(Content::Policy, &config.paths.policy)?);
    if let Some(path) = &config.geo.database {
        gathered.add(Content::Countries, std::slice::from_ref(path))?;
    }
    for feed in config.feeds.iter().filter(|feed| feed.enabled) {
        let state = &config.paths.state;
        let copies = [state.join(Kind::List.of(&feed.name)), incoming(state, &feed.name)];
        let own = match &feed.source.origin {
            Origin::Path(path) if !path.is_dir() => Some(path.clone()),
            Origin::Path(_) | Origin::Server(_) => None,
        };
        let places: Vec<_> = own.into_iter().chain(copies).collect();
        gathered.add(Content::Feed(feed.name.clone()), &places)?;
    }
    let size: u64 = gathered.sources.iter().map(|source| source.member.size).sum();
    if size > LARGEST_BUNDLE {
        let path = PathBuf::from("all of it");
        return Err(BundleError::TooLarge { path, size, most: LARGEST_BUNDLE });
    }
    Ok(gathered)
}

impl Gathered {
    /// Adds the first of `places` that is there.
    fn add(&mut self, content: Content, places: &[PathBuf]) -> Result<(), BundleError> {
        for place in places {
            match Source::open(content.clone(), place) {
                Ok(source) => {
                    self.sources.push(source);
                    return Ok(());
                }
                Err(BundleError::Read(_, error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let places: Vec<_> = places.iter().map(|place| format!("`{}`", place.display())).collect();
        self.left_out.push(format!("{content}: there is none of {}", places.join(", ")));
        Ok(())
    }
}

impl Source {
    fn open(content: Content, path: &Path) -> Result<Self, BundleError> {
        let failed = |error| BundleError::Read(path.to_owned(), error);
        let mut file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        let most = content.largest();
        let mut hash = Sha256::new();
        let size = io::copy(&mut (&mut file).take(most + 1), &mut Hashing(&mut hash)).map_err(failed)?;
        if size > most {
            return Err(BundleError::TooLarge { path: path.to_owned(), size: about.len().max(size), most });
        }
        file.rewind().map_err(failed)?;
        let updated = about.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        let member = Member { content, size, sha256: hexadecimal(&hash.finalize()), updated };
        Ok(Self { member, path: path.to_owned(), file })
    }
}

/// Hashes what is written into it.
struct Hashing<'h>(&'h mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
