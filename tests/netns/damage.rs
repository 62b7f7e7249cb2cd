//! Breaking the glass, and quarantine, where the state folder is damaged or the audit log cannot be written.

use std::fs;

use iomt_filter_tests::hospital::connection::{Outcome, Service, attempt};
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::hospital::{Host, Version, wait};
use serde_json::Value;

use crate::can_run;
use crate::changes::{assert_lives_again, session, states};
use crate::hospital::{ATTEMPT, LIMIT, agent, assert_cut, assert_runs, build, filter};

#[test]
fn what_lies_there_instead_of_that_file_keeps_nobody_waiting() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    let state = filter.folder().join("state");
    let made = std::process::Command::new("mkfifo").arg(state.join("bypass")).status().unwrap();
    assert!(made.success());
    wait::until("the pipe to be moved aside", LIMIT, || {
        Ok(state.join("bypass.refused").exists().then_some(()))
    })
    .unwrap();
    assert_eq!(filter.json(&["status"]).unwrap()["exceptions"], Value::Array(Vec::new()));
    fs::write(state.join("bypass"), "99999d").unwrap();
    let note = wait::until("the glass to break", LIMIT, || {
        Ok(filter.json(&["status"])?["exceptions"][0]["note"].as_str().map(str::to_owned))
    });
    assert!(note.unwrap().ends_with("says `99999d`: capped at `7d`, the longest that there is"));
    assert!(filter.tell(&["audit", "export"]).unwrap().contains("capped at `7d`"));
    filter.remove().unwrap();
}

/// Care first: and nobody overlooks it.
#[test]
fn the_glass_breaks_without_an_audit_log_and_that_is_said_until_it_is_written_down() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let denied = Host::Denied.at(Version::V4, HTTPS);
    let _denied = Service::start(&hospital[Host::Denied], denied).unwrap();
    let filter = filter(&hospital, &agent());
    let held = fs::File::open(filter.folder().join("state/audit.log")).unwrap();
    held.lock_shared().unwrap();
    let bypass = filter.ask(&["bypass", "--device", "pump-1", "--for", "30m", "--note", "a life"]).unwrap();
    assert!(bypass.status.success() && bypass.errors.contains("NOT AUDITED"), "{bypass:?}");
    assert_eq!(attempt(&hospital[Host::Pump], denied, LIMIT).unwrap(), Outcome::Connected);
    let status = filter.tell(&["status"]).unwrap();
    assert!(status.contains("NOT AUDITED bypass of device `pump-1` by root at "), "{status}");
    let released = filter.ask(&["release", "pump-1"]).unwrap();
    assert!(released.status.success() && released.errors.contains("NOT AUDITED"), "{released:?}");
    assert_eq!(attempt(&hospital[Host::Pump], denied, ATTEMPT).unwrap(), Outcome::NoAnswer);
    drop(held);
    wait::until("it to be written down", LIMIT, || {
        Ok((!filter.tell(&["status"])?.contains("NOT AUDITED")).then_some(()))
    })
    .unwrap();
    let log = filter.tell(&["audit", "export"]).unwrap();
    assert!(log.contains("a life") && log.contains("and written down late"), "{log}");
    filter.tell(&["audit", "verify"]).unwrap();
    filter.remove().unwrap();
}

#[test]
fn what_was_not_kept_by_hand_holds_on_over_a_restart() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let denied = Host::Denied.at(Version::V4, HTTPS);
    let _denied = Service::start(&hospital[Host::Denied], denied).unwrap();
    let mut filter = filter(&hospital, &agent());
    let (_service, session) = session(&hospital);
    // A folder is in the way of the file, as a full disk would be.
    let file = filter.folder().join("state/exceptions.json");
    fs::create_dir_all(file.join("full")).unwrap();
    let cut = filter.ask(&["quarantine", "ct-1"]).unwrap();
    assert!(cut.status.success() && cut.errors.contains("a reboot before it can be kept"), "{cut:?}");
    filter.tell(&["bypass", "--device", "pump-1", "--for", "30m", "--note", "a life"]).unwrap();
    let holds = |filter: &Filter<'_>, when: &str| {
        assert_cut(&session);
        assert_eq!(attempt(&hospital[Host::Pump], denied, LIMIT).unwrap(), Outcome::Connected, "{when}");
        let status = filter.json(&["status"]).unwrap();
        let scopes = status["exceptions"].as_array().unwrap().iter();
        let scopes: Vec<_> = scopes.map(|it| it["scope"]["device"].as_str().unwrap().to_owned()).collect();
        assert_eq!(scopes, ["ct-1", "pump-1"], "{when}");
    };
    holds(&filter, "as it was said");
    filter.kill().unwrap();
    fs::remove_dir_all(&file).unwrap();
    filter.start().unwrap();
    holds(&filter, "by the next agent");
    assert!(filter.tell(&["audit", "export"]).unwrap().contains("quarantine taken over"));
    // It is kept as soon as it can be, by the agent that could not, and by the next one.
    filter.kill().unwrap();
    filter.start().unwrap();
    holds(&filter, "as it was kept");
    filter.tell(&["release", "ct-1"]).unwrap();
    assert_lives_again(&session);
    filter.remove().unwrap();
}

#[test]
fn a_state_folder_that_is_damaged_ends_no_quarantine_and_keeps_no_agent_from_its_start() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    let (_service, session) = session(&hospital);
    let state = filter.folder().join("state");
    filter.tell(&["quarantine", "ct-1", "--note", "odd beacons"]).unwrap();
    assert_cut(&session);
    let damaged = [
        ("exceptions.json", ""),
        ("grants.json", "nonsense"),
        ("blocks.journal", ""),
        ("generations/000001.json", "{"),
    ];
    filter.kill().unwrap();
    for (file, text) in damaged {
        fs::write(state.join(file), text).unwrap();
    }
    filter.start().unwrap();
    assert_cut(&session);
    let status = filter.json(&["status"]).unwrap();
    assert_eq!(status["exceptions"][0]["scope"]["device"], "ct-1", "{status}");
    for lost in ["exceptions.json.damaged-", "grants.json.damaged-", "blocks.journal.damaged-"] {
        let warnings = status["warnings"].as_array().unwrap();
        assert!(warnings.iter().any(|warning| warning.as_str().unwrap().contains(lost)), "{lost}: {status}");
    }
    assert_eq!(states(&filter)[0], (1, "damaged".to_owned(), false));
    // It is kept again.
    filter.kill().unwrap();
    filter.start().unwrap();
    assert_cut(&session);
    filter.tell(&["release", "ct-1"]).unwrap();
    assert_lives_again(&session);

    // The numbers that devices have in the kernel.
    filter.kill().unwrap();
    fs::write(state.join("numbers.json"), "").unwrap();
    filter.start().unwrap();
    assert_runs(&session);
    assert!(filter.tell(&["status"]).unwrap().contains("numbers.json.damaged-"));
    filter.remove().unwrap();
}
