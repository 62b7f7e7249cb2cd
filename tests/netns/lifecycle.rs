//! Start, detach and what happens to interfaces in between: nothing old judges, nothing is lost silently.

use std::fs;

use iomt_filter_tests::hospital::Hospital;
use iomt_filter_tests::hospital::filter::pins;

use crate::can_run;
use crate::hospital::{agent, filter};

fn build() -> Hospital {
    Hospital::build("iomt-test").unwrap()
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
    filter.start().unwrap();
    let status = filter.json(&["status"]).unwrap();
    assert_eq!(status["adopted"], false, "{status}");
    assert_eq!(status["generation"], 1, "{status}");
    filter.remove().unwrap();
}
