//! Keys and signatures of minisign.
//!
//! Files with keys come in. A secret key is used at once and is never shown or logged.

use std::fs::{self, File, OpenOptions};
use std::io::{Cursor, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use minisign::{KeyPair, PublicKey, PublicKeyBox, SecretKey, SecretKeyBox, SignatureBox};

use super::BundleError;

/// What the signature covers beside the manifest: a signature that the same key made of something else is none of a
/// bundle.
const TRUSTED_COMMENT: &str = "iomt-filter bundle";

/// The 64 bytes of an Ed25519 signature (RFC 8032 §5.1.6) in Base64.
const ENCODED_SIGNATURE: usize = 88;

/// The public key that bundles must be signed with.
#[derive(Debug)]
pub struct Trusted {
    key: PublicKey,
}

impl Trusted {
    /// Reads `minisign.pub`, or a file with the key alone.
    ///
    /// # Errors
    /// When it cannot be read or is no public key.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let text = fs::read_to_string(path).map_err(|error| BundleError::Read(path.to_owned(), error))?;
        let alone = PublicKey::from_base64(text.trim());
        let key = alone.or_else(|_| PublicKeyBox::from_string(&text).and_then(PublicKeyBox::into_public_key));
        let why = "it holds no public key of minisign".to_owned();
        key.map(|key| Self { key }).map_err(|_| BundleError::Key { path: path.to_owned(), why })
    }

    /// That `signature` is one of `manifest` by this key.
    pub(super) fn check(&self, manifest: &[u8], signature: &[u8]) -> Result<(), BundleError> {
        let refused = |why: &str| BundleError::Signature(why.to_owned());
        let text = std::str::from_utf8(signature).map_err(|_| refused("it is no text"))?;
        // The library takes the length of the second signature for granted.
        let second = text.lines().nth(3).map_or(0, |line| line.trim().len());
        if second != ENCODED_SIGNATURE {
            return Err(refused("it is none of minisign"));
        }
        let signature = SignatureBox::from_string(text).map_err(|_| refused("it is none of minisign"))?;
        if signature.keynum() != self.key.keynum() {
            return Err(refused("it was made with another key"));
        }
        minisign::verify(&self.key, &signature, Cursor::new(manifest), true, false, false)
            .map_err(|_| refused("the manifest is not what was signed"))?;
        match signature.trusted_comment() {
            Ok(comment) if comment == TRUSTED_COMMENT => Ok(()),
            _ => Err(refused("it was made for something else than a bundle")),
        }
    }
}

/// Reads a secret key; `password` opens one that is kept with one.
///
/// # Errors
/// When it cannot be read, or not be opened.
pub fn secret_key(path: &Path, password: Option<String>) -> Result<SecretKey, BundleError> {
    let text = fs::read_to_string(path).map_err(|error| BundleError::Read(path.to_owned(), error))?;
    let unusable = |why: &str| BundleError::Key { path: path.to_owned(), why: why.to_owned() };
    let sealed =
        SecretKeyBox::from_string(&text).map_err(|_| unusable("it holds no secret key of minisign"))?;
    match password {
        // The library asks for a password where it is given none.
        Some(password) => {
            sealed.into_secret_key(Some(password)).map_err(|_| unusable("the password does not open it"))
        }
        None => sealed.into_unencrypted_secret_key().map_err(|_| {
            unusable("it is no secret key without a password; give that with `--password-file FILE`")
        }),
    }
}

/// Makes a pair of keys: `NAME.key` for its owner's eyes alone, and `NAME.pub`. No file is overwritten.
///
/// # Errors
/// When a file is there already or cannot be written.
pub fn generate(name: &Path, password: Option<String>) -> Result<[PathBuf; 2], BundleError> {
    let with = |end: &str| {
        let mut path = name.as_os_str().to_owned();
        path.push(end);
        PathBuf::from(path)
    };
    let (secret, public) = (with(".key"), with(".pub"));
    let unusable = |why: minisign::PError| BundleError::Key { path: secret.clone(), why: why.to_string() };
    let pair = match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password)),
        None => KeyPair::generate_unencrypted_keypair(),
    };
    let pair = pair.map_err(unusable)?;
    let secret_text = pair.sk.to_box(None).map_err(unusable)?.into_string();
    let public_text = pair.pk.to_box().map_err(unusable)?.into_string();
    for (path, text, mode) in [(&secret, secret_text, 0o600), (&public, public_text, 0o644)] {
        let opened: std::io::Result<File> =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        let written =
            opened.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(|error| BundleError::Write(path.clone(), error))?;
    }
    Ok([secret, public])
}

/// The signature of a manifest.
pub(super) fn sign(manifest: &[u8], key: &SecretKey) -> Result<Vec<u8>, minisign::PError> {
    let comment = "signature of an iomt-filter bundle";
    let signature = minisign::sign(None, key, manifest, Some(TRUSTED_COMMENT), Some(comment))?;
    Ok(signature.into_string().into_bytes())
}
