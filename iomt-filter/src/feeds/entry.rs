//! What a list says: networks and domains, each with all that its feed tells of it.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Addresses that a list names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The addresses, host bits zero.
    pub network: IpNet,
    /// The port that the list names, where it does; listings cover every port.
    pub port: Option<u16>,
    /// The score that the list gives, 0 to 100, where it does.
    pub score: Option<u8>,
    /// Its line, from 1; of a document without lines the number of its record, from 1.
    pub line: u32,
    /// What else the list says of it, where it says anything. Entries may share it.
    #[serde(flatten)]
    pub about: Option<Arc<About>>,
}

/// A domain that a list names. It is kept for lookups, and nothing is blocked by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Domain {
    /// Its name, in lower case and without the dot of the root (RFC 1034 §3.1).
    pub name: Box<str>,
    /// As of an [`Entry`].
    pub port: Option<u16>,
    /// As of an [`Entry`].
    pub score: Option<u8>,
    /// As of an [`Entry`].
    pub line: u32,
    /// As of an [`Entry`].
    #[serde(flatten)]
    pub about: Option<Arc<About>>,
}

/// Octets of the longest domain name, and of its longest label (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Whether a text is the name of a [`Domain`]: two labels at least of letters in lower case, digits, `-` and `_`, of
/// which the last is no number.
#[must_use]
pub fn is_domain(text: &str) -> bool {
    let is_sign = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let is_label = |label: &str| (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(is_sign);
    let is_last = |label: &str| label.bytes().any(|byte| byte.is_ascii_lowercase());
    text.len() <= LONGEST_NAME
        && text.split('.').all(is_label)
        && text.rsplit_once('.').is_some_and(|(_, last)| is_last(last))
}

/// What a list says of an entry beside its address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct About {
    /// What it is listed for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub category: Option<Category>,
    /// When it was first seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_seen: Option<Timestamp>,
    /// When it was last seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_seen: Option<Timestamp>,
    /// When the list lets it go by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires: Option<Timestamp>,
    /// Where more is said: a number, an identifier or an address of the source.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<Box<str>>,
    /// What the source calls it: a malware family, a scenario, a name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<Box<str>>,
}

/// What an entry is listed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Command and control.
    C2,
    /// Serves or is infected with malware.
    Malware,
    /// Phishing.
    Phishing,
    /// Scans.
    Scanner,
    /// Guesses passwords.
    Bruteforce,
    /// Sends spam.
    Spam,
    /// A network that was taken from its owner.
    Hijacked,
    /// Tor exits, VPNs and open proxies.
    Anonymizer,
    /// Addresses that are nobody's.
    Bogon,
    /// A bad name with many.
    Reputation,
    /// Anything else.
    Other,
}

/// The categories by name.
pub const CATEGORIES: &[(&str, Category)] = &[
    ("c2", Category::C2),
    ("malware", Category::Malware),
    ("phishing", Category::Phishing),
    ("scanner", Category::Scanner),
    ("bruteforce", Category::Bruteforce),
    ("spam", Category::Spam),
    ("hijacked", Category::Hijacked),
    ("anonymizer", Category::Anonymizer),
    ("bogon", Category::Bogon),
    ("reputation", Category::Reputation),
    ("other", Category::Other),
];

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = CATEGORIES.iter().find(|(_, category)| category == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl About {
    /// To be put into an entry: nothing where nothing is said.
    #[must_use]
    pub fn shared(self) -> Option<Arc<Self>> {
        (self != Self::default()).then(|| Arc::new(self))
    }
}
