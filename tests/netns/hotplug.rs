//! What happens to interfaces while the agent runs: renamed, set down, gone and back.

use iomt_filter_tests::hospital::connection::{Outcome, Service, attempt};
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::{DICOM, HTTPS};
use iomt_filter_tests::hospital::{Host, Version};

use crate::can_run;
use crate::hospital::{ATTEMPT, LIMIT, agent, build, filter};
use crate::lifecycle::{is_judged, wait_for_mode};

const ATTACHED: &[&str] = &["native", "generic"];

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
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _services = [(Host::Pacs, pacs), (Host::Vendor, vendor)]
        .map(|(host, at)| Service::start(&hospital[host], at).unwrap());
    filter.host().ip(&["link", "set", "port-ct", "down"]).unwrap();
    wait_for_mode(&filter, "port-ct", ATTACHED);
    assert_eq!(attempt(&hospital[Host::Ct], pacs, ATTEMPT).unwrap(), Outcome::NoAnswer);
    filter.host().ip(&["link", "set", "port-ct", "up"]).unwrap();
    assert_eq!(attempt(&hospital[Host::Ct], pacs, LIMIT).unwrap(), Outcome::Connected);
    assert!(is_judged(&filter, "port-ct"));
    filter.remove().unwrap();
}
