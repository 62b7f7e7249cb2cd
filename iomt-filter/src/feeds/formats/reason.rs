//! Why a line or a record of a list is of no use, and whether that is the list's fault.
//!
//! Nothing comes in; names and messages go out. What the gate does about them is its own business.

use serde::Serialize;
use thiserror::Error;

/// Why a line is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
#[allow(missing_docs, reason = "the message of each says what it is")]
pub enum RejectReason {
    #[error("this is HTML, not a list")]
    Html,
    #[error("this is binary data, not a list")]
    Binary,
    #[error("this is compressed data; unpack it first")]
    Compressed,
    #[error("this is JSON, not lines of text; the list has another format")]
    Json,
    #[error("this is no JSON; the list has another format")]
    NotJson,
    #[error("the JSON breaks off or is malformed here, so nothing of the document is used")]
    BrokenJson,
    #[error("the source answers with an error instead of a list")]
    Answer,
    #[error("more entries or unreadable lines than a list may have, so nothing of it is used")]
    TooMany,
    #[error("covers every address")]
    Everything,
    #[error("more than an address on the line; the list may have another format")]
    MoreColumns,
    #[error("the prefix length is too large, or no number")]
    PrefixLength,
    #[error("the range ends before it begins, or mixes IPv4 and IPv6")]
    Range,
    #[error("the port is no number from 1 to 65535")]
    Port,
    #[error("neither an address nor a prefix nor a domain")]
    Unreadable,
    #[error("a quoted field does not end on its line")]
    Quote,
    #[error("no column has that name or number, so nothing of the table is used")]
    NoColumn,
    #[error("the record has no address where one is expected")]
    NoValue,
    #[error("the record is not built as this format wants it")]
    Record,
    #[error("the address in front of the name is no sink such as `0.0.0.0`")]
    NoSink,
    #[error("the value is of another kind than the record says")]
    Kind,
    #[error("the duration is none such as `4h0m0s`")]
    Duration,
    #[error("the pattern is malformed")]
    PatternSyntax,
    #[error("a name that the host has for itself")]
    LocalName,
    #[error("a file hash; only addresses and domains are kept")]
    Hash,
    #[error("an AS number; only addresses and domains are kept")]
    AsNumber,
    #[error("an e-mail address; only addresses of hosts and domains are kept")]
    Email,
    #[error("a wildcard; only whole domain names are kept")]
    Wildcard,
    #[error("the path of a URL without a host")]
    UrlPath,
    #[error("another kind of indicator; only addresses and domains are kept")]
    OtherKind,
    #[error("not marked for detection (`to_ids`)")]
    NotToIds,
    #[error("marked as deleted")]
    Deleted,
    #[error("a simulated decision")]
    Simulated,
    #[error("a decision that is no ban")]
    NoBan,
    #[error("a decision about something else than addresses")]
    Scope,
    #[error("its time is over")]
    Expired,
    #[error("revoked")]
    Revoked,
    #[error("a newer version of it is in the list")]
    Superseded,
    #[error("marked as benign")]
    Benign,
    #[error("an object that is no indicator")]
    OtherObject,
    #[error("a pattern in another language than STIX")]
    PatternLanguage,
    #[error("a pattern about something else than addresses, domains and URLs")]
    PatternObject,
    #[error(
        "a pattern with an operator that no list can express (`NOT`, `!=`, `<`, `>`, `LIKE`, `MATCHES` …)"
    )]
    PatternOperator,
    #[error("a pattern that joins conditions with `AND`")]
    PatternAnd,
    #[error("a pattern of an order or a time (`FOLLOWEDBY`, `WITHIN`, `REPEATS`, `START`)")]
    PatternTime,
}

impl RejectReason {
    /// Whether the line could not be understood. What is well-formed and merely of no use here is no fault of the
    /// list, and says nothing about whether it can be trusted.
    #[must_use]
    pub fn is_fault(self) -> bool {
        match self {
            Self::Html
            | Self::Binary
            | Self::Compressed
            | Self::Json
            | Self::NotJson
            | Self::BrokenJson
            | Self::Answer
            | Self::TooMany
            | Self::Everything
            | Self::MoreColumns
            | Self::PrefixLength
            | Self::Range
            | Self::Port
            | Self::Unreadable
            | Self::Quote
            | Self::NoColumn
            | Self::NoValue
            | Self::Record
            | Self::NoSink
            | Self::Kind
            | Self::Duration
            | Self::PatternSyntax => true,
            Self::LocalName
            | Self::Hash
            | Self::AsNumber
            | Self::Email
            | Self::Wildcard
            | Self::UrlPath
            | Self::OtherKind
            | Self::NotToIds
            | Self::Deleted
            | Self::Simulated
            | Self::NoBan
            | Self::Scope
            | Self::Expired
            | Self::Revoked
            | Self::Superseded
            | Self::Benign
            | Self::OtherObject
            | Self::PatternLanguage
            | Self::PatternObject
            | Self::PatternOperator
            | Self::PatternAnd
            | Self::PatternTime => false,
        }
    }
}

impl Serialize for RejectReason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
