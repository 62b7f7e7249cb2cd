//! The audit log on the command line: written by `bundle apply`, looked at and printed without an agent.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{self, Answer};

const CONFIG: &str = r#"
[interfaces]
device = ["eth1"]
[paths]
state = "state"
[bundle]
key = "maker.pub"
[[feed]]
name = "c2"
path = "c2.txt"
"#;

/// A folder of a host that makes bundles and applies them.
struct Site(TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(TempDir::new().unwrap());
        for (name, text) in [
            ("config.toml", CONFIG),
            ("policy.toml", "version = 1\n[profiles.ct]\n"),
            ("devices.toml", ""),
            ("c2.txt", "203.0.113.9\n"),
        ] {
            fs::write(site.path(name), text).unwrap();
        }
        assert_eq!(site.run(&["bundle", "key", "--no-password", "maker"]).code, 0);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, words: &[&str]) -> Answer {
        program::run_in(self.0.path(), ["--config", "config.toml"].iter().chain(words))
    }

    /// Makes a bundle and applies it; its version.
    fn carry(&self, note: &str) -> u64 {
        let create = ["bundle", "create", "--out", "x.bundle", "--key", "maker.key", "--version-note", note];
        let made = self.run(&[&create[..], &["--output", "json"]].concat());
        let answer = self.run(&["bundle", "apply", "x.bundle"]);
        assert_eq!(answer.code, 0, "{answer:?}");
        serde_json::from_str::<Value>(&made.stdout).unwrap()["version"].as_u64().unwrap()
    }

    fn lines(&self, more: &[&str]) -> Vec<Value> {
        let answer = self.run(&[&["audit", "export", "--output", "json"], more].concat());
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
        answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn a_bundle_that_is_applied_is_in_a_log_that_holds_together() {
    let site = Site::new();
    let first = site.carry("lists of november");
    let second = site.carry("lists of \u{7f}december");
    let lines = site.lines(&[]);
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["what"], &lines[0]["about"]), (&json!("bundle apply"), &json!(first.to_string())));
    assert_eq!(lines[0]["note"], "lists of november");
    assert_eq!(
        (&lines[0]["before"]["version"], &lines[1]["before"]["version"]),
        (&Value::Null, &json!(first))
    );
    assert_eq!(lines[1]["after"]["version"], second);
    assert_eq!(lines[1]["after"]["placed"], json!(["policy", "feed `c2`"]));
    assert!(lines[0]["who"].as_str().is_some_and(|who| !who.is_empty()));
    assert!(site.lines(&["--since", "2999-01-01T00:00:00Z"]).is_empty());
    assert_eq!(site.lines(&["--since", "1h"]), lines);

    let answer = site.run(&["audit", "verify", "--output", "json"]);
    let found: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!((answer.code, &found["lines"], &found["hash"]), (0, &json!(2), &lines[1]["hash"]));
    let answer = site.run(&["audit", "verify"]);
    let hash = lines[1]["hash"].as_str().unwrap();
    assert!(answer.stdout.starts_with("2 lines of `") && answer.stdout.contains(hash), "{answer:?}");
    let text = site.run(&["audit", "export"]).stdout;
    assert!(text.contains(&format!(": bundle apply {first} (lists of november), before ")), "{text}");
    assert!(!text.contains('\u{7f}'), "a terminal stays as it is");

    // As they are: what was exported is the log.
    let exported = site.run(&["audit", "export", "--output", "json"]).stdout;
    fs::write(site.path("carried.log"), exported).unwrap();
    assert_eq!(fs::read(site.path("carried.log")).unwrap(), fs::read(site.path("state/audit.log")).unwrap());
    assert_eq!(site.run(&["audit", "verify", "--file", "carried.log"]).code, 0);
}

#[test]
fn a_log_that_was_changed_is_a_finding_and_says_where() {
    let site = Site::new();
    site.carry("one");
    site.carry("two");
    let log = fs::read_to_string(site.path("state/audit.log")).unwrap();
    fs::write(site.path("state/audit.log"), log.replace("\"two\"", "\"2\"")).unwrap();
    let answer = site.run(&["audit", "verify"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
    assert!(answer.stderr.starts_with("line 2 of the audit log `") && answer.stderr.contains("was changed"));
    let answer = site.run(&["audit", "verify", "--output", "json"]);
    let found: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!((answer.code, &found["lines"], &found["broken"]["line"]), (1, &json!(1), &json!(2)));

    fs::write(site.path("state/audit.log"), log.clone() + "nonsense\n").unwrap();
    let answer = site.run(&["audit", "export", "--since", "2999-01-01T00:00:00Z"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (1, "nonsense\n"));
    assert!(answer.stderr.contains("line 3 of the audit log"), "{answer:?}");
    // Nothing is changed that cannot be written down.
    let before = fs::read(site.path("state/bundle.json")).unwrap();
    site.run(&["bundle", "create", "--out", "y.bundle", "--key", "maker.key"]);
    let answer = site.run(&["bundle", "apply", "y.bundle"]);
    assert!(answer.code == 2 && answer.stderr.contains("is damaged at its end"), "{answer:?}");
    assert_eq!(fs::read(site.path("state/bundle.json")).unwrap(), before);

    let answer = site.run(&["audit", "verify", "--file", "none.log"]);
    assert!(
        answer.code == 2 && answer.stderr.contains("failed to read the audit log `none.log`"),
        "{answer:?}"
    );
    assert_eq!(site.run(&["audit", "export", "--since", "yesterday"]).code, 2);
}

#[test]
fn a_log_that_was_cut_emptied_or_replaced_is_a_finding_and_says_what_is_missing() {
    let site = Site::new();
    for note in ["one", "two", "three"] {
        site.carry(note);
    }
    let log = site.path("state/audit.log");
    let text = fs::read_to_string(&log).unwrap();
    let first = text.split_inclusive('\n').next().unwrap();
    let verify = |words: &[&str]| site.run(&[&["audit", "verify"], words].concat());
    for (left, last) in [(first, 1), ("", 0)] {
        fs::write(&log, left).unwrap();
        let answer = verify(&[]);
        let missing =
            format!("audit.log` ends with line {last}, and 3 were written; those in between are missing");
        assert!(answer.code == 1 && answer.stderr.contains(&missing), "{answer:?}");
    }
    fs::remove_file(&log).unwrap();
    let answer = verify(&[]);
    assert!(answer.code == 1 && answer.stderr.contains("ends with line 0, and 3 were written"), "{answer:?}");
    // What is written next follows on what was written last.
    site.carry("four");
    let answer = verify(&["--output", "json"]);
    let found: Value = serde_json::from_str(&answer.stdout).unwrap();
    let fault = "begins with line 4; the 3 before it are missing";
    assert_eq!((answer.code, &found["lines"], &found["hash"]), (1, &json!(2), &Value::Null));
    assert_eq!(found["faults"], json!([{ "line": 1, "fault": fault }]));
    assert_eq!(found["broken"], found["faults"][0]);
    assert!(verify(&[]).stderr.contains(fault));
    let lines = site.lines(&[]);
    assert_eq!((&lines[0]["what"], &lines[1]["sequence"]), (&json!("audit replaced"), &json!(5)));
    // Without the file beside it, too.
    fs::remove_file(site.path("state/audit.last")).unwrap();
    fs::write(&log, "").unwrap();
    let answer = verify(&[]);
    assert!(answer.code == 1 && answer.stderr.contains("has no line"), "{answer:?}");
}

#[test]
fn a_note_says_something() {
    let site = Site::new();
    for words in [
        &["bypass", "--all", "--for", "1m", "--note", ""][..],
        &["quarantine", "ct-1", "--note", " "],
        &["reload", "--note", ""],
    ] {
        let answer = site.run(words);
        assert!(answer.code == 2 && answer.stderr.contains("a note has to say something"), "{answer:?}");
    }
}

#[test]
fn an_error_is_called_one_once() {
    let site = Site::new();
    fs::write(site.path("config.toml"), "nonsense").unwrap();
    let answer = site.run(&["audit", "verify"]);
    assert!(answer.code == 2 && answer.stderr.contains("\nerror: key with no value"), "{answer:?}");
    assert!(!answer.stderr.contains("error: error: "), "{answer:?}");
}
