//! Leases that were learned before a reboot hold on after it, as long as they would have; and are no other
//! device's where the numbers of devices are lost.

use std::fs;

use iomt_filter_tests::hospital::connection::{Outcome, Service, attempt};
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::{HL7, INTEGRATION};
use iomt_filter_tests::hospital::{Hospital, Host, Version};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::can_run;
use crate::hospital::{ATTEMPT, agent, build};

/// A filter that has not run, with devices by DHCP.
fn configure(hospital: &Hospital) -> Filter<'_> {
    let filter = Filter::configure(hospital, &agent()).unwrap();
    let devices = fs::read_to_string(filter.folder().join("devices.toml")).unwrap();
    let devices = devices.replace("[\"10.10.0.12\", \"2001:db8:10::12\"]", "\"dhcp\"");
    filter
        .write("devices.toml", devices.replace("[\"10.10.0.11\", \"2001:db8:10::11\"]", "\"dhcp\""))
        .unwrap();
    fs::create_dir_all(filter.folder().join("state")).unwrap();
    filter
}

/// The addresses that a device has leased.
fn leases(filter: &Filter<'_>, name: &str) -> Vec<String> {
    let devices = filter.json(&["devices"]).unwrap();
    let device = devices.as_array().unwrap().iter().find(|device| device["name"] == name).unwrap();
    let leases = device["leases"].as_array().unwrap().iter();
    leases.map(|lease| lease["address"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_lease_survives_new_tables_until_it_ends() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let engine = std::net::SocketAddr::new(INTEGRATION.of(Version::V4), HL7);
    let _service = Service::start(&hospital[Host::Pacs], engine).unwrap();
    let mut filter = configure(&hospital);
    // As an agent before the reboot has left it; the number of a device is by its name.
    let state = filter.folder().join("state");
    let at = |seconds| Timestamp::now() + SignedDuration::from_secs(seconds);
    let kept = json!([
        { "device": "ct-1", "address": "10.10.0.11", "until": at(-5) },
        { "device": "pump-1", "address": "10.10.0.12", "until": at(3_600) },
        { "device": "gone-1", "address": "10.10.0.13", "until": at(3_600) },
    ]);
    fs::write(state.join("leases.json"), kept.to_string()).unwrap();
    filter.start().unwrap();

    assert_eq!(leases(&filter, "pump-1"), ["10.10.0.12"]);
    assert_eq!(leases(&filter, "ct-1"), [""; 0]);
    let text = filter.tell(&["devices"]).unwrap();
    assert!(text.contains("10.10.0.12 (dhcp until ") && text.contains("(dhcp, none yet)"), "{text}");
    assert_eq!(attempt(&hospital[Host::Pump], engine, ATTEMPT).unwrap(), Outcome::Connected);
    let pacs = Host::Pacs.at(Version::V4, 104);
    assert_eq!(attempt(&hospital[Host::Ct], pacs, ATTEMPT).unwrap(), Outcome::NoAnswer);
    let events = filter.tell(&["events", "--reason", "spoofed"]).unwrap();
    assert!(events.contains("expected 00:1b:21:00:00:11 with dhcp"), "{events}");

    filter.remove().unwrap();
    let kept: Value = serde_json::from_slice(&fs::read(state.join("leases.json")).unwrap()).unwrap();
    assert_eq!(kept.as_array().unwrap().len(), 1, "{kept}");
    assert_eq!(kept[0]["device"], "pump-1");
}

#[test]
fn a_lease_is_no_other_devices_where_the_numbers_are_lost() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = configure(&hospital);
    let state = filter.folder().join("state");
    let kept = json!([{ "device": "pump-1", "address": "10.10.0.12", "until": null }]);
    fs::write(state.join("leases.json"), kept.to_string()).unwrap();
    filter.start().unwrap();
    let text = filter.tell(&["devices"]).unwrap();
    assert!(text.contains("10.10.0.12 (dhcp without end)"), "{text}");

    // With its numbers, an agent leaves alone what the program has learned.
    filter.kill().unwrap();
    fs::remove_file(state.join("leases.json")).unwrap();
    filter.start().unwrap();
    assert_eq!(leases(&filter, "pump-1"), ["10.10.0.12"]);

    // The other device has the number now.
    filter.kill().unwrap();
    let devices = fs::read_to_string(filter.folder().join("devices.toml")).unwrap();
    let mut parts: Vec<&str> = devices.split("[[device]]").skip(1).collect();
    parts.reverse();
    let text: String = parts.iter().map(|part| format!("[[device]]{part}\n")).collect();
    filter.write("devices.toml", text).unwrap();
    fs::remove_file(state.join("numbers.json")).unwrap();
    filter.start().unwrap();
    for name in ["ct-1", "pump-1"] {
        assert_eq!(leases(&filter, name), [""; 0], "{name}");
    }
    assert!(filter.log().contains("the numbers of devices are lost"), "{}", filter.log());

    // What was kept goes by names.
    filter.kill().unwrap();
    fs::write(state.join("leases.json"), kept.to_string()).unwrap();
    fs::remove_file(state.join("numbers.json")).unwrap();
    filter.write("devices.toml", devices).unwrap();
    filter.start().unwrap();
    assert_eq!(leases(&filter, "pump-1"), ["10.10.0.12"]);
    assert_eq!(leases(&filter, "ct-1"), [""; 0]);
    filter.remove().unwrap();
}
