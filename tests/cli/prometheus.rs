//! The alerts that come with the filter, looked at by the tool of Prometheus.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use iomt_filter_tests::prometheus::programs;
use iomt_filter_tests::readme::root;
use iomt_filter_tests::tools::run;

const RULES: &str = "packaging/prometheus/iomt-filter.rules.yml";
const TESTS: &str = "tests/data/prometheus/rules.test.yml";

fn words(file: &str, before: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let found = text
        .split(before)
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned());
    found.collect()
}

#[test]
fn every_alert_is_told_when_it_fires() {
    let alerts = words(RULES, "- alert: ");
    assert!(alerts.len() > 15);
    assert_eq!(words(TESTS, "alertname=\""), alerts);
}

#[test]
fn prometheus_has_nothing_to_say_against_the_rules_and_they_fire_when_they_should() {
    let programs = match programs(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(programs) => programs,
        Err(error) => return eprintln!("skipped: `promtool` is not there and cannot be fetched: {error:#}"),
    };
    for (about, file) in [("check", RULES), ("test", TESTS)] {
        let mut command = Command::new(programs.join("promtool"));
        let said = run(command.args([about, "rules"]).arg(root().join(file))).unwrap();
        assert!(said.contains("SUCCESS"), "{said}");
    }
}
