//! What somebody with the right to use BPF does to a filter that runs: it is put right, and told.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use aya::maps::{Array, Map, MapData};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use iomt_filter::datapath::{Datapath, LoadOptions};
use iomt_filter_common::abi::map;
use iomt_filter_common::device::Port;
use iomt_filter_common::ports::{Entry, line_of};
use iomt_filter_tests::hospital::connection::{Outcome, Service, attempt};
use iomt_filter_tests::hospital::filter::{Filter, pins};
use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::hospital::{Hospital, Host, Version, wait};
use nix::net::if_::if_nametoindex;
use serde_json::Value;

use crate::can_run;
use crate::hospital::{ATTEMPT, LIMIT, agent, build, filter};
use crate::lifecycle::is_judged;

/// The tables are compared once in a minute.
const MINUTE: Duration = Duration::from_secs(90);

fn pin(hospital: &Hospital, port: &str) -> PathBuf {
    pins(hospital.name()).join("links").join(port)
}

/// A line of a table of the filter that runs.
fn write<const WORDS: usize>(hospital: &Hospital, table: &str, line: u32, words: [u64; WORDS]) {
    let data = MapData::from_pin(pins(hospital.name()).join("maps").join(table)).unwrap();
    Array::<_, [u64; WORDS]>::try_from(Map::Array(data)).unwrap().set(line, words, 0).unwrap();
}

/// Puts a program that is not this filter's into the link of a port; it lives as long as what comes back.
fn take(hospital: &Hospital, port: &str) -> Datapath {
    let mut other = Datapath::load(&LoadOptions::default()).unwrap();
    let link = FdLink::from(PinnedLink::from_pin(pin(hospital, port)).unwrap());
    other.xdp_mut().unwrap().attach_to_link(XdpLink::try_from(link).unwrap()).unwrap();
    other
}

/// The kernel's number of the program on a port.
fn program(filter: &Filter<'_>, port: &str) -> u32 {
    let said = filter.host().run(&["ip", "link", "show", "dev", port]).unwrap();
    let number = said.split("prog/xdp id ").nth(1).unwrap_or_else(|| panic!("no program: {said}"));
    number.split_whitespace().next().unwrap().parse().unwrap()
}

fn incident(filter: &Filter<'_>, kind: &str, about: &str) -> Option<Value> {
    let status = filter.json(&["status"]).unwrap();
    let is_it = |it: &&Value| it["kind"] == kind && it["about"] == about;
    status["incidents"].as_array().unwrap().iter().find(is_it).cloned()
}

fn wait_for(filter: &Filter<'_>, kind: &str, about: &str, limit: Duration) -> Value {
    wait::until(&format!("`{about}` to be {kind}"), limit, || Ok(incident(filter, kind, about))).unwrap()
}

#[test]
fn a_program_that_somebody_puts_into_a_link_is_put_out_again() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    let own = program(&filter, "uplink");
    let other = take(&hospital, "port-pump");
    let foreign = other.xdp().unwrap().info().unwrap().id();
    let told = wait_for(&filter, "repaired", "port-pump", LIMIT);
    assert!(told["note"].as_str().unwrap().contains(&format!("program {foreign}")), "{told}");
    assert_eq!(program(&filter, "port-pump"), own);
    let said = filter.tell(&["status"]).unwrap();
    assert!(said.starts_with("REPAIRED    port-pump:"), "{said}");
    let audit = filter.tell(&["audit", "export"]).unwrap();
    assert!(audit.contains("repair port-pump"), "{audit}");

    // Nobody is there to put it out: `doctor` sees it, and the next agent does it.
    filter.kill().unwrap();
    let again = take(&hospital, "port-pump");
    let doctor = filter.ask(&["doctor"]).unwrap();
    assert_eq!(doctor.status.code(), Some(1), "{doctor:?}");
    assert!(doctor.output.contains("which is not this filter's"), "{doctor:?}");
    filter.start().unwrap();
    assert_eq!(program(&filter, "port-pump"), program(&filter, "uplink"));
    assert_ne!(program(&filter, "port-pump"), again.xdp().unwrap().info().unwrap().id());
    filter.remove().unwrap();
}

#[test]
fn a_link_that_loses_its_pin_judges_on_and_has_it_again() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    let pin = pin(&hospital, "port-pump");
    fs::remove_file(&pin).unwrap();
    assert!(is_judged(&filter, "port-pump"), "the agent holds it");
    wait_for(&filter, "repaired", "port-pump", LIMIT);
    assert!(pin.exists() && is_judged(&filter, "port-pump"));
    filter.kill().unwrap();
    assert!(is_judged(&filter, "port-pump"), "the pin holds it");
    filter.start().unwrap();
    filter.remove().unwrap();
}

#[test]
fn roles_and_what_holds_by_hand_are_written_anew() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _vendor = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let pump = || attempt(&hospital[Host::Pump], vendor, ATTEMPT).unwrap();
    assert_eq!(pump(), Outcome::NoAnswer);
    let index = filter.host().inside(|| if_nametoindex("port-pump")).unwrap().unwrap();
    let stolen = Entry::new(index, 0, Port::Uplink).0;
    write(&hospital, map::PORTS, line_of(index, 0), [stolen, 0, 0, 0, 0, 0, 0, 0]);
    wait_for(&filter, "repaired", "PORTS", LIMIT);
    assert_eq!(pump(), Outcome::NoAnswer);

    // A bypass of everything that nobody has asked for.
    write(&hospital, map::EXCEPTIONS, 0, [0, u64::MAX]);
    assert_eq!(pump(), Outcome::Connected, "the gate is open");
    wait_for(&filter, "repaired", "EXCEPTIONS", MINUTE);
    assert_eq!(pump(), Outcome::NoAnswer);

    // What is done while there is no agent is found by the next one, whatever it starts with.
    filter.kill().unwrap();
    write(&hospital, map::EXCEPTIONS, 0, [0, u64::MAX]);
    write(&hospital, map::POLICY, 2, [7; 8]);
    filter.start().unwrap();
    assert!(incident(&filter, "repaired", "EXCEPTIONS").is_some());
    let told = incident(&filter, "repaired", "tables").unwrap();
    assert!(told["note"].as_str().unwrap().contains("POLICY"), "{told}");
    assert_eq!(pump(), Outcome::NoAnswer);
    filter.remove().unwrap();
}

#[test]
fn tables_are_compared_while_a_change_is_pending_too_and_with_other_files() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    let policy = fs::read_to_string(filter.folder().join("policy.toml")).unwrap();
    let other = policy.replace("  { to = \"pacs\", service = \"dicom\" },\n", "");
    filter.write("policy.toml", &other).unwrap();
    filter.tell(&["apply", "--confirm-within", "10m"]).unwrap();
    filter.kill().unwrap();
    filter.start().unwrap();
    let status = filter.json(&["status"]).unwrap();
    assert_eq!(status["incidents"].as_array().unwrap().len(), 0, "{status}");
    filter.kill().unwrap();
    write(&hospital, map::SETTINGS, 1, [u64::MAX; SETTINGS]);
    write(&hospital, map::SETTINGS, 0, [u64::MAX; SETTINGS]);
    filter.start().unwrap();
    let told = incident(&filter, "repaired", "tables").unwrap();
    assert!(told["note"].as_str().unwrap().contains("SETTINGS"), "{told}");
    filter.tell(&["rollback"]).unwrap();
    // The files say something else than what holds: the tables are compared with what holds.
    filter.kill().unwrap();
    filter.write("policy.toml", format!("{policy}\n# as it was\n")).unwrap();
    for slot in 0..3 {
        write(&hospital, map::SETTINGS, slot, [u64::MAX; SETTINGS]);
    }
    filter.start().unwrap();
    let told = incident(&filter, "repaired", "tables").unwrap();
    assert!(told["note"].as_str().unwrap().contains("SETTINGS"), "{told}");
    filter.remove().unwrap();
}

const SETTINGS: usize = size_of::<iomt_filter_common::policy::Settings>() / 8;
