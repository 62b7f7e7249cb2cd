//! The formats of lists. Each is a pure function from bytes to entries, and to rejects with line and
//! reason for everything else: nothing is left out silently.

use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use super::entry::{Domain, Entry};

pub mod plain;

/// A format that a feed can be declared to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "named as in the configuration")]
pub enum Format {
    #[default]
    Auto,
    Plain,
    Netset,
    Csv,
    Spamhaus,
    Feodo,
    Threatfox,
    Ipsum,
    Reputation,
    Stix,
    Misp,
    Crowdsec,
}

/// The formats by name.
pub const FORMATS: &[(&str, Format)] = &[
    ("auto", Format::Auto),
    ("plain", Format::Plain),
    ("netset", Format::Netset),
    ("csv", Format::Csv),
    ("spamhaus", Format::Spamhaus),
    ("feodo", Format::Feodo),
    ("threatfox", Format::Threatfox),
    ("ipsum", Format::Ipsum),
    ("reputation", Format::Reputation),
    ("stix", Format::Stix),
    ("misp", Format::Misp),
    ("crowdsec", Format::Crowdsec),
];

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FORMATS.iter().find(|(_, format)| format == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// A format that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("format `{0}` is not supported yet; use `plain`, one address or prefix a line")]
pub struct Unsupported(pub Format);

/// What a list came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Parsed {
    /// What the list was read as, never [`Format::Auto`].
    pub format: Format,
    /// Usable entries, in the order of the list.
    pub entries: Vec<Entry>,
    /// Domains, in the order of the list.
    pub domains: Vec<Domain>,
    /// What the list takes back: a feed keeps none of these, whenever it was last seen.
    pub withdrawn: Vec<IpNet>,
    /// Lines that are neither an entry nor a comment.
    pub rejects: Vec<Reject>,
    /// Entries that were put right, and how.
    pub notes: Vec<Note>,
    /// What the list says of itself that deserves a look: that it is deprecated, or that it has more or fewer
    /// records than there are.
    pub remarks: Vec<Remark>,
}

/// What deserves a look of a list as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remark {
    /// Its publisher says that it is no longer kept; the line that says so.
    Deprecated(String),
    /// It says how many records it has, and has another number of them: it was cut off, or put together wrongly.
    Count {
        /// What it says.
        said: u64,
        /// What there is.
        found: u64,
    },
}

/// How a list is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Its format; [`Format::Auto`] to find it out.
    pub format: Format,
    /// Where generic CSV has what.
    pub columns: Columns,
    /// Where JSON lines have what.
    pub pointers: Pointers,
    /// When the list was fetched: durations count from then.
    pub now: Timestamp,
}

/// Which column of generic CSV has what: by its name in the header, or by its number from 1. Where nothing is set,
/// the usual names are looked for, and then the first column that holds an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in the configuration")]
pub struct Columns {
    pub delimiter: Option<char>,
    pub value: Option<String>,
    pub port: Option<String>,
    pub score: Option<String>,
    pub category: Option<String>,
    pub first_seen: Option<String>,
    pub last_seen: Option<String>,
    pub expires: Option<String>,
    pub reference: Option<String>,
    pub label: Option<String>,
}

/// Where a record of JSON lines has what: JSON pointers (RFC 6901). `records` points at the array of records in a
/// document that is none of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in the configuration")]
pub struct Pointers {
    pub records: Option<String>,
    pub value: Option<String>,
    pub port: Option<String>,
    pub score: Option<String>,
    pub category: Option<String>,
    pub first_seen: Option<String>,
    pub last_seen: Option<String>,
    pub expires: Option<String>,
    pub reference: Option<String>,
    pub label: Option<String>,
}

/// A line that is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reject {
    /// The line, from 1.
    pub line: u32,
    /// The line itself, cut where it is long.
    pub text: String,
    /// Why.
    pub reason: RejectReason,
}

/// An entry that was read as something else than was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The line, from 1.
    pub line: u32,
    /// The line itself, cut where it is long.
    pub text: String,
    /// What it was read as.
    pub read_as: IpNet,
}

/// Why a line is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
#[allow(missing_docs, reason = "the message of each says what it is")]
pub enum RejectReason {
    #[error("this is HTML, not a list")]
    Html,
    #[error("this is binary data, not a list")]
    Binary,
    #[error("this is JSON, not a plain list")]
    Json,
    #[error("covers every address")]
    Everything,
    #[error("a domain name; only addresses can be listed")]
    Domain,
    #[error("a URL; only addresses can be listed")]
    Url,
    #[error("more than an address on the line; the list may have another format")]
    MoreColumns,
    #[error("the prefix length is too large, or no number")]
    PrefixLength,
    #[error("the range ends before it begins, or mixes IPv4 and IPv6")]
    Range,
    #[error("the port is no number from 1 to 65535")]
    Port,
    #[error("neither an address nor a prefix")]
    Unreadable,
}

impl RejectReason {
    /// Whether a line of this kind speaks against the list.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        true
    }
}

impl Serialize for RejectReason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a list.
///
/// # Errors
/// When its format cannot be read.
pub fn parse(reading: &Reading, bytes: &[u8]) -> Result<Parsed, Unsupported> {
    let format = reading.format;
    match format {
        Format::Auto | Format::Plain | Format::Netset => Ok(plain::parse(bytes)),
        Format::Csv
        | Format::Spamhaus
        | Format::Feodo
        | Format::Threatfox
        | Format::Ipsum
        | Format::Reputation
        | Format::Stix
        | Format::Misp
        | Format::Crowdsec => Err(Unsupported(format)),
    }
}
