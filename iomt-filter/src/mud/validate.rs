//! Whether a file is what the YANG modules of RFC 8520 and RFC 8519 want: `ietf-mud` and `ietf-acldns` of 2019-01-28,
//! `ietf-access-control-list` of 2019-03-04, as JSON by RFC 7951.
//!
//! A document comes in, each breach with its place goes out. This is the strict reading for what is written here; what
//! is read of others goes by [`read`](super::read()).

use std::collections::BTreeSet;

use ipnet::{Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use serde_json::{Map, Value};
use url::Url;

use super::object::is_empty_leaf;

/// What a node may hold.
enum Kind {
    Number(u64, u64),
    Text(usize, usize),
    Truth,
    Empty,
    Word(&'static [&'static str]),
    Date,
    Uri,
    V4,
    V6,
    Texts,
    /// What this filter does not write and does not look into.
    Whatever,
    Container(&'static [Node]),
    /// By `name`, each once.
    List(&'static [Node]),
}

/// A node: its name, whether it must be there, and what it holds.
type Node = (&'static str, bool, Kind);

const POLICY: Kind = Kind::Container(&[(
    "access-lists",
    false,
    Kind::Container(&[("access-list", false, Kind::List(&[("name", true, Kind::Text(1, 64))]))]),
)]);

const MUD: &[Node] = &[
    ("mud-version", true, Kind::Number(1, 1)),
    ("mud-url", true, Kind::Uri),
    ("last-update", true, Kind::Date),
    ("mud-signature", false, Kind::Uri),
    ("cache-validity", false, Kind::Number(1, 168)),
    ("is-supported", true, Kind::Truth),
    ("systeminfo", false, Kind::Text(0, usize::MAX)),
    ("mfg-name", false, Kind::Text(0, usize::MAX)),
    ("model-name", false, Kind::Text(0, usize::MAX)),
    ("firmware-rev", false, Kind::Text(0, usize::MAX)),
    ("software-rev", false, Kind::Text(0, usize::MAX)),
    ("documentation", false, Kind::Uri),
    ("extensions", false, Kind::Texts),
    ("from-device-policy", false, POLICY),
    ("to-device-policy", false, POLICY),
];

const PORT: Kind = Kind::Container(&[
    ("operator", false, Kind::Word(&["eq", "neq", "lte", "gte"])),
    ("port", false, Kind::Number(0, 65_535)),
    ("lower-port", false, Kind::Number(0, 65_535)),
    ("upper-port", false, Kind::Number(0, 65_535)),
]);

const MATCHES: &[Node] = &[
    (
        "ietf-mud:mud",
        false,
        Kind::Container(&[
            ("manufacturer", false, Kind::Text(1, 253)),
            ("same-manufacturer", false, Kind::Empty),
            ("model", false, Kind::Uri),
            ("local-networks", false, Kind::Empty),
            ("controller", false, Kind::Uri),
            ("my-controller", false, Kind::Empty),
        ]),
    ),
    ("eth", false, Kind::Whatever),
    (
        "ipv4",
        false,
        Kind::Container(&[
            ("protocol", false, Kind::Number(0, 255)),
            ("dscp", false, Kind::Number(0, 63)),
            ("ttl", false, Kind::Number(0, 255)),
            ("source-ipv4-network", false, Kind::V4),
            ("destination-ipv4-network", false, Kind::V4),
            ("ietf-acldns:src-dnsname", false, Kind::Text(1, 253)),
            ("ietf-acldns:dst-dnsname", false, Kind::Text(1, 253)),
        ]),
    ),
    (
        "ipv6",
        false,
        Kind::Container(&[
            ("protocol", false, Kind::Number(0, 255)),
            ("dscp", false, Kind::Number(0, 63)),
            ("ttl", false, Kind::Number(0, 255)),
            ("source-ipv6-network", false, Kind::V6),
            ("destination-ipv6-network", false, Kind::V6),
            ("ietf-acldns:src-dnsname", false, Kind::Text(1, 253)),
            ("ietf-acldns:dst-dnsname", false, Kind::Text(1, 253)),
        ]),
    ),
    (
        "tcp",
        false,
        Kind::Container(&[
            ("ietf-mud:direction-initiated", false, Kind::Word(&["to-device", "from-device"])),
            ("source-port", false, PORT),
            ("destination-port", false, PORT),
        ]),
    ),
    ("udp", false, Kind::Container(&[("source-port", false, PORT), ("destination-port", false, PORT)])),
    (
        "icmp",
        false,
        Kind::Container(&[("type", false, Kind::Number(0, 255)), ("code", false, Kind::Number(0, 255))]),
    ),
];

const ACTIONS: &[Node] = &[
    ("forwarding", true, Kind::Word(&["accept", "drop", "reject"])),
    ("logging", false, Kind::Word(&["log-syslog", "log-none"])),
];

const ACLS: &[Node] = &[(
    "acl",
    false,
    Kind::List(&[
        ("name", true, Kind::Text(1, 64)),
        ("type", false, Kind::Word(&["ipv4-acl-type", "ipv6-acl-type", "eth-acl-type"])),
        (
            "aces",
            false,
            Kind::Container(&[(
                "ace",
                false,
                Kind::List(&[
                    ("name", true, Kind::Text(1, 64)),
                    ("matches", false, Kind::Container(MATCHES)),
                    ("actions", true, Kind::Container(ACTIONS)),
                ]),
            )]),
        ),
    ]),
)];

const FILE: &[Node] = &[
    ("ietf-mud:mud", true, Kind::Container(MUD)),
    ("ietf-access-control-list:acls", false, Kind::Container(ACLS)),
];

/// What a file breaches, each with its place; nothing where it is valid.
#[must_use]
pub fn validate(file: &Value) -> Vec<String> {
    let mut found = Vec::new();
    container(file, FILE, "", &mut found);
    if found.is_empty() {
        references(file, &mut found);
        choices(file, &mut found);
    }
    found
}

fn container(value: &Value, nodes: &[Node], place: &str, found: &mut Vec<String>) {
    let Some(members) = value.as_object() else {
        return found.push(format!("{place}: no object"));
    };
    for (name, must, kind) in nodes {
        match members.get(*name) {
            Some(value) => node(value, kind, &format!("{place}/{name}"), found),
            None if *must => found.push(format!("{place}/{name}: missing")),
            None => {}
        }
    }
    for name in members.keys().filter(|name| !nodes.iter().any(|(known, ..)| known == name)) {
        found.push(format!("{place}/{name}: unknown"));
    }
}

fn node(value: &Value, kind: &Kind, place: &str, found: &mut Vec<String>) {
    let text = value.as_str();
    let is_good = match kind {
        Kind::Container(nodes) => return container(value, nodes, place, found),
        Kind::List(nodes) => return list(value, nodes, place, found),
        Kind::Number(least, most) => value.as_u64().is_some_and(|number| (least..=most).contains(&&number)),
        Kind::Text(least, most) => text.is_some_and(|text| (*least..=*most).contains(&text.chars().count())),
        Kind::Truth => value.is_boolean(),
        Kind::Empty => value.is_array() && is_empty_leaf(value),
        Kind::Word(words) => text.is_some_and(|text| words.contains(&text)),
        Kind::Date => text.is_some_and(|text| text.parse::<Timestamp>().is_ok()),
        Kind::Uri => text.is_some_and(|text| Url::parse(text).is_ok()),
        Kind::V4 => text.is_some_and(|text| text.parse::<Ipv4Net>().is_ok()),
        Kind::V6 => text.is_some_and(|text| text.parse::<Ipv6Net>().is_ok()),
        Kind::Texts => value.as_array().is_some_and(|texts| texts.iter().all(Value::is_string)),
        Kind::Whatever => true,
    };
    if !is_good {
        found.push(format!("{place}: not as it has to be"));
    }
}

fn list(value: &Value, nodes: &[Node], place: &str, found: &mut Vec<String>) {
    let Some(items) = value.as_array() else {
        return found.push(format!("{place}: no list"));
    };
    let mut keys = BTreeSet::new();
    for (number, item) in items.iter().enumerate() {
        let place = format!("{place}[{number}]");
        container(item, nodes, &place, found);
        if let Some(key) = item.get("name").filter(|key| !keys.insert(key.as_str())) {
            found.push(format!("{place}: another one is called {key}"));
        }
    }
}

fn items<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Policies name lists that there are (`leafref`).
fn references(file: &Value, found: &mut Vec<String>) {
    let lists: BTreeSet<_> = items(file, "/ietf-access-control-list:acls/acl")
        .filter_map(|list| list.get("name")?.as_str())
        .collect();
    for policy in ["from-device-policy", "to-device-policy"] {
        let named = items(file, &format!("/ietf-mud:mud/{policy}/access-lists/access-list"));
        for name in named.filter_map(|list| list.get("name")?.as_str()).filter(|name| !lists.contains(name)) {
            found.push(format!("/ietf-mud:mud/{policy}: there is no list `{name}`"));
        }
    }
}

/// One of each choice (`l3`, `l4`, ports), and no header of another version than the list is of.
fn choices(file: &Value, found: &mut Vec<String>) {
    for list in items(file, "/ietf-access-control-list:acls/acl") {
        let refused = match list.get("type").and_then(Value::as_str) {
            Some("ipv4-acl-type") => &["ipv6", "eth"][..],
            Some("ipv6-acl-type") => &["ipv4", "eth"],
            Some("eth-acl-type") => &["ipv4", "ipv6"],
            _ => &[],
        };
        for entry in items(list, "/aces/ace") {
            let Some(matches) = entry.get("matches").and_then(Value::as_object) else { continue };
            let has = |names: &[&str]| names.iter().filter(|name| matches.contains_key(**name)).count();
            let ports = ["tcp", "udp"].iter().filter_map(|name| matches.get(*name)?.as_object());
            let ports = ports.flat_map(|of| ["source-port", "destination-port"].map(|name| of.get(name)));
            let is_bad = has(refused) > 0
                || has(&["ipv4", "ipv6"]) > 1
                || has(&["tcp", "udp", "icmp"]) > 1
                || !ports.flatten().filter_map(Value::as_object).all(is_port);
            if is_bad {
                found.push(format!(
                    "list {}, entry {}: its choices contradict each other",
                    list["name"], entry["name"]
                ));
            }
        }
    }
}

fn is_port(port: &Map<String, Value>) -> bool {
    let number = |name: &str| port.get(name).and_then(Value::as_u64);
    match (number("port"), number("lower-port"), number("upper-port")) {
        (Some(_), None, None) => true,
        (None, Some(lower), Some(upper)) => lower <= upper && !port.contains_key("operator"),
        _ => false,
    }
}
