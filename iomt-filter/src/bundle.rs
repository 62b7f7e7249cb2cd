//! Bundles: policy, feeds and country database in one signed, versioned file, for sites without internet.
//!
//! A bundle is a tar archive in one order: the signature of the manifest, the manifest, and what the manifest lists,
//! in its order. The signature is one of minisign over the manifest, and the manifest holds size and SHA-256 of
//! everything else: so nothing is read of what follows before the signature is known to be good, and nothing of the
//! archive but its bytes is used: where they go, the configuration says.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::agent::store::StoreError;
use crate::feeds::fetch::FetchError;
use crate::intent::last_good;

mod gather;
mod place;
mod read;
mod signing;
mod write;

pub use gather::{Gathered, Source, gather};
pub use place::{Placement, Places, Prepared, applied, prepare, prepare_state};
pub use read::Opened;
pub use signing::{Trusted, generate, secret_key};
pub use write::write;

/// The version of the format.
pub const FORMAT: u32 = 1;

/// The largest signature, manifest, and number of members.
const LARGEST_SIGNATURE: u64 = 4 << 10;
const LARGEST_MANIFEST: u64 = 1 << 20;
const MOST_MEMBERS: usize = 1_024;
/// The largest that all members may be together.
const LARGEST_BUNDLE: u64 = 1 << 30;

/// The names in the archive of what has no number.
const SIGNATURE: &str = "manifest.json.minisig";
const MANIFEST: &str = "manifest.json";

/// What feeds came with the last bundle, in the state folder.
pub const INCOMING: &str = "incoming";

/// What is known of a bundle before anything of it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the format.
    pub format: u32,
    /// The version of the bundle: seconds since 1970 when it was made, and always more than that of the one before.
    pub version: u64,
    /// When it was made.
    pub created: Timestamp,
    /// On which host.
    pub host: String,
    /// What the maker says of it.
    pub note: Option<String>,
    /// What it holds, in this order.
    pub members: Vec<Member>,
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// What it is.
    pub content: Content,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// When the file that it was made of was last changed, where that is known.
    pub updated: Option<Timestamp>,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// The policy.
    Policy,
    /// The country database.
    Countries,
    /// The list of the feed with this name.
    Feed(String),
}

/// Why a bundle is not made, or not taken.
#[derive(Debug, Error)]
pub enum BundleError {
    /// A file cannot be read.
    #[error("failed to read `{0}`")]
    Read(PathBuf, #[source] io::Error),
    /// A file cannot be written.
    #[error("failed to write `{0}`; is the disk full?")]
    Write(PathBuf, #[source] io::Error),
    /// It is no bundle, or not the bundle that was made.
    #[error("this is no bundle, or it is damaged: {0}")]
    Damaged(String),
    /// Signed by nobody, or by somebody else.
    #[error(
        "the signature does not hold: {0}; take bundles from whoever has the secret key of `[bundle] key` only"
    )]
    Signature(String),
    /// A key that cannot be used.
    #[error("`{path}` cannot be used as a key: {why}")]
    Key {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Of a format that this program does not know.
    #[error("the bundle has format {0}, and this program knows format {FORMAT}; use a newer program")]
    Format(u32),
    /// Not newer than the last one.
    #[error("the bundle is version {found}, and version {applied} was applied before; apply a newer one")]
    Old {
        /// Its version.
        found: u64,
        /// The version of the last one.
        applied: u64,
    },
    /// A file changed while it was read.
    #[error("`{0}` changed while it was read; try again")]
    Changed(PathBuf),
    /// More than fits.
    #[error("`{path}` does not fit into a bundle: it has {size} bytes, and {most} are the most")]
    TooLarge {
        /// The file, or the bundle as a whole.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The largest that is taken.
        most: u64,
    },
    /// The files of a feed cannot be used.
    #[error("the files of feed `{0}` cannot go into a bundle")]
    Feed(String, #[source] FetchError),
    /// Somebody else is at it.
    #[error("another bundle is being applied; wait until that is done")]
    Busy,
    /// What is kept of the last bundle cannot be read or written.
    #[error(transparent)]
    Kept(#[from] StoreError),
}

impl Content {
    /// The largest that it may be.
    pub(crate) const fn largest(&self) -> u64 {
        match self {
            Self::Policy => 4 << 20,
            Self::Countries => 512 << 20,
            Self::Feed(_) => 256 << 20,
        }
    }

    /// What it is called in the archive, as the `number`th member: for people who list it. No path is made of it.
    fn name(&self, number: usize) -> String {
        match self {
            Self::Policy => "policy.toml".to_owned(),
            Self::Countries => "country.mmdb".to_owned(),
            Self::Feed(_) => format!("feeds/{number}.list"),
        }
    }
}

impl std::fmt::Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Policy => f.write_str("policy"),
            Self::Countries => f.write_str("country database"),
            Self::Feed(name) => write!(f, "feed `{name}`"),
        }
    }
}

/// Where the list of a feed is that came with a bundle.
#[must_use]
pub fn incoming(state: &Path, name: &str) -> PathBuf {
    state.join(INCOMING).join(last_good::file_name(name) + ".list")
}
