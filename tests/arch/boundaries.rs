//! What may use what.

use std::fs;

use crate::sources::{all, below, root};

/// Stages that turn data into data: no kernel, no runtime, no files.
const PURE: &[&str] = &[
    "iomt-filter/src/policy",
    "iomt-filter/src/policy.rs",
    "iomt-filter/src/feeds/formats",
    "iomt-filter/src/feeds/formats.rs",
    "iomt-filter/src/feeds/gate",
    "iomt-filter/src/feeds/gate.rs",
    "iomt-filter/src/feeds/list",
    "iomt-filter/src/feeds/list.rs",
    "iomt-filter/src/feeds/merge",
    "iomt-filter/src/feeds/merge.rs",
    "iomt-filter/src/feeds/guard",
    "iomt-filter/src/feeds/guard.rs",
    "iomt-filter/src/feeds/schedule.rs",
    "iomt-filter/src/geo/age.rs",
    "iomt-filter/src/geo/expand",
    "iomt-filter/src/geo/expand.rs",
    "iomt-filter/src/judge",
    "iomt-filter/src/judge.rs",
    "iomt-filter/src/plan",
    "iomt-filter/src/plan.rs",
    "iomt-filter/src/mud",
    "iomt-filter/src/mud.rs",
    "iomt-filter/src/mds2",
    "iomt-filter/src/mds2.rs",
    "iomt-filter/src/profiles",
    "iomt-filter/src/profiles.rs",
    "iomt-filter/src/bindings.rs",
    "iomt-filter/src/baseline/drift",
    "iomt-filter/src/baseline/drift.rs",
    "iomt-filter/src/sbom",
    "iomt-filter/src/sbom.rs",
    "iomt-filter/src/risk",
    "iomt-filter/src/risk.rs",
    "iomt-filter/src/datapath/plan",
    "iomt-filter/src/datapath/plan.rs",
    "iomt-filter/src/doctor/judge",
    "iomt-filter/src/doctor/judge.rs",
    "iomt-filter/src/metrics",
    "iomt-filter/src/metrics.rs",
    "iomt-filter/src/events/format",
    "iomt-filter/src/events/format.rs",
    "iomt-filter/src/rows.rs",
    "iomt-filter/src/top/layout.rs",
    "iomt-filter/src/top/model",
    "iomt-filter/src/top/model.rs",
    "iomt-filter/src/top/page.rs",
    "iomt-filter/src/top/plain.rs",
    "iomt-filter/src/top/view",
    "iomt-filter/src/top/view.rs",
];

/// Where raw access lives. A file that does not exist yet may be here; one that does and is not, may not
/// say `unsafe`.
const RAW: &[&str] = &[
    "bench-ebpf/src/program.rs",
    "bench-ebpf/src/variant.rs",
    "tests/src/bin/bench/driver.rs",
    "tests/src/ward/frames.rs",
    "iomt-filter-common/src/pod.rs",
    "iomt-filter-ebpf/src/flows.rs",
    "iomt-filter-ebpf/src/frame.rs",
    "iomt-filter-ebpf/src/maps.rs",
    "iomt-filter-ebpf/src/report.rs",
    "iomt-filter-ebpf/src/tables.rs",
    "iomt-filter/build.rs",
    "iomt-filter/src/api/credentials.rs",
    "iomt-filter/src/datapath/counters.rs",
    "iomt-filter/src/datapath/generation.rs",
    "iomt-filter/src/datapath/link.rs",
    "iomt-filter/src/datapath/shared.rs",
    // Two system calls that no library offers: a driver's name (SIOCETHTOOL) and the state of the clock (adjtimex).
    "iomt-filter/src/doctor/facts/raw.rs",
];

#[test]
fn the_shared_crate_has_no_dependency_but_aya_and_no_std() {
    let manifest = fs::read_to_string(root().join("iomt-filter-common/Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]").nth(1).unwrap();
    let section = section.split("\n[").next().unwrap();
    let dependencies: Vec<&str> = section.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(dependencies, ["aya = { workspace = true, optional = true }"]);
    assert!(!manifest.contains("build-dependencies") && !manifest.contains("[target"));

    let library = fs::read_to_string(root().join("iomt-filter-common/src/lib.rs")).unwrap();
    assert!(library.lines().any(|line| line == "#![no_std]"));
    for source in below("iomt-filter-common/src") {
        for (number, line) in source.bare() {
            let refused =
                ["std::", "extern crate", "alloc::", ".unwrap()", ".expect(", "panic!(", "unreachable!("];
            for word in refused {
                assert!(!line.contains(word), "{}:{number}: `{word}`", source.path);
            }
        }
    }
}

#[test]
fn pure_stages_do_no_io() {
    for source in PURE.iter().flat_map(|path| below(path)) {
        for (number, line) in source.bare() {
            for word in
                ["aya::", "use aya", "tokio", "std::fs", "fs::", "File::open", "std::process", "SystemTime"]
            {
                assert!(!line.contains(word), "{}:{number}: `{word}` in a pure stage", source.path);
            }
        }
    }
}

#[test]
fn feeds_are_fetched_in_one_place_which_writes_nothing() {
    let fetch = "iomt-filter/src/feeds/fetch";
    for source in below("iomt-filter/src") {
        let is_fetch = source.path.starts_with(fetch);
        let words: &[&str] = if is_fetch {
            &["fs::write", "File::create", "create_dir", "fs::rename", "fs::remove"]
        } else {
            &["ureq"]
        };
        for (number, line) in source.bare() {
            for word in words {
                assert!(!line.contains(word), "{}:{number}: `{word}`", source.path);
            }
        }
    }
}

#[test]
fn unsafe_is_where_it_is_expected_and_says_why() {
    for source in all() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.bare() {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if !words.into_iter().any(|word| word == "unsafe") {
                continue;
            }
            let is_declaration = line.contains("unsafe trait") || line.contains("#[unsafe(");
            assert!(
                is_declaration || RAW.contains(&source.path.as_str()),
                "{}:{number}: `unsafe`",
                source.path
            );
            let above = &lines[number.saturating_sub(6)..number];
            let has_reason =
                above.iter().any(|line| line.contains("// SAFETY:") || line.contains("# Safety"));
            assert!(is_declaration || has_reason, "{}:{number}: no `// SAFETY:` above", source.path);
        }
    }
}

#[test]
fn only_apply_and_generation_hold_the_right_to_write_policy_tables() {
    for source in below("iomt-filter/src") {
        let may = [
            "agent/startup",
            "cmd/detach",
            "datapath/apply",
            "datapath/generation",
            "datapath/lock",
            "datapath/replay",
        ];
        if may.iter().any(|path| source.path.contains(path)) {
            continue;
        }
        for (number, line) in source.bare() {
            assert!(
                !line.contains("WriterToken::"),
                "{}:{number}: takes the right to write tables",
                source.path
            );
        }
    }
}

#[test]
fn the_model_shares_no_decision_code_with_the_filter() {
    let model: Vec<_> = below("tests/src/oracle").into_iter().chain(below("tests/src/oracle.rs")).collect();
    assert!(model.len() > 3);
    for source in model {
        for (number, line) in source.bare() {
            for word in
                ["decide", "parse(", "Packet", "Tables", "flow::", "FlowKey", "rows::", "has_country()"]
            {
                assert!(!line.contains(word), "{}:{number}: `{word}` in the reference model", source.path);
            }
        }
    }
}
