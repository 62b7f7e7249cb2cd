//! `replay`, `check`, `completions` and `man`, as a user meets them.

use std::io::Write as _;
use std::process::Stdio;

use insta::assert_snapshot;
use iomt_filter::events::Record;

use crate::captures::{folder, padded, with_one_from_the_future};
use crate::program::{self, Answer};

/// Exit code and both streams, without what differs between hosts.
fn shown(answer: &Answer) -> String {
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let stdout = answer.stdout.replace(&format!("\"host\":\"{host}\""), "\"host\":\"HOST\"");
    let all = format!("exit {}\n--- stdout\n{stdout}--- stderr\n{}", answer.code, answer.stderr);
    all.replace(&format!("{}/", folder().display()), "")
}

fn run(verb: &str, arguments: &[&str]) -> Answer {
    let config = folder().join("config.toml").display().to_string();
    program::run_in(&folder(), [&[verb, "--config", &config], arguments].concat())
}

#[test]
fn a_capture_as_text() {
    assert_snapshot!("replay_text", shown(&run("replay", &["small.pcap"])));
}

#[test]
fn a_capture_as_json() {
    assert_snapshot!("replay_json", shown(&run("replay", &["small.pcap", "--output", "json"])));
}

#[test]
fn every_format_says_the_same() {
    let json = |name: &str| run("replay", &[name, "--output", "json"]).stdout;
    let expected = json("small.pcap");
    for name in ["small-be.pcap", "small-nano.pcap", "small.pcapng"] {
        assert_eq!(json(name), expected, "{name}");
    }
}

#[test]
fn a_reset_is_told_from_a_drop() {
    let policy = std::fs::read_to_string(folder().join("policy.toml")).unwrap();
    let policy = policy.replace("[profiles.ct-scanner]", "[profiles.ct-scanner]\non_block = \"reset\"");
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), policy).unwrap();
    let path = file.path().display().to_string();
    let before = run("replay", &["small.pcap", "--output", "json"]).stdout;
    let after = run("replay", &["small.pcap", "--output", "json", "--policy", &path]).stdout;
    let blocked = r#""verdict":"drop","reason":"blocklist""#;
    assert_eq!(before.matches(blocked).count(), 2);
    assert_eq!(after, before.replace(blocked, r#""verdict":"reset","reason":"blocklist""#));

    let question = ["--offline", "--device", "ct-1", "--to", "203.0.113.9", "--service", "https"];
    let answer = run("explain", &[&question[..], &["--policy", &path]].concat());
    assert_eq!(answer.code, 1);
    assert!(answer.stdout.contains("told by a TCP reset"), "{}", answer.stdout);
}

#[test]
fn the_port_can_be_told() {
    let port = |choice: &str| run("replay", &["small.pcap", "--output", "json", "--port", choice]).stdout;
    assert_eq!(port("device").matches(r#""port":"device""#).count(), 16);
    assert_eq!(port("uplink").matches(r#""port":"uplink""#).count(), 16);
}

#[test]
fn a_capture_from_stdin() {
    let capture = std::fs::read(folder().join("small.pcap")).unwrap();
    let mut command = program::command();
    command.current_dir(folder()).args(["replay", "--config", "config.toml", "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&capture).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), run("replay", &["small.pcap"]).stdout);
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let mut command = program::command();
    command.current_dir(folder()).args(["replay", "--config", "config.toml", "small.pcap"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_cut_off_capture_is_judged_to_its_last_whole_frame() {
    let answer = run("replay", &["cut.pcap", "--output", "json"]);
    assert_eq!(answer.stdout.lines().count(), 15);
    assert_snapshot!("replay_cut", shown(&Answer { stdout: String::new(), ..answer }));
}

#[test]
fn frames_captured_in_part() {
    assert_snapshot!("replay_snaplen", shown(&run("replay", &["snaplen.pcap", "--output", "json"])));
}

#[test]
fn a_frame_of_any_length_gives_one_record() {
    let lengths = [0, 1, 13, 14, 41, 60, 1514, 3520, 3521, 9014, 65_557, 65_600, 65_601, 262_144];
    let capture = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(capture.path(), padded(&lengths)).unwrap();
    let answer = run("replay", &[&capture.path().display().to_string(), "--output", "json"]);
    let records: Vec<Record> =
        answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.iter().map(|record| record.length as usize).collect::<Vec<_>>(), lengths);
    for record in records {
        let (reason, port) =
            if record.length < 46 { ("malformed", None) } else { ("not-allowed", Some(104)) };
        assert_eq!((record.reason.as_ref(), record.destination_port), (reason, port), "{}", record.length);
    }
}

#[test]
fn a_clock_that_goes_back_forgets_no_flow() {
    assert_snapshot!("replay_backwards", shown(&run("replay", &["backwards.pcap"])));
}

/// Guards: one time from the future stopped the clock, and limits then refused whatever came behind it.
#[test]
fn one_frame_from_the_future_does_not_stop_the_clock() {
    let policy = std::fs::read_to_string(folder().join("policy.toml")).unwrap();
    let limits = "[profiles.ct-scanner]\nlimits = { from = { packets = 2 } }";
    let policy = policy.replace("[profiles.ct-scanner]", limits);
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), policy).unwrap();
    let capture = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(capture.path(), with_one_from_the_future(40)).unwrap();
    let (capture, policy) = (capture.path().display().to_string(), file.path().display().to_string());
    let answer = run("replay", &[&capture, "--output", "json", "--policy", &policy]);
    let records: Vec<Record> =
        answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 40);
    assert!(records.iter().all(|record| record.verdict == "pass"), "{}", answer.stdout);
    let years: Vec<_> =
        records.iter().map(|record| record.time.unwrap().strftime("%Y").to_string()).collect();
    assert_eq!(
        years.iter().filter(|year| *year == "2026").count(),
        39,
        "the record has its frame's own time"
    );
}

#[test]
fn what_cannot_be_replayed() {
    for (name, capture) in [
        ("replay_link_type", "raw-ip.pcap"),
        ("replay_compressed", "compressed.pcap.gz"),
        ("replay_no_capture", "policy.toml"),
        ("replay_absent", "absent.pcap"),
    ] {
        assert_snapshot!(name, shown(&run("replay", &[capture])));
    }
}

#[test]
fn without_a_configuration_policy_and_inventory_suffice() {
    let sources = ["--policy", "policy.toml", "--devices", "devices.csv"];
    let absent = ["replay", "--config", "absent.toml", "small.pcap"];
    let answer = program::run_in(&folder(), [&absent[..], &sources].concat());
    assert_eq!((answer.code, answer.stdout.lines().count()), (0, 16));
    assert_snapshot!("replay_no_config", shown(&program::run_in(&folder(), absent)));
}

#[test]
fn an_invalid_policy_is_a_finding() {
    assert_snapshot!("replay_invalid", shown(&run("replay", &["small.pcap", "--policy", "invalid.toml"])));
    assert_snapshot!("check_invalid", shown(&run("check", &["--policy", "invalid.toml"])));
    assert_snapshot!("check_invalid_json", shown(&run("check", &["--policy", "invalid.toml", "-o", "json"])));
}

#[test]
fn a_valid_policy_and_one_that_is_not_there() {
    assert_snapshot!("check_valid", shown(&run("check", &[])));
    assert_snapshot!("check_valid_json", shown(&run("check", &["--output", "json"])));
    assert_snapshot!("check_absent", shown(&run("check", &["--policy", "absent.toml"])));
}

#[test]
fn every_command_has_a_manual_page() {
    let page = program::run(["man", "block", "add"]);
    assert_eq!((page.code, page.stderr.as_str()), (0, ""));
    assert!(page.stdout.contains("iomt\\-filter\\-block\\-add") && page.stdout.contains("score"), "{page:?}");
    let unknown = program::run(["man", "blok"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("did you mean `block`?"), "{unknown:?}");
    let folder = tempfile::tempdir().unwrap();
    let all = program::run(["man", "--folder", folder.path().to_str().unwrap()]);
    assert_eq!((all.code, all.stdout.as_str()), (0, ""));
    for page in ["iomt-filter.1", "iomt-filter-learn-propose.1", "iomt-filter-quarantine.1"] {
        assert!(folder.path().join(page).is_file(), "{page}");
    }
}

#[test]
fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let answer = program::run(["completions", shell]);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
        assert!(answer.stdout.contains("replay"), "{shell}");
    }
}
