//! `feed check`, as a user meets it: without an agent, and without rights.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::captures;
use crate::program::{self, Answer};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/feeds")
}

fn check(arguments: &[&str]) -> Answer {
    program::run_in(&folder(), [&["feed", "check"], arguments].concat())
}

/// The document, and the exit code.
fn document(arguments: &[&str]) -> (Value, i32) {
    let answer = check(&[arguments, &["--output", "json"]].concat());
    assert_eq!(answer.stderr, "");
    (serde_json::from_str(&answer.stdout).unwrap(), answer.code)
}

/// What `feed check -` says of a list.
fn of_text(text: &[u8], arguments: &[&str]) -> (String, i32) {
    let mut command = program::command();
    command.args(["feed", "check", "-"]).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text).unwrap();
    let output = child.wait_with_output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
}

#[test]
fn a_list_as_json_has_every_figure() {
    let (found, code) = document(&["mixed.txt"]);
    assert_eq!(code, 0, "{found:#}");
    let field = |name: &str| found[name].clone();
    let figures = ["entries", "unique", "ipv4", "ipv6", "domains", "aggregated", "addresses_ipv4"].map(field);
    // 203.0.113.0/24, 198.51.100.0/25, 198.51.100.128/30, 10.0.0.0/8, 8.8.8.8 and 2001:db8:bad::/48
    let addresses = 256 + 128 + 4 + (1 << 24) + 1;
    assert_eq!(figures, [8, 7, 6, 1, 0, 6, addresses].map(|number: u64| json!(number)));
    assert_eq!(found["format"], "plain");
    assert_eq!(found["shortest_prefix"], "10.0.0.0/8");
    assert_eq!((&found["oldest"], &found["newest"]), (&Value::Null, &Value::Null));
    assert_eq!(found["held"], json!([]));
    let rejected = found["rejected"].as_array().unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!((&rejected[0]["line"], &rejected[0]["text"]), (&json!(10), &json!("not an address")));
    assert!(rejected[0]["reason"].is_string());
    let removed: Vec<_> =
        found["removed"].as_array().unwrap().iter().map(|it| (&it["entry"], &it["reason"])).collect();
    let expected = [
        (&json!("8.8.8.8/32"), &json!("a public service for names or time")),
        (&json!("10.0.0.0/8"), &json!("private addresses")),
    ];
    assert_eq!(removed, expected);
}

#[test]
fn a_list_as_text() {
    let answer = check(&["mixed.txt"]);
    assert_snapshot!("feed_check", format!("exit {}\n{}{}", answer.code, answer.stdout, answer.stderr));
}

#[test]
fn what_is_no_list_would_be_held_and_is_a_finding() {
    for (name, reason) in [
        ("page.html", "nothing of it can be used: line 1: this is HTML, not a list"),
        ("empty.txt", "it lists nothing"),
        ("../replay/small.pcap", "nothing of it can be used: line 1: this is binary data, not a list"),
    ] {
        let (found, code) = document(&[name]);
        assert_eq!((code, &found["held"]), (1, &json!([reason])), "{name}");
        assert_eq!(found["shortest_prefix"], Value::Null);
        let answer = check(&[name]);
        assert_eq!(answer.code, 1);
        assert!(answer.stdout.ends_with("this list would be held: the last good one would stay\n"));
    }
}

#[test]
fn a_poisoned_list_is_a_finding() {
    let text = b"0.0.0.0/0\n0.0.0.0/1\n::/0\n::/1\n10.0.0.0/8\n8.8.8.8\n1.1.1.1\n2620:fe::fe\n";
    let (found, code) = of_text(text, &[]);
    assert_eq!(code, 1, "{found}");
    assert!(found.contains("held      "), "{found}");
    assert!(found.contains("`8.8.8.8/32`: a public service for names or time"), "{found}");
}

#[test]
fn what_the_configuration_guards_is_removed() {
    let config = captures::folder().join("config.toml").display().to_string();
    let text = b"10.77.1.10\n203.0.113.9\n";
    let reason = |arguments: &[&str]| {
        let (found, code) = of_text(text, &[arguments, &["--output", "json"]].concat());
        assert_eq!(code, 0, "{found}");
        let found: Value = serde_json::from_str(&found).unwrap();
        found["removed"][0]["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(reason(&[]), "private addresses");
    // Of ranges that nest, the outer one is told.
    assert_eq!(reason(&["--config", &config]), "private addresses");
    let guarded = tempfile::tempdir().unwrap();
    let path = guarded.path().join("config.toml");
    let text = "[interfaces]\ndevice = [\"eth1\"]\nuplink = [\"eth0\"]\n\
                [management]\nallow = [{ ip = \"203.0.113.9\", ports = [\"22/tcp\"] }]\n";
    std::fs::write(&path, text).unwrap();
    let (found, code) = of_text(b"203.0.113.9\n203.0.113.10\n", &["--config", &path.display().to_string()]);
    assert_eq!(code, 0);
    assert!(found.contains("`203.0.113.9/32`: a management peer"), "{found}");
    assert!(found.ends_with("this list would be loaded: 1 entry\n"), "{found}");

    let policy = "version = 1\n[profiles.ct]\nallow = [{ to = \"any\", service = \"https\" }]\n\
                  [protected]\npairs = [{ device = \"ct-*\", peer = \"203.0.113.5\" }]\n";
    std::fs::write(guarded.path().join("policy.toml"), policy).unwrap();
    let devices = "name,mac,ip,vlan,profile\nct-1,02:00:00:00:01:01,198.51.100.11,,ct\n";
    std::fs::write(guarded.path().join("devices.csv"), devices).unwrap();
    let text = b"203.0.113.5\n198.51.100.0/24\n198.51.100.11\n203.0.113.10\n";
    let (found, code) = of_text(text, &["--config", &path.display().to_string(), "--output", "json"]);
    assert_eq!(code, 0, "{found}");
    let found: Value = serde_json::from_str(&found).unwrap();
    let expected = [
        ("198.51.100.0/24", "198.51.100.11/32", "the address of a device"),
        ("198.51.100.11/32", "198.51.100.11/32", "the address of a device"),
        ("203.0.113.5/32", "203.0.113.5/32", "the peer of a protected pair"),
    ];
    let expected =
        expected.map(|(entry, part, reason)| json!({"entry": entry, "part": part, "reason": reason}));
    assert_eq!(found["removed"], json!(expected));
    assert_eq!(found["listed"], 2);
}

#[test]
fn long_accounts_are_cut_in_text_and_whole_in_json() {
    let lines: String = (1..=400).map(|low| format!("198.18.1.{}\n", low % 250)).collect();
    let text = lines + &"no\n".repeat(30);
    let (shown, code) = of_text(text.as_bytes(), &[]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("\nrejected  30\n") && shown.contains("\n  and 10 more; "), "{shown}");
    let (found, _) = of_text(text.as_bytes(), &["--output", "json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["rejected"].as_array().map(Vec::len), Some(30));
}

#[test]
fn what_cannot_be_read_is_a_failure_that_says_what_to_do() {
    for (arguments, expected) in [
        (&["absent.txt"][..], "failed to read `absent.txt`"),
        (&["mixed.txt", "--format", "rss"], "there is no such format; there are auto, plain"),
        (&["mixed.txt", "--config", "absent.toml"], "failed to read the configuration `absent.toml`"),
    ] {
        let answer = check(arguments);
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""));
        assert!(answer.stderr.contains(expected), "{}", answer.stderr);
    }
}
