//! `plan`, from files and what is kept.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use iomt_filter::contacts::{Contacts, Direction, Opening, Reading, Seen};
use iomt_filter_common::flow::FlowKey;
use iomt_filter_common::packet::protocol;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

use crate::captures::folder;
use crate::program::{self, Answer};

/// The files of the replays, with a state folder in which two contacts are kept.
fn site() -> TempDir {
    let site = tempfile::tempdir().unwrap();
    for name in ["policy.toml", "devices.csv", "blocked.txt", "invalid.toml"] {
        fs::copy(folder().join(name), site.path().join(name)).unwrap();
    }
    let config = fs::read_to_string(folder().join("config.toml")).unwrap();
    let config = config.replace("[paths]\n", "[paths]\nstate = \"state\"\nsocket = \"control.sock\"\n");
    fs::write(site.path().join("config.toml"), config).unwrap();
    let policy = fs::read_to_string(site.path().join("policy.toml")).unwrap();
    let without = policy.replace("  { to = \"pacs\", service = \"dicom\" },\n", "");
    fs::write(site.path().join("without.toml"), without).unwrap();
    fs::create_dir(site.path().join("state")).unwrap();
    let contacts = Contacts::open(&site.path().join("state/history.db")).unwrap();
    let seen = [("ct-1", "10.10.0.11", "10.20.0.10", 104), ("pump-7", "10.10.0.27", "10.0.0.53", 53)];
    let seen = seen.map(|(device, source, destination, port)| Seen {
        device: device.into(),
        direction: Direction::FromDevice,
        key: FlowKey {
            source: source.parse::<std::net::IpAddr>().unwrap().into(),
            destination: destination.parse::<std::net::IpAddr>().unwrap().into(),
            source_port: 49_152,
            destination_port: port,
            protocol: if port == 53 { protocol::UDP } else { protocol::TCP },
            ..FlowKey::default()
        },
        packets: 40,
        bytes: 4_000,
        last_seen: Timestamp::now() - SignedDuration::from_hours(3),
        forgotten: 1,
        is_outside: false,
        opening: Opening::default(),
    });
    contacts.record(&seen, Reading { boot: 7, until: 1 }).unwrap();
    site
}

fn ask(site: &Path, more: &[&str]) -> Answer {
    program::run_in(site, [&["plan", "--config", "config.toml"], more].concat())
}

/// Without what differs from run to run and from host to host: times, and what tables take.
fn shown(answer: &Answer) -> String {
    let masked = |word: &str| {
        let is_time = word.len() >= 20 && word.ends_with('Z') && word.starts_with("20");
        if is_time { "TIME".to_owned() } else { word.to_owned() }
    };
    let masked = |line: &str| line.split(' ').map(masked).collect::<Vec<_>>().join(" ");
    let is_of_tables = |line: &&str| line.starts_with("table ") || line.starts_with("rows ");
    let lines: Vec<_> = answer.stdout.lines().filter(|line| !is_of_tables(line)).map(masked).collect();
    format!("exit {}\n--- stdout\n{}\n--- stderr\n{}", answer.code, lines.join("\n"), answer.stderr)
}

#[test]
fn what_would_be_cut_comes_first() {
    let site = site();
    assert_snapshot!("plan_cut", shown(&ask(site.path(), &["--policy", "without.toml"])));
    let devices = "name,mac,ip,vlan,profile\nct-1,02:00:00:00:01:01,10.10.0.11,110,ct-scanner\n\
                   ct-2,02:00:00:00:01:02,10.10.0.12,,ct-scanner\n";
    fs::write(site.path().join("others.csv"), devices).unwrap();
    assert_snapshot!("plan_devices", shown(&ask(site.path(), &["--devices", "others.csv"])));
}

#[test]
fn nothing_is_compared_without_an_agent_and_other_files() {
    let site = site();
    assert_snapshot!("plan_history", shown(&ask(site.path(), &["--offline"])));
    let again = ask(site.path(), &["--policy", "policy.toml"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stdout.contains("nothing changes"), "{again:?}");
}

#[test]
fn one_document() {
    let site = site();
    let answer = ask(site.path(), &["--policy", "without.toml", "--output", "json"]);
    let plan: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(answer.code, 1);
    assert_eq!(plan["cuts"][0]["endpoint"], "pacs");
    let documented = fs::read_to_string(iomt_filter_tests::readme::root().join("docs/plan.md")).unwrap();
    for (object, at) in [("plan", &plan), ("changes", &plan["changes"]), ("cuts", &plan["cuts"][0])] {
        for name in at.as_object().unwrap().keys() {
            assert!(
                documented.contains(&format!("`{name}`")),
                "docs/plan.md does not tell `{name}` of {object}"
            );
        }
    }
}

#[test]
fn what_cannot_be_planned() {
    let site = site();
    assert_snapshot!("plan_invalid", shown(&ask(site.path(), &["--policy", "invalid.toml"])));
    let checked =
        program::run_in(site.path(), ["check", "--config", "config.toml", "--policy", "invalid.toml"]);
    let errors = checked.stderr.lines().next().unwrap();
    assert!(ask(site.path(), &["--policy", "invalid.toml"]).stderr.contains(errors), "as `check` says it");
    assert_snapshot!("plan_absent", shown(&ask(site.path(), &["--policy", "absent.toml"])));
    assert_snapshot!("plan_since", shown(&ask(site.path(), &["--since", "30"])));
}
