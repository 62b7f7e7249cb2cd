//! MUD files: what becomes of each part of them, and that nothing in one is guessed, trusted or lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod entries;
mod export;
mod files;

use std::collections::BTreeMap;

use iomt_filter::diagnostic::SourceFile;
use iomt_filter::mud::{self, Answer, Bindings, Ground, Imported, Mud};
use iomt_filter::policy::Policy;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) const URL: &str = "https://pump.example/pump9000.json";

pub(crate) const BINDINGS: &str = r#"
local_networks = ["10.0.0.0/8", "fd00::/8"]
[controllers]
"urn:ietf:params:mud:dns" = "dns"
"urn:ietf:params:mud:gateway" = "gateway"
[my_controllers]
"https://pump.example/pump9000.json" = ["10.20.0.20", "fd00:20::20"]
[manufacturers]
"pump.example" = "pump"
"other.example" = "ct"
[models]
"https://other.example/ct.json" = "ct"
"#;

pub(crate) const POLICY: &str = r#"version = 1
[endpoints]
dns = ["10.0.0.53"]
server = ["10.20.0.20", "fd00:20::20"]
[services]
dose = ["8443/tcp"]
[profiles.ct]
[profiles.pump]
mode = "enforce"
geo = { deny = ["RU"] }
allow = [
  { to = "server", service = ["hl7", "dose"], note = "orders" },
  { from = "server", service = ["4000-4010/udp", "icmp", "icmpv6"] },
  { to = "dns", service = "dns" },
  { to = "gateway", service = "dhcp" },
  { to = "198.51.100.0/24", service = "https" },
  { to = ["profile:pump", "profile:ct"], service = "ws-discovery" },
  { to = "any", service = "proto/6" },
  { to = "10.0.0.9", service = "any" },
  { to = "10.0.0.10", service = "proto/47" },
]
"#;

pub(crate) fn policy() -> Policy {
    Policy::parse(&SourceFile::new("policy.toml", POLICY)).unwrap().0
}

/// A file with one list of IPv4 for each direction.
pub(crate) fn file(from: Value, to: Value) -> Value {
    let list =
        |name: &str, entries: Value| json!({"name": name, "type": "ipv4-acl-type", "aces": {"ace": entries}});
    let policy = |name: &str| json!({"access-lists": {"access-list": [{"name": name}]}});
    json!({
        "ietf-mud:mud": {
            "mud-version": 1, "mud-url": URL, "last-update": "2026-01-28T11:20:51+01:00", "cache-validity": 48,
            "is-supported": true, "systeminfo": "a pump", "model-name": "Pump 9000",
            "from-device-policy": policy("fr"), "to-device-policy": policy("to"),
        },
        "ietf-access-control-list:acls": {"acl": [list("fr", from), list("to", to)]},
    })
}

pub(crate) fn ace(matches: Value) -> Value {
    json!({"name": "x", "matches": matches, "actions": {"forwarding": "accept"}})
}

pub(crate) fn read(file: &Value) -> Mud {
    mud::read(file.to_string().as_bytes()).unwrap()
}

pub(crate) fn imported_with(
    file: &Value,
    bindings: &str,
    answers: &BTreeMap<String, Answer>,
    widen: bool,
) -> Imported {
    let bindings = Bindings::parse(&SourceFile::new("bindings.toml", bindings)).unwrap();
    let vocabulary = policy().vocabulary;
    let ground = Ground { bindings: &bindings, answers, vocabulary: &vocabulary, profile: "pump", widen };
    mud::import(&read(file), &ground)
}

pub(crate) fn imported(file: &Value) -> Imported {
    let answer = |addresses: &[&str]| Answer {
        addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
        at: Timestamp::UNIX_EPOCH,
        is_kept: false,
    };
    let answers = BTreeMap::from([
        ("cloud.example".to_owned(), answer(&["198.51.100.7", "198.51.100.8", "2001:db8::7"])),
        ("rebound.example".to_owned(), answer(&["127.0.0.1", "0.0.0.0", "10.20.0.20"])),
        ("nowhere.example".to_owned(), answer(&["127.0.0.1"])),
    ]);
    imported_with(file, BINDINGS, &answers, false)
}

/// Rules in short.
pub(crate) fn rules(imported: &Imported) -> Vec<String> {
    let rule = |rule: &mud::Rule| {
        format!("{} {} {}", rule.direction.name(), rule.peers.join(","), rule.services.join(","))
    };
    imported.rules.iter().map(rule).collect()
}

/// The rules of one entry of the device.
pub(crate) fn from_device(matches: Value) -> Vec<String> {
    rules(&imported(&file(json!([ace(matches)]), json!([]))))
}

/// Why one entry of the device is left out.
pub(crate) fn refused(matches: Value) -> String {
    let imported = imported(&file(json!([ace(matches)]), json!([])));
    assert_eq!(rules(&imported), Vec::<String>::new());
    let [left] = imported.left_out.as_slice() else { panic!("{imported}") };
    assert_eq!(left.place, "fr/x");
    left.why.clone()
}

pub(crate) fn tcp(port: u16) -> Value {
    json!({"ietf-mud:direction-initiated": "from-device", "destination-port": {"operator": "eq", "port": port}})
}
