//! What an operator did last stays done, whoever dies or is started behind it.

use std::fs;
use std::thread;
use std::time::Duration;

use iomt_filter_tests::hospital::connection::{Outcome, Service, Session, attempt};
use iomt_filter_tests::hospital::filter::{Filter, POLICY};
use iomt_filter_tests::hospital::host::{DICOM, HTTPS};
use iomt_filter_tests::hospital::{Host, Version, wait};
use serde_json::Value;

use crate::can_run;
use crate::changes::cutting;
use crate::hospital::{ATTEMPT, LIMIT, agent, assert_runs, build, filter};

fn change(filter: &Filter<'_>) -> Value {
    filter.json(&["status"]).unwrap()["change"].clone()
}

#[test]
fn what_was_rolled_back_stays_so_over_a_restart_until_somebody_applies_it() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let pacs = Host::Pacs.at(Version::V4, DICOM);
    let _service = Service::start(&hospital[Host::Pacs], pacs).unwrap();
    let mut filter = filter(&hospital, &agent());
    let session = Session::start(&hospital[Host::Ct], pacs, LIMIT).unwrap();
    filter.write("policy.toml", cutting()).unwrap();
    filter.tell(&["apply", "--now"]).unwrap();
    filter.tell(&["rollback"]).unwrap();
    // The files still say what was rolled back, and then something that nobody has applied.
    for policy in [cutting(), format!("{}\n# mended\n", cutting())] {
        filter.write("policy.toml", policy).unwrap();
        filter.kill().unwrap();
        filter.start().unwrap();
        assert_eq!(attempt(&hospital[Host::Ct], pacs, LIMIT).unwrap(), Outcome::Connected);
        let because = change(&filter)["kept_because"].as_str().unwrap().to_owned();
        assert!(because.contains("goes back to 1") && because.contains("iomt-filter apply"), "{because}");
    }
    assert_runs(&session);
    filter.write("policy.toml", format!("{POLICY}\n# mended\n")).unwrap();
    filter.tell(&["apply", "--now"]).unwrap();
    assert_eq!(change(&filter)["kept_because"], Value::Null, "what was kept is no more");
    assert!(!filter.tell(&["status"]).unwrap().contains("KEPT"));
    filter.remove().unwrap();
}

#[test]
fn what_was_not_confirmed_is_not_taken_up_for_a_letter_that_was_added() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let pacs = Host::Pacs.at(Version::V4, DICOM);
    let _service = Service::start(&hospital[Host::Pacs], pacs).unwrap();
    let mut filter = filter(&hospital, &agent());
    filter.write("policy.toml", cutting()).unwrap();
    filter.tell(&["apply", "--confirm-within", "5s"]).unwrap();
    filter.kill().unwrap();
    filter.write("policy.toml", format!("{}\n# a letter\n", cutting())).unwrap();
    thread::sleep(Duration::from_secs(5));
    filter.start().unwrap();
    assert_eq!(attempt(&hospital[Host::Ct], pacs, LIMIT).unwrap(), Outcome::Connected);
    assert!(filter.tell(&["status"]).unwrap().starts_with("KEPT"));
    filter.remove().unwrap();
}

#[test]
fn who_is_in_quarantine_by_hand_cannot_be_let_out_by_a_name() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    let pacs = Host::Pacs.at(Version::V4, DICOM);
    let _service = Service::start(&hospital[Host::Pacs], pacs).unwrap();
    filter.tell(&["quarantine", "ct-1", "--note", "beacons"]).unwrap();
    let devices = fs::read_to_string(filter.folder().join("devices.toml")).unwrap();
    filter.write("devices.toml", devices.replace("\"ct-1\"", "\"ct-9\"")).unwrap();
    for refused in [["apply", "--now"].as_slice(), &["apply", "--confirm-within", "5m"], &["reload"]] {
        let answer = filter.ask(refused).unwrap();
        assert!(answer.errors.contains("`ct-1` is in quarantine by hand"), "{answer:?}");
        assert!(answer.errors.contains("release"), "{answer:?}");
    }
    assert_eq!(attempt(&hospital[Host::Ct], pacs, ATTEMPT).unwrap(), Outcome::NoAnswer);
    filter.tell(&["release", "ct-1"]).unwrap();
    filter.tell(&["apply", "--now"]).unwrap();
    assert_eq!(attempt(&hospital[Host::Ct], pacs, LIMIT).unwrap(), Outcome::Connected);
    filter.remove().unwrap();
}

#[test]
fn a_bypass_of_a_profile_is_for_whom_every_generation_has_in_it() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    // No rule lets the scanner talk to the other vendor port.
    let vendor = Host::Vendor.at(Version::V4, 8080);
    let _service = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    filter.tell(&["bypass", "--profile", "infusion-pump", "--for", "5m", "--note", "vendor"]).unwrap();
    assert_eq!(attempt(&hospital[Host::Pump], vendor, LIMIT).unwrap(), Outcome::Connected);
    let devices = fs::read_to_string(filter.folder().join("devices.toml")).unwrap();
    filter.write("devices.toml", devices.replace("\"ct-scanner\"", "\"infusion-pump\"")).unwrap();
    filter.tell(&["apply", "--confirm-within", "5s"]).unwrap();
    filter.kill().unwrap();
    assert_eq!(attempt(&hospital[Host::Ct], vendor, ATTEMPT).unwrap(), Outcome::NoAnswer);
    thread::sleep(Duration::from_secs(5));
    assert_eq!(attempt(&hospital[Host::Ct], vendor, ATTEMPT).unwrap(), Outcome::NoAnswer);
    assert_eq!(attempt(&hospital[Host::Pump], vendor, LIMIT).unwrap(), Outcome::Connected);
    filter.start().unwrap();
    filter.remove().unwrap();
}

#[test]
fn what_is_done_by_hand_in_the_moment_of_a_deadline_hides_it_from_nobody() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    filter.write("policy.toml", cutting()).unwrap();
    filter.tell(&["apply", "--confirm-within", "5s"]).unwrap();
    // The moment of the change's own deadline, not one that is reckoned from when the command came back.
    let until =
        change(&filter)["pending"]["confirm_by"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let left = until.duration_since(jiff::Timestamp::now());
    thread::sleep(Duration::try_from(left).unwrap_or_default());
    filter.tell(&["quarantine", "pump-1"]).unwrap();
    wait::until("the change to be taken back", LIMIT, || {
        let change = change(&filter);
        Ok((change["pending"].is_null() && change["number"] == 1).then_some(()))
    })
    .unwrap();
    assert_eq!(filter.ask(&["confirm"]).unwrap().status.code(), Some(1));
    filter.tell(&["apply", "--confirm-within", "5m"]).unwrap();
    filter.tell(&["rollback"]).unwrap();
    filter.remove().unwrap();
}

#[test]
fn access_can_be_revoked_while_a_change_is_pending() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _service = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let tries = |limit| attempt(&hospital[Host::Pump], vendor, limit).unwrap();
    let grant = ["grant", "pump-1", "--to", "198.51.100.7", "--service", "https", "--for", "1h"];
    let granted = filter.json(&grant).unwrap()["grant"]["id"].to_string();
    assert_eq!(tries(LIMIT), Outcome::Connected);
    filter.tell(&["grant", "pump-1", "--to", "2001:db8:aa::7", "--service", "https", "--for", "1h"]).unwrap();
    filter.write("policy.toml", cutting()).unwrap();
    filter.tell(&["apply", "--confirm-within", "10m"]).unwrap();
    assert_eq!(tries(LIMIT), Outcome::Connected);
    filter.tell(&["grant", "revoke", &granted]).unwrap();
    assert_eq!(tries(ATTEMPT), Outcome::NoAnswer);
    assert!(filter.ask(&grant).unwrap().errors.contains("pending"));
    // Nor does what is gone back to bring it back; the other one holds in both, and goes on.
    filter.tell(&["rollback"]).unwrap();
    assert_eq!(tries(ATTEMPT), Outcome::NoAnswer);
    let other = Host::Vendor.at(Version::V6, HTTPS);
    let _other = Service::start(&hospital[Host::Vendor], other).unwrap();
    assert_eq!(attempt(&hospital[Host::Pump], other, LIMIT).unwrap(), Outcome::Connected);
    filter.remove().unwrap();
}
