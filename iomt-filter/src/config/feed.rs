//! `[[feed]]` and `[gate]` of config.toml: lists, where they come from, and what they may not do. Values only.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::read::DAY;
use crate::diagnostic::Place;
use crate::feeds::formats::{Columns, Pointers};
use crate::feeds::{Category, Format};

mod read;

pub(super) use read::{feeds, gate};

/// One `[[feed]]`.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub source: FeedSource,
    /// Its format.
    pub format: Format,
    /// Where generic CSV has what.
    pub columns: Columns,
    /// Where JSON has what.
    pub pointers: Pointers,
    /// The score of entries that carry none, 0 to 100.
    pub score: u8,
    /// Entries with a lower score are not listed.
    pub min_score: u8,
    /// The category of entries that carry none.
    pub category: Option<Category>,
    /// How often it is read again.
    pub refresh: Duration,
    /// How long entries are kept that are no longer in the list.
    pub expire: Duration,
    /// Whether it is used.
    pub enabled: bool,
    /// Whether its entries are addresses that no feed may list.
    pub never_block: bool,
    /// The largest list, in bytes, unpacked.
    pub max_bytes: u64,
    /// What a new list of it may not do.
    pub limits: Limits,
    /// The key that every list of it is signed with, where it is.
    pub signature: Option<Signature>,
    /// Where it stands.
    pub place: Place,
}

/// Where a feed comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedSource {
    /// A file or a folder of files.
    Path(PathBuf),
    /// A server.
    Url(Box<Remote>),
}

/// A server that has a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The list, the collection, or the server.
    pub url: Url,
    /// How it is asked.
    pub protocol: Protocol,
    /// Who is asking.
    pub auth: Option<Auth>,
    /// Certificates to trust in place of the host's.
    pub ca: Option<PathBuf>,
    /// How long a fetch may take.
    pub timeout: Duration,
}

/// How a server is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// One document over HTTP.
    #[default]
    Http,
    /// A TAXII 2.1 collection.
    Taxii,
    /// The local API of CrowdSec.
    Crowdsec,
    /// A folder of MISP events with a manifest.
    Misp,
}

/// Who is asking. Secrets are in files, and read when they are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A header whose value is in a file.
    Header {
        /// Its name.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// HTTP basic authentication (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// The file of the password.
        file: PathBuf,
    },
    /// A parameter of the address whose value is in a file.
    Query {
        /// Its name.
        name: String,
        /// The file.
        file: PathBuf,
    },
}

/// A minisign signature beside a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The public key.
    pub key: PathBuf,
    /// Where the signature is; beside the list with `.minisig` behind its name where nothing is said.
    pub url: Option<Url>,
}

/// What a new list may not do without somebody's release. Shares are in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The fewest entries.
    pub min_entries: u32,
    /// Whether a list without entries is one.
    pub allow_empty: bool,
    /// The most entries.
    pub max_entries: u32,
    /// How much larger than the last one it may be.
    pub max_growth: u32,
    /// How much smaller.
    pub max_shrink: u32,
    /// How many of its lines may be faulty.
    pub max_rejected: u32,
    /// How many of its entries may name what no list may block.
    pub max_removed: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            min_entries: 1,
            allow_empty: false,
            max_entries: 4_000_000,
            max_growth: 200,
            max_shrink: 50,
            max_rejected: 10,
            max_removed: 10,
        }
    }
}

/// `[gate]`: what holds for every list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateConfig {
    /// The shortest prefix of IPv4 that a list may have.
    pub shortest_v4: u8,
    /// The same of IPv6.
    pub shortest_v6: u8,
    /// Whether the well-known public resolvers are spared.
    pub public_resolvers: bool,
    /// What no list may block.
    pub never_block: Vec<IpNet>,
    /// How far back devices' far ends count: a new entry that covers one is held. Zero: none counts.
    pub impact: Duration,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            shortest_v4: 8,
            shortest_v6: 19,
            public_resolvers: true,
            never_block: Vec::new(),
            impact: 30 * DAY,
        }
    }
}

impl Feed {
    /// Where it comes from, as it may be shown: nothing of an address that may be a secret.
    pub fn shown_source(&self) -> String {
        match &self.source {
            FeedSource::Path(path) => path.display().to_string(),
            FeedSource::Url(remote) => {
                let mut url = remote.url.clone();
                let _ = (url.set_username(""), url.set_password(None));
                if url.query().is_some() {
                    url.set_query(Some("…"));
                }
                url.to_string().replace("%E2%80%A6", "…")
            }
        }
    }
}
