//! What the page about events configures, and how the command line takes what it is asked about them.

use std::fs;
use std::path::Path;

use iomt_filter::config::{Config, Target};
use iomt_filter::diagnostic::SourceFile;
use iomt_filter_tests::readme::blocks_of;

use crate::program;

#[test]
fn what_the_page_configures_can_be_configured() {
    let text = format!(
        "[interfaces]\ndevice = [\"eth1\"]\n{}\n",
        blocks_of("docs/events.md", "toml config").concat().join("\n")
    );
    let config =
        Config::parse(&SourceFile::new("config.toml", text), Path::new("config.toml"), false).unwrap();
    let events = config.events;
    assert_eq!((events.retention.as_secs(), events.max_size), (30 * 86_400, 2 << 30));
    let names: Vec<_> = events.sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["/var/log/iomt-filter/eve.json", "siem", "/run/systemd/journal/socket"]);
    assert_eq!(events.sinks[1].target.to_string(), "tls://siem.example.org:6514");
    assert!(matches!(&events.sinks[1].target, Target::Syslog(target) if target.facility == 20));
}

#[test]
fn what_the_page_about_learning_configures_can_be_configured() {
    let text = blocks_of("docs/learn.md", "toml config").concat().join("\n");
    let text = format!("[interfaces]\ndevice = [\"eth1\"]\n{text}\n");
    let config =
        Config::parse(&SourceFile::new("config.toml", text), Path::new("config.toml"), false).unwrap();
    assert_eq!(config.learn.baseline_after.as_secs(), 7 * 86_400);
    assert_eq!(config.learn, Config::defaults(Path::new("config.toml")).learn, "and holds without");
}

#[test]
fn a_sink_that_is_wrong_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    let text =
        "[interfaces]\ndevice = [\"eth1\"]\n[[events.sink]]\ntype = \"syslog\"\naddress = \"siem:514\"\n";
    fs::write(&config, text).unwrap();
    let answer = program::run(["check", "--config", config.to_str().unwrap()]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let said = [answer.stdout, answer.stderr].concat();
    assert!(said.contains("config.toml:5:11") && said.contains("`siem` is no way to send syslog"), "{said}");
}

#[test]
fn formats_of_events_are_for_events() {
    let answer = program::run(["status", "--output", "eve"]);
    assert_eq!(answer.code, 2);
    let expected = "error: `--output eve` is for `events`; the others print `text` or `json`\n";
    assert_eq!(answer.stderr, expected);
    for (arguments, said) in [
        (["events", "--since", "yesterday"], "error: `--since yesterday`: "),
        (["events", "--peer", "siem"], "error: `--peer`: "),
        (["events", "--reason", "none"], "error: no reason `none`; there are allowed, "),
    ] {
        let answer = program::run(arguments);
        assert!(answer.code == 2 && answer.stderr.starts_with(said), "{answer:?}");
    }
}
