//! Every metric is explained to users, and whatever names one names one that is there.

use std::collections::BTreeMap;
use std::fs;

use iomt_filter::metrics::{Kind, families};

use crate::sources::root;

/// Labels that Prometheus adds.
const ADDED: [&str; 2] = ["instance", "job"];

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn documented_metrics_are_those_that_are_served() {
    let rows: Vec<_> = families()
        .map(|family| {
            let kind = if family.kind == Kind::Counter { "counter" } else { "gauge" };
            let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            format!("| `{}` | {kind} | {} | {} |", family.full_name(), labels.join(", "), family.help)
        })
        .collect();
    let page = read("docs/metrics.md");
    let documented: Vec<_> = page.lines().filter(|line| line.starts_with("| `iomt_filter_")).collect();
    assert!(documented == rows, "the table of docs/metrics.md should be\n{}", rows.join("\n"));
}

#[test]
fn alerts_and_dashboard_name_metrics_and_labels_that_are_there() {
    let known: BTreeMap<String, &[&str]> =
        families().map(|family| (family.full_name(), family.labels)).collect();
    for path in [
        "packaging/prometheus/iomt-filter.rules.yml",
        "packaging/grafana/iomt-filter.json",
        "tests/data/prometheus/rules.test.yml",
        "docs/metrics.md",
    ] {
        let text = read(path).replace("\\\"", "\"");
        let mut found = 0;
        for (at, _) in text.match_indices("iomt_filter_") {
            // What a rule records has a name of its own.
            if text[..at].ends_with(':') {
                continue;
            }
            let end = text[at..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap();
            let (name, rest) = (&text[at..at + end], &text[at + end..]);
            let labels = known.get(name).unwrap_or_else(|| panic!("{path}: there is no `{name}`"));
            found += 1;
            let Some((matchers, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
                continue;
            };
            for matcher in matchers.split(',') {
                let label = matcher.split(['=', '!']).next().unwrap().trim();
                assert!(
                    labels.contains(&label) || ADDED.contains(&label),
                    "{path}: `{name}` has no `{label}`"
                );
            }
        }
        assert!(found > 5, "{path} names no metrics");
    }
}

#[test]
fn every_alert_is_documented() {
    let page = read("docs/metrics.md");
    let rules = read("packaging/prometheus/iomt-filter.rules.yml");
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let rows: Vec<_> =
        page.lines().filter_map(|line| line.strip_prefix("| `IomtFilter")?.split('`').next()).collect();
    let rows: Vec<_> = rows.into_iter().map(|name| format!("IomtFilter{name}")).collect();
    assert_eq!(rows, alerts, "the table of alerts in docs/metrics.md has another order, or other alerts");
}
