//! Where feeds come from: files, folders, and servers that speak HTTP, TAXII 2.1, CrowdSec's stream or MISP's feeds.
//!
//! A [`Source`] comes in, with what the caller kept of the last time ([`Resume`] and content); content to be
//! parsed goes out, or a [`FetchError`] that says what to do. Whatever the protocol, the content is the whole list:
//! it replaces the one before. Files and the network are read here, at most [`Source::max_bytes`] of them and for
//! no longer than [`Server::timeout`] says. Nothing is ever written here, nothing is parsed further than a protocol
//! takes, and no secret leaves but for the server that it is for.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use crate::hex::hexadecimal;

mod body;
mod client;
mod crowdsec;
mod error;
mod misp;
mod path;
mod plain;
mod proxy;
mod relay;
mod secret;
mod signature;
mod taxii;

pub use crowdsec::Stream;
pub use error::FetchError;

/// What a feed is fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub origin: Origin,
    /// The most bytes that are taken of it: of each file or answer, unpacked, and of all of them together.
    pub max_bytes: u64,
    /// Who must have signed it. Only files, folders and [`Protocol::Http`] can be signed.
    pub signature: Option<Signature>,
}

/// Where a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file, or a folder: every file in it that is no hidden one and no signature, by name. Folders in it are
    /// not looked into.
    Path(PathBuf),
    /// A server.
    Server(Server),
}

/// A server, and how it is spoken to.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// What it speaks.
    pub protocol: Protocol,
    /// The address: of the file for [`Protocol::Http`], of the collection for [`Protocol::Taxii`], of the local API
    /// for [`Protocol::Crowdsec`], of the folder or its `manifest.json` for [`Protocol::Misp`].
    pub url: Url,
    /// What opens it.
    pub auth: Option<Auth>,
    /// Who may vouch for its certificate, a file with certificates as PEM; otherwise those whom the host trusts.
    pub ca: Option<PathBuf>,
    /// How long a request may take, from its start to the last byte. Where a protocol takes several requests, all of
    /// them may take ten times as long.
    pub timeout: Duration,
}

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A list behind an address.
    Http,
    /// A collection of a TAXII 2.1 server (OASIS TAXII 2.1, §5).
    Taxii,
    /// The stream of decisions of a CrowdSec local API.
    Crowdsec,
    /// A MISP feed: `manifest.json`, and a file for each event.
    Misp,
}

/// What opens a server. Secrets stand in files, and are read anew for each fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A header; the file holds its value, as in `Bearer …` for `Authorization`.
    Header {
        /// Its name.
        name: String,
        /// Where its value stands.
        file: PathBuf,
    },
    /// A user and a password (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// Where the password stands.
        file: PathBuf,
    },
    /// A parameter in the query.
    Query {
        /// Its name.
        name: String,
        /// Where its value stands.
        file: PathBuf,
    },
}

/// Who must have signed a source, with minisign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The public key, a file as minisign writes it.
    pub key: PathBuf,
    /// Where the signature is, otherwise beside what it signs: the same name with `.minisig` behind it. Of a file
    /// it is a `file:` address, and each file of a folder has its own beside it.
    pub url: Option<Url>,
}

/// What the caller keeps between two fetches of a source, together with the content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resume {
    /// Which source it is of: nothing of it is used for another.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// The `ETag` of the content (RFC 9110 §8.8.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// Its `Last-Modified` (RFC 9110 §8.8.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    /// SHA-256 of what was fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// What a TAXII server added after this is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    added_after: Option<String>,
    /// The events of a MISP feed, each with the time of its last change in seconds since 1970.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    events: BTreeMap<String, u64>,
    /// How far CrowdSec's stream has been read. It ends with the process.
    #[serde(skip)]
    stream: Option<Stream>,
}

/// What a fetch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Nothing has changed: what the caller has is the list, as of now.
    Unchanged {
        /// To be kept in place of the one before.
        resume: Resume,
    },
    /// There is a new list, which replaces the one before.
    New {
        /// What it consists of: one part, but for folders. Each is to be parsed by itself.
        parts: Vec<Part>,
        /// To be kept with it.
        resume: Resume,
        /// When it was last changed, where that is known.
        modified: Option<Timestamp>,
    },
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is called: its path, or its address without secrets.
    pub name: String,
    /// All of it, unpacked.
    pub bytes: Vec<u8>,
}

/// Fetches a source. `previous` is the content that the caller kept with `resume`: without it everything is fetched
/// anew. `now` is what relative times count from.
///
/// # Errors
/// When it cannot be fetched as a whole: `resume` and `previous` then stay as they are.
pub fn fetch(
    source: &Source,
    resume: &Resume,
    previous: Option<&[u8]>,
    now: Timestamp,
) -> Result<Fetched, FetchError> {
    let fresh = Resume { source: Some(source.identity()?), ..Resume::default() };
    // What was kept of another address, or was signed by somebody else, or without its content, says nothing of this.
    let is_same = resume.source == fresh.source && previous.is_some();
    let (resume, previous) = if is_same { (resume, previous) } else { (&fresh, None) };
    match &source.origin {
        Origin::Path(path) => path::fetch(source, path, resume),
        Origin::Server(server) => {
            server.check(source.signature.is_some())?;
            match server.protocol {
                Protocol::Http => plain::fetch(source, server, resume),
                Protocol::Taxii => taxii::fetch(source, server, resume, previous, now),
                Protocol::Crowdsec => crowdsec::fetch(source, server, resume, previous, now),
                Protocol::Misp => misp::fetch(source, server, resume, previous),
            }
        }
    }
}

impl Source {
    /// Where it is, as it may be shown: without secrets.
    #[must_use]
    pub fn shown(&self) -> String {
        match &self.origin {
            Origin::Path(path) => path.display().to_string(),
            Origin::Server(server) => shown(&server.url),
        }
    }

    /// What tells it from others. It shows nothing of the address, which may hold a key.
    fn identity(&self) -> Result<String, FetchError> {
        let signer = self.signature.as_ref().map(signature::signer).transpose()?;
        let origin = match &self.origin {
            Origin::Path(path) => format!("path {}", path.display()),
            Origin::Server(server) => format!("{:?} {}", server.protocol, server.url),
        };
        Ok(digest(format!("{signer:?} {origin}").as_bytes()))
    }
}

impl Server {
    fn check(&self, is_signed: bool) -> Result<(), FetchError> {
        let refused = |reason: &str| Err(FetchError::setting(&shown(&self.url), reason));
        if !matches!(self.url.scheme(), "http" | "https") || self.url.host().is_none() {
            return refused("only `https://` and `http://` are fetched; give such an address, or `path`");
        }
        if !self.url.username().is_empty() || self.url.password().is_some() {
            return refused(
                "there is a user in the address; remove it, and give `user` and a file with the password",
            );
        }
        if let Some(Auth::Query { name, .. }) = &self.auth
            && self.url.query_pairs().any(|(other, _)| other == *name)
        {
            return refused("its query has the key's parameter already; remove it there");
        }
        if is_signed && self.protocol != Protocol::Http {
            return refused("only files and lists over HTTP can be signed; remove the signature's key");
        }
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("protocol", &self.protocol)
            .field("url", &shown(&self.url))
            .field("auth", &self.auth)
            .field("ca", &self.ca)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// An address as it may be shown: without its query and its user, which may be secrets.
fn shown(url: &Url) -> String {
    let mut plain = url.clone();
    let has_query = plain.query().is_some();
    plain.set_query(None);
    plain.set_fragment(None);
    // Neither fails for an address with a host, and others have no user.
    let _ = (plain.set_username(""), plain.set_password(None));
    if has_query { format!("{plain}?…") } else { plain.to_string() }
}

/// SHA-256 in hexadecimal.
fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}
