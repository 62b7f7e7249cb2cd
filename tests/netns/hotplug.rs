//! What happens to interfaces while the agent runs, and before it starts: renamed, set down, gone and back.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use iomt_filter_tests::hospital::connection::{Outcome, Service, attempt};
use iomt_filter_tests::hospital::filter::{Filter, pins};
use iomt_filter_tests::hospital::host::{DICOM, HTTPS};
use iomt_filter_tests::hospital::{Host, Version, wait};
use iomt_filter_tests::netns::Namespace;
use iomt_filter_tests::ward::frames::Wire;

use crate::can_run;
use crate::hospital::{ATTEMPT, LIMIT, agent, build, filter};
use crate::lifecycle::{is_judged, wait_for_mode};

const ATTACHED: &[&str] = &["native", "generic"];
/// How often a port goes and comes back.
const ROUNDS: usize = 6;
/// Until a port is judged that has come back, on a host that does other things too.
const AT_ONCE: Duration = Duration::from_millis(300);

fn rename(filter: &Filter<'_>, from: &str, to: &str) {
    for arguments in [["set", from, "down"].as_slice(), &["set", from, "name", to], &["set", to, "up"]] {
        filter.host().ip(&[&["link"], arguments].concat()).unwrap();
    }
}

#[test]
fn a_port_that_is_renamed_is_judged_on_and_so_is_whoever_takes_its_name() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    let pacs = Host::Pacs.at(Version::V4, DICOM);
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _services = [(Host::Pacs, pacs), (Host::Vendor, vendor)]
        .map(|(host, at)| Service::start(&hospital[host], at).unwrap());
    let assert_judged = |when: &str| {
        assert_eq!(attempt(&hospital[Host::Ct], pacs, LIMIT).unwrap(), Outcome::Connected, "{when}");
        assert_eq!(attempt(&hospital[Host::Pump], vendor, ATTEMPT).unwrap(), Outcome::NoAnswer, "{when}");
    };
    assert_judged("as it was");

    rename(&filter, "port-pump", "ward.7");
    wait_for_mode(&filter, "port-pump", &["missing"]);
    wait_for_mode(&filter, "ward.7", &["left over"]);
    assert!(is_judged(&filter, "ward.7"));
    assert_judged("with another name");
    let said = filter.tell(&["status"]).unwrap();
    assert!(said.contains("detach --interface ward.7"), "{said}");

    filter.host().ip(&["link", "add", "port-pump", "type", "veth", "peer", "name", "far-pump"]).unwrap();
    wait_for_mode(&filter, "port-pump", ATTACHED);
    assert!(is_judged(&filter, "port-pump") && is_judged(&filter, "ward.7"));
    assert_judged("beside one that has its name");

    filter.host().ip(&["link", "del", "port-pump"]).unwrap();
    wait_for_mode(&filter, "port-pump", &["missing"]);
    rename(&filter, "ward.7", "port-pump");
    wait_for_mode(&filter, "port-pump", &["native", "generic", "kept"]);
    assert_judged("with its own name again");
    let status = filter.json(&["status"]).unwrap();
    assert!(!status.to_string().contains("ward.7"), "{status}");
    assert!(!status["incidents"].to_string().contains("repaired"), "nobody has tampered: {status}");
    filter.remove().unwrap();
}

#[test]
fn a_port_that_is_set_down_and_up_is_judged_before_and_after() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    let pacs = Host::Pacs.at(Version::V4, DICOM);
    let c2 = Host::C2.at(Version::V4, HTTPS);
    let _services =
        [(Host::Pacs, pacs), (Host::C2, c2)].map(|(host, at)| Service::start(&hospital[host], at).unwrap());
    filter.host().ip(&["link", "set", "port-ct", "down"]).unwrap();
    wait_for_mode(&filter, "port-ct", ATTACHED);
    assert!(filter.tell(&["status"]).unwrap().starts_with("DOWN        `port-ct`"));
    assert_eq!(attempt(&hospital[Host::Ct], pacs, ATTEMPT).unwrap(), Outcome::NoAnswer);
    filter.host().ip(&["link", "set", "port-ct", "up"]).unwrap();
    assert_eq!(attempt(&hospital[Host::Ct], pacs, LIMIT).unwrap(), Outcome::Connected);
    assert_eq!(attempt(&hospital[Host::Ct], c2, ATTEMPT).unwrap(), Outcome::NoAnswer);
    assert!(is_judged(&filter, "port-ct"));
    filter.remove().unwrap();
}

#[test]
fn a_port_that_comes_back_is_judged_at_once_and_that_it_was_not_is_told() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    let host = filter.host();
    let far = hospital[Host::Pump].name();
    let pin = pins(hospital.name()).join("links/port-pump");
    let mut gaps = Vec::new();
    let mut passed = 0;
    for _ in 0..ROUNDS {
        host.ip(&["link", "del", "port-pump"]).unwrap();
        wait_for_mode(&filter, "port-pump", &["missing"]);
        wait::until("the old pin to be gone", LIMIT, || Ok((!pin.exists()).then_some(()))).unwrap();
        let of = pin.clone();
        let judged = thread::spawn(move || {
            wait::until("the port to be judged", LIMIT, || Ok(of.exists().then_some(()))).unwrap();
            Instant::now()
        });
        host.ip(&["link", "add", "port-pump", "type", "veth", "peer", "name", "eth0", "netns", far]).unwrap();
        let added = Instant::now();
        host.ip(&["link", "set", "port-pump", "up"]).unwrap();
        hospital[Host::Pump].ip(&["link", "set", "eth0", "up"]).unwrap();
        passed += flood(&hospital[Host::Pump], &pin);
        gaps.push(judged.join().unwrap().saturating_duration_since(added));
    }
    // By the work of every second alone, it would be half a second on the average.
    let quick = gaps.iter().filter(|gap| **gap < AT_ONCE).count();
    eprintln!("at most {passed} frames passed in {ROUNDS} rounds; until judged: {gaps:?}");
    assert!(quick * 3 >= ROUNDS * 2, "{passed} frames passed; until judged: {gaps:?}");
    let said = filter.tell(&["status"]).unwrap();
    assert!(said.starts_with("UNJUDGED    port-pump:"), "{said}");
    assert!(filter.tell(&["audit", "export"]).unwrap().contains("unjudged port-pump"));
    filter.remove().unwrap();
}

/// Sends frames that nobody allows until the port is judged: so many may have come through.
fn flood(from: &Namespace, pin: &Path) -> u64 {
    let wire = Wire::open(from, "eth0").unwrap();
    let frame = [[0xff; 6].as_slice(), &[2, 0, 0, 0, 0, 9], &[0x88, 0xb5], &[0; 46]].concat();
    let (deadline, mut sent) = (Instant::now() + LIMIT, 0);
    while !pin.exists() {
        assert!(Instant::now() < deadline, "never judged");
        sent += u64::from(wire.offer(&frame).unwrap());
    }
    sent
}

#[test]
fn a_port_that_was_judged_before_and_is_missing_keeps_nobody_from_judging_the_others() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    let pacs = Host::Pacs.at(Version::V4, DICOM);
    let _pacs = Service::start(&hospital[Host::Pacs], pacs).unwrap();
    filter.kill().unwrap();
    filter.host().ip(&["link", "del", "port-pump"]).unwrap();
    // Twice: by the pin that was left, and by the generation that is kept.
    for _ in 0..2 {
        filter.start().unwrap();
        let said = filter.tell(&["status"]).unwrap();
        assert!(said.starts_with("MISSING     `port-pump`"), "{said}");
        assert_eq!(attempt(&hospital[Host::Ct], pacs, LIMIT).unwrap(), Outcome::Connected);
        filter.kill().unwrap();
    }
    // Nobody has judged that one yet: it is a typing error.
    let text = fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", text.replace("\"port-ct\"", "\"port-ct\", \"port-cr\"")).unwrap();
    let refused = filter.start().unwrap_err();
    assert!(format!("{refused:#}").contains("is not on this host"), "{refused:#}");
    filter.write("config.toml", text).unwrap();

    filter.start().unwrap();
    filter.host().ip(&["link", "add", "port-pump", "type", "veth", "peer", "name", "far-pump"]).unwrap();
    wait_for_mode(&filter, "port-pump", ATTACHED);
    assert!(is_judged(&filter, "port-pump"));
    filter.remove().unwrap();
}
