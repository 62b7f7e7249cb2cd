//! Access for a time: it begins at once, ends by itself whoever lives, and is cut when it is revoked.

use iomt_filter_tests::hospital::connection::{Outcome, Service, Session, attempt};
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::hospital::{Host, Version, wait};
use serde_json::Value;

use crate::can_run;
use crate::hospital::{ATTEMPT, LIMIT, agent, assert_cut, assert_runs, build, filter};

const VENDOR: &str = "198.51.100.7";

fn grants(filter: &Filter<'_>) -> Vec<Value> {
    filter.json(&["grant", "list"]).unwrap().as_array().unwrap().clone()
}

fn grant(filter: &Filter<'_>, device: &str, to: &str, lasts: &str) -> Value {
    let note = "remote service";
    filter.json(&["grant", device, "--to", to, "--service", "https", "--for", lasts, "--note", note]).unwrap()
}

#[test]
fn a_grant_ends_while_nobody_is_there_to_end_it() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _service = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let mut filter = filter(&hospital, &agent());
    assert_eq!(attempt(&hospital[Host::Pump], vendor, ATTEMPT).unwrap(), Outcome::NoAnswer);

    let granted = grant(&filter, "pump-1", VENDOR, "8s");
    assert_eq!(granted["warnings"], Value::Array(Vec::new()));
    let session = Session::start(&hospital[Host::Pump], vendor, LIMIT).unwrap();
    assert_runs(&session);
    let flows = filter.json(&["flows"]).unwrap();
    let rule = "grant 1 to 198.51.100.7 service https";
    assert!(flows.as_array().unwrap().iter().any(|flow| flow["rule"] == rule), "{flows}");

    // Neither a reload nor another agent makes it longer or shorter.
    filter.tell(&["reload"]).unwrap();
    assert_runs(&session);
    filter.kill().unwrap();
    filter.start().unwrap();
    assert_eq!(grants(&filter), [granted["grant"].clone()]);
    assert_runs(&session);

    filter.kill().unwrap();
    let quiet = std::time::Duration::from_secs(1);
    wait::until("the grant to end", LIMIT, || Ok((session.last_answer().elapsed() > quiet).then_some(())))
        .unwrap();
    let answered = session.answered();
    assert_eq!(attempt(&hospital[Host::Pump], vendor, ATTEMPT).unwrap(), Outcome::NoAnswer);
    filter.start().unwrap();
    assert!(grants(&filter).is_empty());
    assert_eq!(session.answered(), answered, "a session whose grant has ended was answered");
    filter.remove().unwrap();
}

#[test]
fn a_revoked_grant_cuts_its_session_and_no_other() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _service = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let filter = filter(&hospital, &agent());
    grant(&filter, "pump-1", VENDOR, "1h");
    let pump = Session::start(&hospital[Host::Pump], vendor, LIMIT).unwrap();
    let ct = Session::start(&hospital[Host::Ct], vendor, LIMIT).unwrap();
    assert_runs(&pump);
    filter.tell(&["grant", "revoke", "1"]).unwrap();
    assert_cut(&pump);
    assert_runs(&ct);
    assert_eq!(filter.ask(&["grant", "revoke", "1"]).unwrap().status.code(), Some(1));
    // A number is never given twice.
    assert_eq!(grant(&filter, "pump-1", VENDOR, "1h")["grant"]["id"], 2);
    filter.remove().unwrap();
}

#[test]
fn what_a_grant_cannot_do_is_said() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    for (peer, expected) in [("203.0.113.9", "on a list"), ("192.0.2.5", "in a country")] {
        let granted = grant(&filter, "pump-1", peer, "1h");
        assert!(granted["warnings"][0].as_str().unwrap().contains(expected), "{granted}");
    }
    for (arguments, expected) in [
        (["pmup-1", "--to", VENDOR, "--service", "https", "--for", "1h"], "did you mean `pump-1`?"),
        (["pump-1", "--to", "vendro", "--service", "https", "--for", "1h"], "did you mean `vendor`?"),
        (["pump-1", "--to", VENDOR, "--service", "htps", "--for", "1h"], "did you mean `https`?"),
        (["pump-1", "--to", VENDOR, "--service", "https", "--for", "31d"], "at most `30d`"),
    ] {
        let answer = filter.ask(&[&["grant"], arguments.as_slice()].concat()).unwrap();
        assert_eq!(answer.status.code(), Some(1), "{answer:?}");
        assert!(answer.errors.contains(expected), "{answer:?}");
    }
    let unlimited = filter.ask(&["grant", "pump-1", "--to", VENDOR, "--service", "https"]).unwrap();
    assert_eq!(unlimited.status.code(), Some(2), "{unlimited:?}");
    assert_eq!(grants(&filter).len(), 2);

    // The device leaves the inventory, and its grants with it.
    let devices = std::fs::read_to_string(filter.folder().join("devices.toml")).unwrap();
    filter.write("devices.toml", devices.replace("pump-1", "pump-2")).unwrap();
    filter.tell(&["reload"]).unwrap();
    assert!(grants(&filter).is_empty());
    filter.kill().unwrap();
    filter.start().unwrap();
    assert!(grants(&filter).is_empty());
    filter.remove().unwrap();
}

/// Moves every time of day that is kept in a state file by 400 days, as if the clock were behind by as much,
/// and forgets which boot its ends were of where `is_rebooted`.
fn set_back(filter: &Filter<'_>, name: &str, is_rebooted: bool) {
    let path = filter.folder().join("state").join(name);
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let entries = match &mut kept {
        Value::Object(ledger) => ledger["grants"].as_array_mut().unwrap(),
        list => list.as_array_mut().unwrap(),
    };
    for entry in entries {
        for key in ["added", "until"] {
            let time: jiff::Timestamp = entry[key].as_str().unwrap().parse().unwrap();
            entry[key] = (time + jiff::SignedDuration::from_hours(400 * 24)).to_string().into();
        }
        if is_rebooted && let Some(entry) = entry.as_object_mut() {
            entry.remove("ends");
        }
    }
    std::fs::write(path, kept.to_string()).unwrap();
}

#[test]
fn a_clock_that_stands_wrong_makes_no_grant_and_no_block_longer() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _service = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let mut filter = filter(&hospital, &agent());
    for is_rebooted in [false, true] {
        filter.tell(&["block", "add", "198.51.100.9", "--for", "8s"]).unwrap();
        // What was noted is in the whole copy behind the next start.
        filter.kill().unwrap();
        filter.start().unwrap();
        grant(&filter, "pump-1", VENDOR, "6s");
        filter.kill().unwrap();
        for name in ["grants.json", "blocks.json"] {
            set_back(&filter, name, is_rebooted);
        }
        filter.start().unwrap();
        assert_eq!(attempt(&hospital[Host::Pump], vendor, LIMIT).unwrap(), Outcome::Connected);
        wait::until("grant and block to end", LIMIT, || {
            let blocks = filter.json(&["block", "list"])?;
            Ok((grants(&filter).is_empty() && blocks == Value::Array(Vec::new())).then_some(()))
        })
        .unwrap();
        assert_eq!(attempt(&hospital[Host::Pump], vendor, ATTEMPT).unwrap(), Outcome::NoAnswer);
    }
    filter.remove().unwrap();
}
