//! The formats of lists. Each is a pure function from bytes to entries, and to rejects with line and
//! reason for everything else: nothing is left out silently.

use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use super::entry::{Domain, Entry};

mod reason;
mod detect;
mod target;
mod category;
mod moment;
mod abuse;
mod banner;
mod collect;
mod document;
mod table;
mod usual;
mod plain;
mod hosts;
mod tor;
mod columns;
mod jsonl;
mod spamhaus;
mod feodo;
mod threatfox;
mod sslbl;
mod urlhaus;
mod ipsum;
mod reputation;
mod dshield;
mod crowdsec;
mod misp;
mod stix;

pub use reason::RejectReason;

/// A format that a feed can be declared to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "named as in the configuration")]
pub enum Format {
    #[default]
    Auto,
    Plain,
    Netset,
    Hosts,
    Csv,
    Jsonl,
    Spamhaus,
    Feodo,
    Threatfox,
    Sslbl,
    Urlhaus,
    Ipsum,
    Reputation,
    Dshield,
    Tor,
    Stix,
    Misp,
    Crowdsec,
}

/// The formats by name.
pub const FORMATS: &[(&str, Format)] = &[
    ("auto", Format::Auto),
    ("plain", Format::Plain),
    ("netset", Format::Netset),
    ("hosts", Format::Hosts),
    ("csv", Format::Csv),
    ("jsonl", Format::Jsonl),
    ("spamhaus", Format::Spamhaus),
    ("feodo", Format::Feodo),
    ("threatfox", Format::Threatfox),
    ("sslbl", Format::Sslbl),
    ("urlhaus", Format::Urlhaus),
    ("ipsum", Format::Ipsum),
    ("reputation", Format::Reputation),
    ("dshield", Format::Dshield),
    ("tor", Format::Tor),
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
    /// Lines and records that are none of these and no comments: broken ones, and such as are of no use here
    /// ([`RejectReason::is_fault`]).
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
    /// Fields beside the address could not be read, and their entries do without.
    Unread {
        /// Which field.
        field: &'static str,
        /// The line of the first, from 1.
        line: u32,
        /// How many.
        count: u64,
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

/// Reads a list. A declared format is read as nothing else; [`Format::Auto`] goes by the content.
#[must_use]
pub fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let format = match reading.format {
        Format::Auto => detect::format(bytes),
        declared => declared,
    };
    if let Some(reason) = detect::no_list(bytes) {
        return collect::refused(format, bytes, 1, reason);
    }
    match format {
        Format::Auto | Format::Plain | Format::Netset => plain::parse(format, reading, bytes),
        Format::Hosts => hosts::parse(reading, bytes),
        Format::Csv => columns::parse(reading, bytes),
        Format::Jsonl => jsonl::parse(reading, bytes),
        Format::Spamhaus => spamhaus::parse(reading, bytes),
        Format::Feodo => feodo::parse(reading, bytes),
        Format::Threatfox => threatfox::parse(reading, bytes),
        Format::Sslbl => sslbl::parse(reading, bytes),
        Format::Urlhaus => urlhaus::parse(reading, bytes),
        Format::Ipsum => ipsum::parse(reading, bytes),
        Format::Reputation => reputation::parse(reading, bytes),
        Format::Dshield => dshield::parse(reading, bytes),
        Format::Tor => tor::parse(reading, bytes),
        Format::Stix => stix::parse(reading, bytes),
        Format::Misp => misp::parse(reading, bytes),
        Format::Crowdsec => crowdsec::parse(reading, bytes),
    }
}
