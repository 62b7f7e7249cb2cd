//! Start, detach and what happens to interfaces in between: nothing old judges, nothing is lost silently.

use std::fs;
use std::time::Duration;

use iomt_filter_tests::hospital::filter::{Filter, pins};
use iomt_filter_tests::hospital::{Hospital, wait};
use serde_json::Value;

use crate::can_run;
use crate::hospital::{agent, filter};

fn build() -> Hospital {
    Hospital::build(crate::PREFIX).unwrap()
}

#[test]
fn two_agents_with_states_of_their_own_do_not_share_tables() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    let text = fs::read_to_string(filter.config()).unwrap();
    let text = text.replace("/control.sock", "/second.sock").replace("/state\"", "/second\"");
    filter.write("second.toml", text).unwrap();
    let second = filter.folder().join("second.toml");
    let mut command = std::process::Command::new(filter.binary());
    command.arg("--config").arg(&second).arg("run");
    let output = filter.host().inside(move || command.output()).unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("paths.pins"), "{said}");
    filter.remove().unwrap();
}

#[test]
fn what_judges_on_without_an_agent_is_said_where_nobody_answers() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    filter.kill().unwrap();
    for command in ["status", "devices"] {
        let answer = filter.ask(&[command]).unwrap();
        assert_eq!(answer.status.code(), Some(2), "{answer:?}");
        for said in ["judges on without an agent on `port-ct`", "`uplink`", "a new start", "no agent listens"]
        {
            assert!(answer.errors.contains(said), "{said}: {}", answer.errors);
        }
    }

    // Tables of another version judge on, and any version takes them off.
    let pins = pins(hospital.name());
    let contract = fs::read_dir(&pins).unwrap().flatten().map(|entry| entry.path());
    let contract = contract.into_iter().find(|path| path.to_string_lossy().contains("contract-")).unwrap();
    fs::remove_dir(contract).unwrap();
    fs::create_dir(pins.join("contract-1")).unwrap();
    let refused = format!("{:#}", filter.start().unwrap_err());
    for said in ["contract version 1", "`iomt-filter detach`, of whatever version", "nothing is filtered"] {
        assert!(refused.contains(said), "{said}: {refused}");
        assert!(filter.ask(&["doctor"]).unwrap().output.contains(said), "{said}");
    }
    let before = filter.ask(&["detach", "--dry-run"]).unwrap();
    assert!(before.output.starts_with("filtering would end on `port-"), "{before:?}");
    filter.tell(&["detach", "--yes"]).unwrap();
    let after = filter.ask(&["detach", "--dry-run"]).unwrap();
    assert_eq!([before, after].map(|answer| answer.status.code()), [Some(1), Some(0)]);
    let answer = filter.ask(&["status"]).unwrap();
    assert!(!answer.errors.contains("judges on"), "{}", answer.errors);
    filter.start().unwrap();
    filter.remove().unwrap();
}

#[test]
fn a_detach_that_died_midway_leaves_no_old_rules() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    filter.kill().unwrap();
    let pins = pins(hospital.name());
    fs::remove_file(pins.join("maps/DEVICES")).unwrap();

    // Interfaces are still judged by the rest: nobody touches that unasked.
    let refused = filter.start().unwrap_err();
    assert!(format!("{refused:#}").contains("`DEVICES` is missing"), "{refused:#}");
    assert!(pins.join("links/uplink").exists());

    fs::remove_dir_all(pins.join("links")).unwrap();
    // The kernel lets go of a link a moment after its last name.
    wait::until("the links to be gone", LIMIT, || {
        let ports = ["port-ct", "port-laptop", "port-pump", "uplink"];
        Ok((!ports.iter().any(|port| is_judged(&filter, port))).then_some(()))
    })
    .unwrap();
    filter.start().unwrap();
    let status = filter.json(&["status"]).unwrap();
    assert_eq!(status["adopted"], false, "{status}");
    assert_eq!(status["generation"], 1, "{status}");
    filter.remove().unwrap();
}

const LIMIT: Duration = Duration::from_secs(10);

/// How `status` says that an interface is judged.
fn mode(filter: &Filter<'_>, interface: &str) -> Option<String> {
    let status = filter.json(&["status"]).unwrap();
    let found = status["interfaces"].as_array().unwrap().iter().find(|found| found["name"] == interface);
    found.and_then(|found| found["mode"].as_str()).map(str::to_owned)
}

pub(crate) fn wait_for_mode(filter: &Filter<'_>, interface: &str, wanted: &[&str]) {
    let what = format!("`{interface}` to be {wanted:?}");
    wait::until(&what, LIMIT, || {
        Ok(mode(filter, interface).is_some_and(|mode| wanted.contains(&mode.as_str())).then_some(()))
    })
    .unwrap();
}

/// Whether the kernel runs an XDP program on an interface.
pub(crate) fn is_judged(filter: &Filter<'_>, interface: &str) -> bool {
    filter.host().run(&["ip", "link", "show", "dev", interface]).unwrap().contains("xdp")
}

#[test]
fn an_interface_that_is_made_anew_is_judged_again() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    filter.host().ip(&["link", "del", "port-pump"]).unwrap();
    wait_for_mode(&filter, "port-pump", &["missing"]);
    filter.host().ip(&["link", "add", "port-pump", "type", "veth", "peer", "name", "far-pump"]).unwrap();
    wait_for_mode(&filter, "port-pump", &["native", "generic"]);
    assert!(is_judged(&filter, "port-pump"));
    filter.remove().unwrap();
}

#[test]
fn a_link_is_taken_over_by_its_interface_not_by_its_name() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    filter.kill().unwrap();
    let rename = |from: &str, to: &str| {
        for arguments in [["set", from, "down"].as_slice(), &["set", from, "name", to], &["set", to, "up"]] {
            filter.host().ip(&[&["link"], arguments].concat()).unwrap();
        }
    };
    // The port of the pump is called otherwise now, and a new interface has its name.
    rename("port-pump", "old.pump");
    filter.host().ip(&["link", "add", "port-pump", "type", "veth", "peer", "name", "far-pump"]).unwrap();
    rename("port-ct", "swap");
    rename("uplink", "port-ct");
    rename("swap", "uplink");
    filter.start().unwrap();
    assert!(is_judged(&filter, "port-pump"));
    for kept in ["port-ct", "uplink"] {
        assert_eq!(mode(&filter, kept).as_deref(), Some("kept"), "{kept}");
    }
    assert_eq!(mode(&filter, "old.pump").as_deref(), Some("left over"));
    let status = filter.json(&["status"]).unwrap();
    let says = |warning: &Value| warning.as_str().unwrap().contains("detach --interface old.pump");
    assert!(status["warnings"].as_array().unwrap().iter().any(says), "{status}");

    filter.tell(&["detach", "--interface", "old.pump", "--yes"]).unwrap();
    assert!(!is_judged(&filter, "old.pump"));
    let refused = filter.ask(&["detach", "--interface", "uplink", "--yes"]).unwrap();
    assert!(!refused.status.success() && is_judged(&filter, "uplink"), "{refused:?}");
    filter.remove().unwrap();
}

#[test]
fn a_start_with_a_busy_port_attaches_to_none() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut first = filter(&hospital, &agent());
    first.kill().unwrap();
    // Other pins: what the first agent left is another's program to the second.
    let text = fs::read_to_string(first.config()).unwrap();
    let other = format!("{}-other", hospital.name());
    first
        .write("config.toml", text.replace(&format!("/{}\"", hospital.name()), &format!("/{other}\"")))
        .unwrap();
    fs::remove_file(pins(hospital.name()).join("links/uplink")).unwrap();
    let refused = first.start().unwrap_err();
    assert!(format!("{refused:#}").contains("bpftool"), "{refused:#}");
    assert!(!is_judged(&first, "uplink"));
    assert!(!pins(&other).join("maps").exists());
    let _ = fs::remove_dir_all(pins(&other));
    first.write("config.toml", text).unwrap();
    first.start().unwrap();
    first.remove().unwrap();
}

#[test]
fn a_damaged_configuration_does_not_keep_the_filter_on() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    filter.kill().unwrap();
    filter.write("config.toml", "[interfaces\n").unwrap();
    let pins = pins(hospital.name());
    filter.tell(&["detach", "--yes", "--pins", pins.to_str().unwrap()]).unwrap();
    assert!(!pins.exists() && !is_judged(&filter, "uplink"));
    filter.remove().unwrap();
}
