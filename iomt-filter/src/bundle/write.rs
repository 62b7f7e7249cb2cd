//! Makes a bundle: manifest, signature, archive.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use minisign::SecretKey;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::gather::Source;
use super::{BundleError, MANIFEST, Manifest, SIGNATURE, signing};
use crate::hex::hexadecimal;

/// Writes a bundle of `sources` to `out`, whole or not at all. `manifest` lists them.
///
/// # Errors
/// When a source changed since it was gathered, or `out` cannot be written.
pub fn write(
    out: &Path,
    manifest: &Manifest,
    sources: Vec<Source>,
    key: &SecretKey,
) -> Result<(), BundleError> {
    let beside = beside(out);
    let written = write_to(&beside, manifest, sources, key)
        .and_then(|()| fs::rename(&beside, out).map_err(|error| BundleError::Write(out.to_owned(), error)));
    if written.is_err() {
        // Nothing is left of what is no bundle.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_to(
    path: &Path,
    manifest: &Manifest,
    sources: Vec<Source>,
    key: &SecretKey,
) -> Result<(), BundleError> {
    let failed = |error| BundleError::Write(path.to_owned(), error);
    let text = serde_json::to_vec_pretty(manifest).map_err(io::Error::from).map_err(failed)?;
    let signature = signing::sign(&text, key);
    let signature = signature.map_err(|error| failed(io::Error::other(error.to_string())))?;
    let file = File::create(path).map_err(failed)?;
    let mut archive = Builder::new(BufWriter::new(file));
    let time = u64::try_from(manifest.created.as_second()).unwrap_or(0);
    append(&mut archive, SIGNATURE, signature.len() as u64, time, &signature[..]).map_err(failed)?;
    append(&mut archive, MANIFEST, text.len() as u64, time, &text[..]).map_err(failed)?;
    for (number, source) in sources.into_iter().enumerate() {
        let (member, from) = (source.member.clone(), source.path.clone());
        let content = source.reader()?;
        // One byte more than there was, so that a source that has grown is noticed.
        let mut hashing = Hashing { content: content.take(member.size + 1), hash: Sha256::new(), read: 0 };
        let name = member.content.name(number);
        let appended = append(&mut archive, &name, member.size, time, &mut hashing);
        if hashing.read != member.size || hexadecimal(&hashing.hash.finalize()) != member.sha256 {
            return Err(BundleError::Changed(from));
        }
        appended.map_err(failed)?;
    }
    let mut file = archive.into_inner().map_err(failed)?;
    file.flush().and_then(|()| file.get_ref().sync_all()).map_err(failed)
}

fn append(
    archive: &mut Builder<BufWriter<File>>,
    name: &str,
    size: u64,
    time: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(time);
    header.set_cksum();
    archive.append(&header, content)
}

struct Hashing {
    content: io::Take<Box<dyn Read>>,
    hash: Sha256,
    read: u64,
}

impl Read for Hashing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(into)?;
        self.hash.update(into.get(..count).unwrap_or_default());
        self.read += count as u64;
        Ok(count)
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    beside.into()
}
