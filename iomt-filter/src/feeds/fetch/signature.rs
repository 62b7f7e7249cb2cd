//! Signatures of lists, made with minisign: what does not verify is not used.
//!
//! A signature is of the bytes of the file as it lies on the server or the disk: of a `.gz` as it is.

use std::ffi::OsString;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minisign::{PublicKey, PublicKeyBox, SignatureBox};
use url::Url;

use super::client::{Client, Request};
use super::{FetchError, Signature, path, shown};

/// What the name of a signature ends with.
pub(super) const EXTENSION: &str = ".minisig";
/// The largest file of a key or a signature: minisign allows comments of 8 KiB.
const MAX_BYTES: u64 = 32 << 10;

/// The length of a signature, in bytes (RFC 8032 §5.1.6).
const ED25519: usize = 64;

const KEY: &str = "the public key";
const SIGNATURE: &str = "the signature";

/// Who must have signed, as text.
pub(super) fn signer(signature: &Signature) -> Result<String, FetchError> {
    Ok(key(&signature.key)?.to_base64())
}

/// Checks what was read from a file.
pub(super) fn check_file(
    signature: &Signature,
    file: &Path,
    bytes: &[u8],
    is_in_folder: bool,
) -> Result<(), FetchError> {
    let place = file.display().to_string();
    let location = match &signature.url {
        None => beside(file),
        Some(_) if is_in_folder => {
            let reason = "each file of a folder has its own signature; remove the signature's address";
            return Err(FetchError::setting(&place, reason));
        }
        Some(url) => url.to_file_path().map_err(|()| {
            FetchError::setting(&shown(url), "the signature of a file is a file too; give a `file:` address")
        })?,
    };
    check(signature, &path::read(&location, MAX_BYTES, SIGNATURE)?.bytes, bytes, &place)
}

/// Checks what `client` has fetched from `url`.
pub(super) fn check_answer(
    signature: &Signature,
    client: &Client<'_>,
    url: &Url,
    bytes: &[u8],
) -> Result<(), FetchError> {
    let location = signature.url.clone().unwrap_or_else(|| {
        let mut location = url.clone();
        location.set_path(&format!("{}{EXTENSION}", url.path()));
        location
    });
    if !matches!(location.scheme(), "http" | "https") {
        let reason = "the signature of a list over HTTP is fetched too; give an `https://` address";
        return Err(FetchError::setting(&shown(&location), reason));
    }
    let answer = client.get(&Request { url: &location, headers: Vec::new(), max_bytes: MAX_BYTES })?;
    check(signature, &answer.bytes.unwrap_or_default(), bytes, &shown(url))
}

fn check(signature: &Signature, text: &[u8], bytes: &[u8], place: &str) -> Result<(), FetchError> {
    let key = key(&signature.key)?;
    let Some(signed) = std::str::from_utf8(text).ok().and_then(signed) else {
        let reason = "what is beside it is no signature of minisign; ask its publisher";
        return Err(FetchError::signature(place, reason));
    };
    if signed.keynum() != key.keynum() {
        let reason = "it is signed with another key; look up whether the publisher has a new one";
        return Err(FetchError::signature(place, reason));
    }
    minisign::verify(&key, &signed, Cursor::new(bytes), true, false, true).map_err(|_| {
        let reason = "its signature is not of this content; if the list changes often, it may fit the next time, \
                      otherwise ask its publisher";
        FetchError::signature(place, reason)
    })
}

fn signed(text: &str) -> Option<SignatureBox> {
    // The library takes the length of the signature of the comment for granted, and panics where it is shorter.
    let of_comment = BASE64_STANDARD.decode(text.lines().nth(3)?.trim()).ok()?;
    if of_comment.len() != ED25519 {
        return None;
    }
    SignatureBox::from_string(text).ok()
}

fn key(file: &Path) -> Result<PublicKey, FetchError> {
    let bytes = path::read(file, MAX_BYTES, KEY)?.bytes;
    let refused =
        || FetchError::file(KEY, file, "it is no public key of minisign; give the file `minisign.pub`");
    let text = String::from_utf8(bytes).map_err(|_| refused())?;
    let text = text.trim();
    // A file has a comment above the key; what publishers print on their pages is the key alone.
    let key = match text.lines().count() {
        1 => PublicKey::from_base64(text).ok(),
        _ => PublicKeyBox::from_string(text).ok().and_then(|key| key.into_public_key().ok()),
    };
    key.ok_or_else(refused)
}

fn beside(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(EXTENSION);
    PathBuf::from(name)
}
