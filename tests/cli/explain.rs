//! `explain`, from files.

use insta::assert_snapshot;
use serde_json::Value;

use crate::captures::folder;
use crate::program::{self, Answer};

fn ask(words: &str, more: &[&str]) -> Answer {
    let config = folder().join("config.toml").display().to_string();
    let words: Vec<&str> = words.split(' ').collect();
    let all = [&["explain", "--config", &config, "--offline"], &words[..], more].concat();
    program::run_in(&folder(), all)
}

fn shown(answer: &Answer) -> String {
    format!("exit {}\n--- stdout\n{}--- stderr\n{}", answer.code, answer.stdout, answer.stderr)
}

fn json(words: &str) -> (i32, Value) {
    let answer = ask(words, &["--output", "json"]);
    (answer.code, serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{}", shown(&answer))))
}

#[test]
fn what_passes_and_what_does_not() {
    for (name, words) in [
        ("explain_allowed", "--device ct-1 --to pacs --service dicom"),
        ("explain_blocklist", "--device ct-1 --to 203.0.113.9 --service https"),
        ("explain_not_allowed", "--device ct-1 --from 10.20.0.10 --service 104/tcp"),
        ("explain_would_drop", "--device pump-7 --to 198.51.100.4 --service https"),
        ("explain_between_devices", "--device ct-1 --from pump-7 --service icmp"),
    ] {
        assert_snapshot!(name, shown(&ask(words, &[])));
    }
}

#[test]
fn one_document() {
    let answer = ask("--device pump-7 --to dns --service dns", &["--output", "json"]);
    assert_snapshot!("explain_json", shown(&answer));
}

#[test]
fn what_cannot_be_asked() {
    for (name, words) in [
        ("explain_no_device", "--device ct-2 --to pacs --service dicom"),
        ("explain_no_peer", "--device ct-1 --to packs --service dicom"),
        ("explain_no_service", "--device ct-1 --to pacs --service dicmo"),
        ("explain_too_wide", "--device ct-1 --to pacs --service any"),
        ("explain_family", "--device ct-1 --to 2001:db8::1 --service dicom"),
        ("explain_not_its_address", "--device ct-1 --to pacs --service dicom --address 10.10.0.27"),
        ("explain_bad_flags", "--device ct-1 --to pacs --service dicom --flags SX"),
        ("explain_no_ports", "--device ct-1 --to pacs --service icmp --source-port 7"),
    ] {
        assert_snapshot!(name, shown(&ask(words, &[])));
    }
}

#[test]
fn options_say_which_packet_it_is() {
    let (code, answer) = json("--device ct-1 --to 198.51.100.5 --service https --flags A --source-port 5000");
    assert_eq!((code, &answer["reason"], &answer["stage"]), (1, &"no-flow".into(), &"conversation".into()));
    assert_eq!(answer["packet"]["source_port"], 5000);

    let (code, answer) = json("--device pump-7 --to fd00:10::1 --service icmpv6 --address fd00:10::27");
    assert_eq!((code, &answer["verdict"], &answer["mode"]), (0, &"would-drop".into(), &"monitor".into()));
    assert_eq!((&answer["packet"]["vlan"][0], &answer["packet"]["icmp_type"]), (&110.into(), &128.into()));
    assert_eq!(answer["answer"]["packet"]["icmp_type"], 129);

    let (code, answer) = json("--device ct-1 --from 10.10.9.9 --service https");
    assert_eq!(
        (code, &answer["reason"], &answer["stage"]),
        (1, &"unknown-device".into(), &"standing".into())
    );
    assert_eq!(answer["packet"]["port"], "device", "an address in a segment is behind a device port");
    assert_eq!(answer["answer"], Value::Null);
}

#[test]
fn answers_pass_with_what_they_answer() {
    let policy = std::fs::read_to_string(folder().join("policy.toml")).unwrap();
    let (before, rest) = policy.split_once("[profiles.ct-scanner]\nallow = [").unwrap();
    let (_, behind) = rest.split_once("\n]").unwrap();
    let rule = "[profiles.ct-scanner]\nallow = [{ to = \"any\", service = \"any\" }]";
    let policy = format!("{before}{rule}{behind}");
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), policy).unwrap();
    let path = file.path().display().to_string();
    for service in ["icmp", "https", "dns", "proto/47", "9/sctp"] {
        let words = format!("--device ct-1 --to 10.20.0.10 --service {service}");
        let answer = ask(&words, &["--policy", &path, "--output", "json"]);
        let said: Value = serde_json::from_str(&answer.stdout).unwrap();
        assert_eq!(said["reason"], "allowed", "{service}: {said}");
        assert_eq!(said["answer"]["reason"], "established", "{service}: {said}");
    }
}

#[test]
fn an_invalid_policy_is_a_failure() {
    let answer = ask("--device ct-1 --to pacs --service dicom", &["--policy", "invalid.toml"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (2, ""));
    assert!(answer.stderr.contains("`packs`"), "{}", answer.stderr);
}
