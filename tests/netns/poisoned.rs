//! Lists that would hurt: whatever a feed says, no clinical session is cut, and what was blocked stays blocked.

use std::fmt::Write as _;
use std::time::Duration;

use iomt_filter_tests::hospital::connection::{Outcome, Service, Session, attempt};
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::{DICOM, HL7, HTTPS, INTEGRATION};
use iomt_filter_tests::hospital::{Host, Version, wait};
use serde_json::Value;

use crate::can_run;
use crate::hospital::{ATTEMPT, LIMIT, agent, assert_cut, assert_runs, build};

/// How long a million lines may take, in a build that is not optimised, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const FEED: &str = "threats";
/// What the feed listed before: the C2 host, and a network that nobody talks to.
const GOOD: &str = "203.0.113.9\n2001:db8:c2::9\n203.0.113.128/25\n";

/// A million addresses, and what was listed before.
fn million() -> Vec<u8> {
    let mut million = String::with_capacity(16 << 20);
    for number in 0..1_000_000_u32 {
        let _ = writeln!(million, "{}", std::net::Ipv4Addr::from(0x2000_0000 + number * 997));
    }
    [million.as_bytes(), GOOD.as_bytes()].concat()
}

/// Networks that need more lines of the table than there are for a list of half a million addresses, and what was
/// listed before.
fn too_many() -> Vec<u8> {
    let mut networks = String::with_capacity(8 << 20);
    for number in 0..300_000_u32 {
        let scattered = number.wrapping_mul(0x9e37_79b1);
        let _ =
            writeln!(networks, "2a00:{:x}:{:x}::/{}", scattered >> 16, scattered & 0xffff, 48 + number % 4);
    }
    [networks.as_bytes(), GOOD.as_bytes()].concat()
}

/// What is poured into the feed, and what becomes of it.
fn poisons() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let with_good = |more: &str| [GOOD.as_bytes(), more.as_bytes()].concat();
    vec![
        ("all of IPv4", b"0.0.0.0/0\n".to_vec(), "kept"),
        ("all of IPv6", b"::/0\n".to_vec(), "kept"),
        ("all of both in halves", b"0.0.0.0/1\n128.0.0.0/1\n::/1\n8000::/1\n".to_vec(), "held"),
        ("the hospital's network", b"10.0.0.0/8\n".to_vec(), "held"),
        ("the PACS among others", with_good("10.20.0.10\n10.20.0.20\n"), "loaded"),
        ("the PACS by its public address", with_good("2001:db8:20::10\n"), "held"),
        ("the vendor's host", with_good("198.51.100.7\n"), "held"),
        ("the vendor's network", with_good("198.51.100.0/24\n"), "held"),
        ("a server that is never to be blocked", with_good("192.0.2.53\n"), "loaded"),
        ("a public resolver", with_good("8.8.8.8\n9.9.9.9\n2001:4860:4860::8888\n"), "loaded"),
        ("a sudden million", million(), "held"),
        ("nothing", Vec::new(), "held"),
        ("a program", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(), "kept"),
        ("an error page", b"<!DOCTYPE html><html><p>198.51.100.7</p></html>".to_vec(), "kept"),
    ]
}

/// Has the feed read again, and says how it stands.
fn refresh(filter: &Filter<'_>) -> Value {
    let before = attempted(filter);
    filter.tell(&["feed", "refresh", FEED, "--no-wait"]).unwrap();
    wait::until("the feed to be read", PATIENCE, || {
        let feed = show(filter);
        let is_done = feed["fetching"] == false && feed["attempted"].as_str() != before.as_deref();
        Ok(is_done.then_some(feed))
    })
    .unwrap()
}

fn attempted(filter: &Filter<'_>) -> Option<String> {
    show(filter)["attempted"].as_str().map(str::to_owned)
}

fn show(filter: &Filter<'_>) -> Value {
    filter.json(&["feed", "show", FEED]).unwrap()
}

/// Frames that were dropped of the devices whose sessions run.
fn dropped(filter: &Filter<'_>) -> u64 {
    let devices = filter.json(&["devices"]).unwrap();
    let devices = devices.as_array().unwrap().iter().filter(|device| device["name"].is_string());
    devices.map(|device| device["dropped"].as_u64().unwrap()).sum()
}

#[test]
fn no_poisoned_feed_cuts_a_clinical_session() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let pacs = Host::Pacs.at(Version::V4, DICOM);
    let pacs_v6 = Host::Pacs.at(Version::V6, DICOM);
    let engine = (INTEGRATION.v4, HL7).into();
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let c2 = Host::C2.at(Version::V4, HTTPS);
    let _services = [
        (Host::Pacs, pacs),
        (Host::Pacs, pacs_v6),
        (Host::Pacs, engine),
        (Host::Vendor, vendor),
        (Host::C2, c2),
    ]
    .map(|(host, at)| Service::start(&hospital[host], at).unwrap());
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    let config = std::fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", config + "[gate]\nnever_block = [\"192.0.2.53\"]\n").unwrap();
    filter.write("threats.txt", GOOD).unwrap();
    filter.start().unwrap();
    let sessions = [(Host::Ct, pacs), (Host::Ct, pacs_v6), (Host::Pump, engine), (Host::Ct, vendor)]
        .map(|(host, to)| Session::start(&hospital[host], to, LIMIT).unwrap());
    sessions.iter().for_each(assert_runs);
    assert_eq!(attempt(&hospital[Host::Ct], c2, ATTEMPT).unwrap(), Outcome::NoAnswer);
    for (what, poison, state) in poisons() {
        let before = dropped(&filter);
        filter.write("threats.txt", &poison).unwrap();
        let feed = refresh(&filter);
        assert_eq!(feed["state"], state, "{what}: {feed}");
        assert!(feed["entries"].as_u64().unwrap() >= 3, "{what}: the last good list is gone: {feed}");
        assert_eq!(
            state == "held",
            feed["held"].as_array().is_some_and(|held| !held.is_empty()) && state != "kept",
            "{what}"
        );
        sessions.iter().for_each(assert_runs);
        assert_eq!(dropped(&filter), before, "{what}: a frame of a clinical session was dropped");
        assert_eq!(
            attempt(&hospital[Host::Ct], c2, Duration::from_millis(100)).unwrap(),
            Outcome::NoAnswer,
            "{what}"
        );
        let before_reload = dropped(&filter);
        // A reload reads the same file, and comes to the same.
        filter.tell(&["reload"]).unwrap();
        assert_eq!(show(&filter)["state"], state, "{what}, after a reload");
        sessions.iter().for_each(assert_runs);
        assert_eq!(dropped(&filter), before_reload, "{what}, after a reload");
    }

    // Somebody who knows better lets it through, and it bites at once.
    filter.write("threats.txt", format!("{GOOD}198.51.100.7\n")).unwrap();
    let feed = refresh(&filter);
    let why = feed["held"][0].as_str().unwrap();
    assert!(why.contains("`ct-1` to 198.51.100.7") && why.contains("feed release threats"), "{why}");
    assert!(filter.tell(&["events", "--reason", "feed-held"]).unwrap().contains("notice feed-held threats"));
    filter.tell(&["feed", "release", FEED, "--note", "the vendor is compromised"]).unwrap();
    let [pacs, pacs_v6, engine, vendor] = &sessions;
    assert_cut(vendor);
    [pacs, pacs_v6, engine].into_iter().for_each(assert_runs);
    let lookup = filter.json(&["lookup", "198.51.100.7"]).unwrap();
    assert_eq!(lookup["listings"][0]["feed"], FEED);
    filter.remove().unwrap();
}

#[test]
fn a_list_without_room_waits_and_a_new_agent_judges_by_the_last_good_one() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let (c2, pacs) = (Host::C2.at(Version::V4, HTTPS), Host::Pacs.at(Version::V4, DICOM));
    let _services =
        [(Host::C2, c2), (Host::Pacs, pacs)].map(|(host, at)| Service::start(&hospital[host], at).unwrap());
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    let config = std::fs::read_to_string(filter.config()).unwrap();
    // The gate lets it through: that it does not fit is found out when it is to be made active.
    filter.write("config.toml", config + "max_growth = 100000\nslack = 4000000\n").unwrap();
    filter.write("threats.txt", GOOD).unwrap();
    filter.start().unwrap();
    let judges = |what: &str| {
        assert_eq!(attempt(&hospital[Host::Ct], c2, ATTEMPT).unwrap(), Outcome::NoAnswer, "{what}");
        assert_eq!(attempt(&hospital[Host::Ct], pacs, LIMIT).unwrap(), Outcome::Connected, "{what}");
    };
    judges("before");
    filter.write("threats.txt", too_many()).unwrap();
    let feed = refresh(&filter);
    assert_eq!(feed["state"], "held", "{feed}");
    assert!(feed["held"][0].as_str().unwrap().contains("there is no room for it"), "{feed}");
    judges("while it waits");
    filter.kill().unwrap();
    judges("without an agent");
    filter.start().unwrap();
    assert_eq!(show(&filter)["entries"], 3, "the last good list holds");
    judges("with a new agent");
    filter.remove().unwrap();
}

#[test]
fn a_restart_lets_no_list_through_that_would_cut_what_runs() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _service = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    filter.write("threats.txt", GOOD).unwrap();
    filter.start().unwrap();
    filter.kill().unwrap();
    // Nobody has written down that they talk: the kernel's table alone knows.
    let session = Session::start(&hospital[Host::Ct], vendor, LIMIT).unwrap();
    assert_runs(&session);
    filter.write("threats.txt", format!("{GOOD}198.51.100.7\n")).unwrap();
    for start in ["the first", "another"] {
        filter.start().unwrap();
        assert_eq!(show(&filter)["state"], "held", "{start} start: {}", show(&filter));
        assert_runs(&session);
        filter.kill().unwrap();
    }
    filter.start().unwrap();
    filter.tell(&["feed", "release", FEED]).unwrap();
    assert_cut(&session);
    filter.remove().unwrap();
}
