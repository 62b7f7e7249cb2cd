//! Reads a bundle that anybody may have made.
//!
//! Bytes come in. Signature and manifest, both of bounded size, are read first, and nothing is done with the rest
//! before the signature is known to be good. From then on each entry must be what the manifest says: the next one in
//! order, a plain file, of that size and that hash. Names in the archive are compared and never used; extensions,
//! links, holes and whatever else an archive may hold are refused.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};
use tar::{Archive, Entries, Entry, EntryType};

use super::signing::Trusted;
use super::{
    BundleError, Content, FORMAT, LARGEST_BUNDLE, LARGEST_MANIFEST, LARGEST_SIGNATURE, MANIFEST,
    MOST_MEMBERS, Manifest, Member, SIGNATURE,
};
use crate::hex::hexadecimal;

/// Bytes that are copied at once.
const AT_ONCE: usize = 64 << 10;

/// A bundle with a good signature, read up to its first member.
pub struct Opened<'a, R: Read> {
    /// What it holds.
    pub manifest: Manifest,
    entries: Entries<'a, R>,
}

impl<'a, R: Read> Opened<'a, R> {
    /// Reads the begin of a bundle.
    ///
    /// # Errors
    /// When it is none, or not signed with the trusted key.
    pub fn open(archive: &'a mut Archive<R>, trusted: &Trusted) -> Result<Self, BundleError> {
        let mut entries = archive.entries().map_err(damaged)?.raw(true);
        let signature = small(&mut entries, SIGNATURE, LARGEST_SIGNATURE)?;
        let text = small(&mut entries, MANIFEST, LARGEST_MANIFEST)?;
        trusted.check(&text, &signature)?;
        Ok(Self { manifest: understand(&text)?, entries })
    }

    /// Hands out each member in order: `into` says where the bytes of one go. What is left of the archive must be
    /// its end.
    ///
    /// # Errors
    /// When a member is not what the manifest says, or what `into` makes refuses bytes; then nothing that was handed
    /// out may be used.
    pub fn members<W: Write>(
        mut self,
        mut into: impl FnMut(usize, &Member) -> Result<W, BundleError>,
        failed: impl Fn(usize, io::Error) -> BundleError,
    ) -> Result<Manifest, BundleError> {
        for (number, member) in self.manifest.members.iter().enumerate() {
            let name = member.content.name(number);
            let mut entry = next(&mut self.entries, &name, Some(member.size))?;
            let mut out = into(number, member)?;
            let mut hash = Sha256::new();
            let mut left = member.size;
            let mut bytes = vec![0; AT_ONCE];
            while left > 0 {
                let count = match entry.read(&mut bytes) {
                    Ok(0) => return Err(damaged(format!("it ends inside of `{name}`"))),
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(damaged(error)),
                };
                let read = bytes.get(..count).unwrap_or_default();
                hash.update(read);
                out.write_all(read).map_err(|error| failed(number, error))?;
                left = left.saturating_sub(count as u64);
            }
            out.flush().map_err(|error| failed(number, error))?;
            if hexadecimal(&hash.finalize()) != member.sha256 {
                return Err(damaged(format!("`{name}` is not what was signed")));
            }
        }
        match self.entries.next() {
            None => Ok(self.manifest),
            Some(Ok(_)) => Err(damaged("it holds more than its manifest lists")),
            Some(Err(error)) => Err(damaged(error)),
        }
    }
}

fn damaged(why: impl ToString) -> BundleError {
    BundleError::Damaged(why.to_string())
}

/// The next entry, which must be a plain file of this name, and of this size where that is known.
fn next<'a, R: Read>(
    entries: &mut Entries<'a, R>,
    name: &str,
    size: Option<u64>,
) -> Result<Entry<'a, R>, BundleError> {
    let entry = match entries.next() {
        Some(entry) => entry.map_err(damaged)?,
        None => return Err(damaged(format!("there is no `{name}` where it should be"))),
    };
    let header = entry.header();
    if header.entry_type() != EntryType::Regular || *header.path_bytes() != *name.as_bytes() {
        return Err(damaged(format!("there is something else where `{name}` should be")));
    }
    match size {
        Some(size) if entry.size() != size => {
            Err(damaged(format!("`{name}` has another size than was signed")))
        }
        _ => Ok(entry),
    }
}

/// The whole of the next entry, which is small.
fn small<R: Read>(entries: &mut Entries<'_, R>, name: &str, most: u64) -> Result<Vec<u8>, BundleError> {
    let entry = next(entries, name, None)?;
    let size = entry.size();
    if size > most {
        return Err(damaged(format!("`{name}` has {size} bytes, and {most} are the most")));
    }
    let mut bytes = Vec::new();
    entry.take(most).read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(damaged(format!("it ends inside of `{name}`"))) }
}

/// A manifest whose signature is good, and which still may not say anything.
fn understand(text: &[u8]) -> Result<Manifest, BundleError> {
    /// Of another format no more than this is known.
    #[derive(serde::Deserialize)]
    struct OfAnyFormat {
        format: u32,
    }
    let wrong = |error: serde_json::Error| damaged(format!("its manifest cannot be understood: {error}"));
    let OfAnyFormat { format } = serde_json::from_slice(text).map_err(wrong)?;
    if format != FORMAT {
        return Err(BundleError::Format(format));
    }
    let manifest: Manifest = serde_json::from_slice(text).map_err(wrong)?;
    if manifest.members.len() > MOST_MEMBERS {
        return Err(damaged(format!("it has more than {MOST_MEMBERS} members")));
    }
    let mut contents = BTreeSet::new();
    let mut size: u64 = 0;
    for member in &manifest.members {
        if !contents.insert(&member.content) {
            return Err(damaged(format!("it holds the {} twice", member.content)));
        }
        if member.size > member.content.largest() {
            let most = member.content.largest();
            return Err(damaged(format!("the {} is larger than {most} bytes", member.content)));
        }
        size = size.saturating_add(member.size);
    }
    if size > LARGEST_BUNDLE {
        return Err(damaged(format!("all of it is larger than {LARGEST_BUNDLE} bytes")));
    }
    // A name that no feed of a configuration can have.
    if contents.contains(&Content::Feed(String::new())) {
        return Err(damaged("it holds a feed without a name"));
    }
    Ok(manifest)
}
