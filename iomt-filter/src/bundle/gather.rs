//! What goes into a bundle: the files that the configuration names, or their last good copies.
//!
//! A configuration comes in; what is to be read goes out, with its size and hash, so that what is written later is
//! what was hashed. A feed of files goes in as its parser would see it: unpacked, and a folder as one list.

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{BundleError, Content, LARGEST_BUNDLE, Member, incoming};
use crate::config::{Config, Feed};
use crate::feeds::fetch::{self, FetchError, Fetched, Origin, Part, Resume};
use crate::feeds::formats::{self, Reading};
use crate::hex::hexadecimal;
use crate::intent::copies::Kind;

/// A file that goes into a bundle.
#[derive(Debug)]
pub struct Source {
    /// What the manifest says of it.
    pub member: Member,
    /// Where it was found.
    pub path: PathBuf,
    from: Kept,
}

/// What the content of a source is read of.
#[derive(Debug)]
enum Kept {
    /// As it is.
    File(File),
    /// As a fetch of it comes out. It is fetched again when it is written, so that no more than one is in memory.
    Feed(Box<fetch::Source>),
}

/// All of them, and what could not be had.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The files, in the order of the bundle.
    pub sources: Vec<Source>,
    /// What the configuration names and is left out, and why.
    pub left_out: Vec<String>,
}

/// Opens what `config` names: the policy must be there. Of a feed that comes from a server, of one whose files are
/// gone, and of a folder whose files say together something else than each by itself (as JSON does), the last good
/// list that the agent has is taken, as it is kept.
///
/// # Errors
/// When a file cannot be read, or does not fit.
pub fn gather(config: &Config) -> Result<Gathered, BundleError> {
    let mut gathered = Gathered::default();
    gathered.sources.push(Source::open(Content::Policy, &config.paths.policy)?);
    if let Some(path) = &config.geo.database {
        gathered.add(Content::Countries, std::slice::from_ref(path), Vec::new())?;
    }
    for feed in config.feeds.iter().filter(|feed| feed.enabled) {
        let mut missing = Vec::new();
        if let Origin::Path(path) = &feed.source.origin {
            match Source::of_feed(feed, path)? {
                Ok(source) => {
                    gathered.sources.push(source);
                    continue;
                }
                Err(why) => missing.push(why),
            }
        }
        let state = &config.paths.state;
        let copies = [state.join(Kind::List.of(&feed.name)), incoming(state, &feed.name)];
        gathered.add(Content::Feed(feed.name.clone()), &copies, missing)?;
    }
    let size: u64 = gathered.sources.iter().map(|source| source.member.size).sum();
    if size > LARGEST_BUNDLE {
        let path = PathBuf::from("all of it");
        return Err(BundleError::TooLarge { path, size, most: LARGEST_BUNDLE });
    }
    Ok(gathered)
}

impl Gathered {
    /// Adds the first of `places` that is there; `missing` says what else there is not.
    fn add(
        &mut self,
        content: Content,
        places: &[PathBuf],
        mut missing: Vec<String>,
    ) -> Result<(), BundleError> {
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
        missing.extend(places.iter().map(|place| format!("there is no `{}`", place.display())));
        self.left_out.push(format!("{content}: {}", missing.join(", ")));
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
        Ok(Self { member, path: path.to_owned(), from: Kept::File(file) })
    }

    /// The files of a feed as one list; why there is none.
    fn of_feed(feed: &Feed, path: &Path) -> Result<Result<Self, String>, BundleError> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Err(format!("there is no `{}`", path.display())));
            }
            Err(error) => return Err(BundleError::Read(path.to_owned(), error)),
            Ok(_) => {}
        }
        let content = Content::Feed(feed.name.clone());
        let source =
            fetch::Source { max_bytes: feed.source.max_bytes.min(content.largest()), ..feed.source.clone() };
        let (parts, updated) = fetched(&source).map_err(|error| match error {
            // What the feed may be is not what keeps it out.
            FetchError::TooLarge { max_bytes, .. } if max_bytes < feed.source.max_bytes => {
                BundleError::TooLarge { path: path.to_owned(), size: max_bytes + 1, most: max_bytes }
            }
            error => BundleError::Feed(feed.name.clone(), error),
        })?;
        if !say_the_same_together(feed, &parts) {
            return Ok(Err(format!("the files of `{}` are no list together", path.display())));
        }
        let bytes = joined(parts);
        let (size, most) = (bytes.len() as u64, content.largest());
        if size > most {
            return Err(BundleError::TooLarge { path: path.to_owned(), size, most });
        }
        let member = Member { content, size, sha256: hexadecimal(&Sha256::digest(&bytes)), updated };
        Ok(Ok(Self { member, path: path.to_owned(), from: Kept::Feed(Box::new(source)) }))
    }

    /// The content, to be compared with size and hash as it is read.
    pub(super) fn reader(self) -> Result<Box<dyn Read>, BundleError> {
        match self.from {
            Kept::File(file) => Ok(Box::new(file)),
            Kept::Feed(source) => match fetched(&source) {
                Ok((parts, _)) => Ok(Box::new(Cursor::new(joined(parts)))),
                Err(_) => Err(BundleError::Changed(self.path)),
            },
        }
    }
}

/// The files of a feed, unpacked and with their signatures checked, and when the last of them was changed.
fn fetched(source: &fetch::Source) -> Result<(Vec<Part>, Option<Timestamp>), FetchError> {
    // Nothing of it depends on the time, and nothing is known of it that could be unchanged.
    match fetch::fetch(source, &Resume::default(), None, Timestamp::UNIX_EPOCH)? {
        Fetched::New { parts, modified, .. } => Ok((parts, modified)),
        Fetched::Unchanged { .. } => Ok((Vec::new(), None)),
    }
}

/// All parts, each of them from the begin of a line on.
fn joined(parts: Vec<Part>) -> Vec<u8> {
    let mut parts = parts.into_iter().map(|part| part.bytes);
    let mut all = parts.next().unwrap_or_default();
    for part in parts {
        if all.last().is_some_and(|&last| last != b'\n') {
            all.push(b'\n');
        }
        all.extend_from_slice(&part);
    }
    all
}

/// Whether several files can be read as one.
fn say_the_same_together(feed: &Feed, parts: &[Part]) -> bool {
    if parts.len() < 2 {
        return true;
    }
    let (columns, pointers) = (feed.columns.clone(), feed.pointers.clone());
    let reading = Reading { format: feed.format, columns, pointers, now: Timestamp::UNIX_EPOCH };
    let count = |bytes: &[u8]| {
        let parsed = formats::parse(&reading, bytes);
        [parsed.entries.len(), parsed.domains.len(), parsed.withdrawn.len(), parsed.rejects.len()]
    };
    let mut apart = [0; 4];
    for part in parts {
        for (sum, count) in apart.iter_mut().zip(count(&part.bytes)) {
            *sum += count;
        }
    }
    count(&joined(parts.to_vec())) == apart
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
