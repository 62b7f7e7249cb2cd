//! Records of no particular source: which fields they may have, and what these are usually called.
//!
//! Texts of fields come in, an entry goes out. Names are compared as [`super::table::name`] makes them.

use std::borrow::Cow;

use super::RejectReason;
use super::category;
use super::collect::{Collector, Facts, Place, given, kept};
use crate::feeds::entry::About;

/// A field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in the configuration")]
pub(super) enum Field {
    Value,
    Port,
    Score,
    Category,
    FirstSeen,
    LastSeen,
    Expires,
    Reference,
    Label,
}

/// Every field with its usual names, the likeliest first.
pub(super) const FIELDS: &[(Field, &[&str])] = &[
    (
        Field::Value,
        &[
            "ip",
            "ip_address",
            "ipaddress",
            "ip_addr",
            "ipv4",
            "ipv6",
            "address",
            "addr",
            "cidr",
            "prefix",
            "network",
            "netblock",
            "subnet",
            "dst_ip",
            "dstip",
            "dest_ip",
            "destination_ip",
            "src_ip",
            "srcip",
            "source_ip",
            "indicator",
            "ioc",
            "ioc_value",
            "observable",
            "value",
            "host",
            "hostname",
            "domain",
            "domain_name",
            "fqdn",
            "url",
        ],
    ),
    (Field::Port, &["port", "dst_port", "dstport", "dest_port", "destination_port"]),
    (
        Field::Score,
        &["score", "confidence", "confidence_level", "risk_score", "threat_score", "abuse_confidence_score"],
    ),
    (Field::Category, &["category", "threat_type", "threat", "classification", "type"]),
    (
        Field::FirstSeen,
        &["first_seen", "firstseen", "first_seen_utc", "date_added", "dateadded", "added", "created", "date"],
    ),
    (
        Field::LastSeen,
        &["last_seen", "lastseen", "last_seen_utc", "last_online", "updated", "modified", "timestamp"],
    ),
    (Field::Expires, &["expires", "expires_at", "expiration", "expiry", "valid_until", "until"]),
    (Field::Reference, &["reference", "ref", "link", "id"]),
    (
        Field::Label,
        &[
            "label",
            "malware",
            "malware_printable",
            "family",
            "name",
            "tags",
            "tag",
            "description",
            "reason",
            "comment",
            "note",
        ],
    ),
];

/// The first name of a field that `has`.
pub(super) fn named(field: Field, mut has: impl FnMut(&str) -> bool) -> Option<&'static str> {
    let (_, names) = FIELDS.iter().find(|(known, _)| *known == field)?;
    names.iter().copied().find(|name| has(name))
}

/// Adds a record of which `get` gives the fields.
pub(super) fn add<'t>(
    collector: &mut Collector,
    place: Place<'_>,
    get: impl Fn(Field) -> Option<Cow<'t, str>>,
) {
    let value = get(Field::Value);
    let Some(value) = given(value.as_deref()) else {
        return collector.reject(place, RejectReason::NoValue);
    };
    let line = place.line;
    let category = get(Field::Category);
    let about = About {
        category: given(category.as_deref()).map(category::of),
        first_seen: collector.time("first_seen", line, get(Field::FirstSeen).as_deref()),
        last_seen: collector.time("last_seen", line, get(Field::LastSeen).as_deref()),
        expires: collector.time("expires", line, get(Field::Expires).as_deref()),
        reference: kept(get(Field::Reference).as_deref()),
        label: kept(get(Field::Label).as_deref()),
    };
    let facts = Facts {
        port: collector.port(line, get(Field::Port).as_deref()),
        score: collector.score(line, get(Field::Score).as_deref()),
        about,
    };
    collector.value(place, value, facts);
}
