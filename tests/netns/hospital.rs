//! A small hospital with real programs in it: what passes, what does not, and what survives the agent.

use std::path::Path;
use std::time::Duration;

use iomt_filter_tests::hospital::connection::{self, Outcome, Service, Session};
use iomt_filter_tests::hospital::dicom::{self, Pacs, Study};
use iomt_filter_tests::hospital::events::{Events, Expected};
use iomt_filter_tests::hospital::filter::{Filter, POLICY};
use iomt_filter_tests::hospital::host::{DICOM, HL7, HTTPS, INTEGRATION, MAINTENANCE};
use iomt_filter_tests::hospital::{Hospital, Host, Version, wait};

use crate::can_run;

pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// Less than the kernel waits before its second SYN.
pub(crate) const ATTEMPT: Duration = Duration::from_millis(900);
/// Messages that a session exchanges while it is watched.
const MESSAGES: u64 = 50;
/// Messages that are enough to tell that nobody answers; the kernel takes a hundred.
const UNANSWERED: u64 = 25;

/// Who must not reach whom, and why.
const FORBIDDEN: [(Host, Host, u16, &str); 4] = [
    (Host::Ct, Host::C2, HTTPS, "blocklist"),
    (Host::Pump, Host::Denied, HTTPS, "geo"),
    (Host::Ct, Host::Pump, MAINTENANCE, "not-allowed"),
    (Host::Laptop, Host::Pacs, DICOM, "unknown-device"),
];

/// The agent under test: what `cargo xtask test` has built, or lies beside the tests.
pub(crate) fn agent() -> std::path::PathBuf {
    if let Some(path) = std::env::var_os("IOMT_FILTER_BIN") {
        return path.into();
    }
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(2).unwrap().join("iomt-filter")
}

pub(crate) fn build() -> Hospital {
    Hospital::build(crate::PREFIX).unwrap()
}

pub(crate) fn filter<'h>(hospital: &'h Hospital, agent: &Path) -> Filter<'h> {
    let mut filter = Filter::configure(hospital, agent).unwrap();
    filter.start().unwrap();
    filter
}

fn services(hospital: &Hospital) -> Vec<Service> {
    let wanted =
        FORBIDDEN.iter().flat_map(|(_, to, port, _)| Version::BOTH.map(|version| to.at(version, *port)));
    let hosts = FORBIDDEN.iter().flat_map(|(_, to, ..)| [*to; 2]);
    hosts.zip(wanted).map(|(host, at)| Service::start(&hospital[host], at).unwrap()).collect()
}

/// That the session goes on, from now.
pub(crate) fn assert_runs(session: &Session) {
    let enough = session.answered() + MESSAGES;
    wait::until("a session's answers", LIMIT, || Ok((session.answered() >= enough).then_some(()))).unwrap();
}

/// That the session goes on sending from now, or that the kernel takes no more of it, and gets no answer.
pub(crate) fn assert_cut(session: &Session) {
    let answered = session.answered();
    let enough = (session.sent() + UNANSWERED).min(answered + 2 * UNANSWERED);
    wait::until("a session to send", LIMIT, || Ok((session.sent() >= enough).then_some(()))).unwrap();
    assert_eq!(session.answered(), answered, "a cut session was answered");
}

#[test]
fn a_study_arrives_under_enforcement() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let study = Study::make(&hospital).unwrap();
    let mut pacs = Pacs::start(&hospital).unwrap();
    let filter = filter(&hospital, &agent());
    dicom::echo(&hospital, Host::Ct).unwrap();
    dicom::send(&hospital, Host::Ct, &study, &mut pacs).unwrap();
    let devices = filter.json(&["devices"]).unwrap();
    let ct = devices.as_array().unwrap().iter().find(|device| device["name"] == "ct-1").unwrap();
    assert_eq!(ct["mode"], "enforce");
    assert_eq!(ct["dropped"], 0, "{ct}");
    filter.remove().unwrap();
}

#[test]
fn what_is_forbidden_is_dropped_for_its_reason_over_ipv4_and_ipv6() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let services = services(&hospital);
    let attempt = |from: Host, to: Host, version, port, limit| {
        connection::attempt(&hospital[from], to.at(version, port), limit).unwrap()
    };
    // Without the filter all of it works: what is dropped below, the filter drops.
    for (from, to, port, _) in FORBIDDEN {
        for version in Version::BOTH {
            assert_eq!(
                attempt(from, to, version, port, LIMIT),
                Outcome::Connected,
                "{from:?} {to:?} {version:?}"
            );
        }
    }
    let reached = || services.iter().map(Service::accepted).sum::<u64>();
    // A service counts a connection a moment after its peer has it.
    let before = 2 * FORBIDDEN.len() as u64;
    wait::until("every connection to be counted", LIMIT, || Ok((reached() == before).then_some(()))).unwrap();
    let filter = filter(&hospital, &agent());
    let events = Events::follow(&filter).unwrap();
    for (from, to, port, reason) in FORBIDDEN {
        for version in Version::BOTH {
            assert_eq!(
                attempt(from, to, version, port, ATTEMPT),
                Outcome::NoAnswer,
                "{from:?} {to:?} {version:?}"
            );
            events.wait_for(Expected { from, to, version, reason }).unwrap();
        }
    }
    assert_eq!(reached(), before, "somebody was reached");
    drop(events);
    filter.remove().unwrap();
}

#[test]
fn a_block_cuts_a_running_session_and_no_other() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let engine = (INTEGRATION.of(Version::V6), HL7).into();
    let _engine = Service::start(&hospital[Host::Pacs], engine).unwrap();
    let filter = filter(&hospital, &agent());
    let hl7 = Session::start(&hospital[Host::Pump], engine, LIMIT).unwrap();
    for version in Version::BOTH {
        let vendor = Host::Vendor.at(version, HTTPS);
        let _service = Service::start(&hospital[Host::Vendor], vendor).unwrap();
        let session = Session::start(&hospital[Host::Ct], vendor, LIMIT).unwrap();
        assert_runs(&session);
        filter.tell(&["block", "add", &vendor.ip().to_string(), "--note", "test"]).unwrap();
        // The command returns when the block holds; an answer may still have been on its way.
        wait::until("the first unanswered message", LIMIT, || {
            Ok((session.sent() > session.answered() + 5).then_some(()))
        })
        .unwrap();
        assert_cut(&session);
        assert_runs(&hl7);
        filter.tell(&["block", "remove", &vendor.ip().to_string()]).unwrap();
        assert_runs(&session);
    }
    filter.remove().unwrap();
}

#[test]
fn the_filter_outlives_a_killed_agent_and_the_next_one_takes_it_over() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let _services = services(&hospital);
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _vendor = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let mut filter = filter(&hospital, &agent());
    let session = Session::start(&hospital[Host::Ct], vendor, LIMIT).unwrap();
    assert_runs(&session);

    filter.kill().unwrap();
    assert!(!filter.ask(&["status"]).unwrap().status.success());
    assert_runs(&session);
    for (from, to, port, _) in FORBIDDEN {
        for version in Version::BOTH {
            let outcome = connection::attempt(&hospital[from], to.at(version, port), ATTEMPT).unwrap();
            assert_eq!(outcome, Outcome::NoAnswer, "{from:?} {to:?} {version:?}");
        }
    }

    filter.start().unwrap();
    let status = filter.json(&["status"]).unwrap();
    assert_eq!(status["adopted"], true, "{status}");
    assert_runs(&session);
    assert!(!session.has_ended());
    let flows = filter.json(&["flows"]).unwrap();
    let packets =
        flows.as_array().unwrap().iter().filter(|flow| flow["destination"] == vendor.ip().to_string());
    let packets: u64 = packets.filter_map(|flow| flow["packets"].as_u64()).sum();
    assert!(packets > 2 * MESSAGES, "the flow was forgotten: {flows}");
    filter.remove().unwrap();
}

#[test]
fn an_invalid_policy_is_refused_and_what_runs_stays() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let vendor = Host::Vendor.at(Version::V6, HTTPS);
    let _vendor = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let _services = services(&hospital);
    let filter = filter(&hospital, &agent());
    let generation = || filter.json(&["status"]).unwrap()["generation"].clone();
    let session = Session::start(&hospital[Host::Ct], vendor, LIMIT).unwrap();
    assert_runs(&session);
    let before = generation();

    filter.write("policy.toml", POLICY.replace("to = \"vendor\"", "to = \"vendro\"")).unwrap();
    let refused = filter.ask(&["reload"]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.errors.contains("vendro"), "{}", refused.errors);
    assert_eq!(generation(), before);
    assert_runs(&session);
    let c2 = Host::C2.at(Version::V4, HTTPS);
    assert_eq!(connection::attempt(&hospital[Host::Ct], c2, ATTEMPT).unwrap(), Outcome::NoAnswer);

    // The same without the rule is valid, and cuts the session.
    let rule = "  { to = \"vendor\", service = \"https\", note = \"remote service\" },\n";
    filter.write("policy.toml", POLICY.replace(rule, "")).unwrap();
    filter.tell(&["reload"]).unwrap();
    assert_ne!(generation(), before);
    wait::until("the first unanswered message", LIMIT, || {
        Ok((session.sent() > session.answered() + 5).then_some(()))
    })
    .unwrap();
    assert_cut(&session);
    filter.remove().unwrap();
}

#[test]
fn files_that_went_bad_unblock_nobody() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let _services = services(&hospital);
    let mut filter = filter(&hospital, &agent());
    let assert_cut_off = |filter: &Filter<'_>, what: &str| {
        let events = Events::follow(filter).unwrap();
        for version in Version::BOTH {
            for (from, to, reason) in [(Host::Ct, Host::C2, "blocklist"), (Host::Pump, Host::Denied, "geo")] {
                let outcome = connection::attempt(&hospital[from], to.at(version, HTTPS), ATTEMPT).unwrap();
                assert_eq!(outcome, Outcome::NoAnswer, "{what}: {to:?} {version:?}");
                events.wait_for(Expected { from, to, version, reason }).unwrap();
            }
        }
    };
    let state = |filter: &Filter<'_>| filter.json(&["status"]).unwrap()["feeds"][0]["state"].clone();
    for (content, expected) in [("", "held"), ("<!doctype html>\n203.0.113.9\n", "kept")] {
        filter.write("threats.txt", content).unwrap();
        filter.tell(&["reload"]).unwrap();
        assert_eq!(state(&filter), expected);
        assert_cut_off(&filter, content);
    }
    std::fs::remove_file(filter.folder().join("country.mmdb")).unwrap();
    let refused = filter.ask(&["reload"]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.errors.contains("country.mmdb"), "{}", refused.errors);

    std::fs::remove_file(filter.folder().join("threats.txt")).unwrap();
    filter.kill().unwrap();
    filter.start().unwrap();
    assert_eq!(state(&filter), "kept");
    assert_cut_off(&filter, "a new agent");
    filter.remove().unwrap();
}
