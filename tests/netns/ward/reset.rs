//! `on_block = "reset"`: whoever is cut off is told so at once, at the opening and in the middle of a session.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use iomt_filter_tests::hospital::connection::{self, Outcome, Service, Session};
use iomt_filter_tests::hospital::events::Events;
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::{DICOM, HTTPS};
use iomt_filter_tests::hospital::{Version, wait};
use iomt_filter_tests::ward::passing::Passing;
use iomt_filter_tests::ward::{INTERFACE, POLICY, Placement, Station, Ward};

use super::{LIMIT, build, in_both_placements};
use crate::can_run;
use crate::hospital::agent;

in_both_placements!(
    resets,
    who_is_cut_off_by_a_router_is_told_at_once,
    who_is_cut_off_by_a_bridge_is_told_at_once
);

/// Less than the kernel waits before it sends anything a second time into silence.
const AT_ONCE: Duration = Duration::from_millis(900);

/// The ward's filter, judging: the scanner is one that is told.
fn resetting<'w>(ward: &'w Ward, mode: &str) -> Filter<'w> {
    let mut filter = ward.filter(&agent()).unwrap();
    let profile = "[profiles.ct-scanner]\n";
    filter
        .write("policy.toml", POLICY.replace(profile, &format!("{profile}on_block = \"reset\"\n")))
        .unwrap();
    let text = fs::read_to_string(filter.config()).unwrap();
    let section = "[interfaces]\n";
    filter.write("config.toml", text.replace(section, &format!("{section}mode = \"{mode}\"\n"))).unwrap();
    filter.start().unwrap();
    filter
}

/// That a connection is refused, and in no time.
fn refused(ward: &Ward, from: Station, to: SocketAddr) {
    let started = Instant::now();
    assert_eq!(connection::attempt(&ward[from], to, LIMIT).unwrap(), Outcome::Refused, "{from:?} to {to}");
    assert!(started.elapsed() < AT_ONCE, "{from:?} to {to}: {:?}", started.elapsed());
}

#[test]
fn without_help_of_the_driver_resets_need_nothing_of_the_far_end() {
    if !can_run() {
        return;
    }
    let ward = build(Placement::Bridge);
    let filter = resetting(&ward, "generic");
    for version in Version::BOTH {
        let server = ward.at(Station::Server, version, HTTPS);
        let _service = Service::start(&ward[Station::Server], server).unwrap();
        refused(&ward, Station::Ct, server);
    }
    filter.remove().unwrap();
}

fn resets(placement: Placement) {
    let ward = build(placement);
    // What an XDP program sends back into a cable arrives only where the other end has a program too.
    let far_ends = Station::DEVICES.map(|device| (device, INTERFACE));
    let _passing: Vec<_> = far_ends
        .into_iter()
        .chain([(Station::Core, "seg")])
        .map(|(station, interface)| Passing::attach(&ward[station], interface).unwrap())
        .collect();
    let _services: Vec<_> = Version::BOTH
        .into_iter()
        .flat_map(|version| {
            [(Station::Far, HTTPS), (Station::Server, DICOM), (Station::Ct, HTTPS)].map(|(station, port)| {
                Service::start(&ward[station], ward.at(station, version, port)).unwrap()
            })
        })
        .collect();
    let filter = resetting(&ward, "auto");
    let events = Events::follow(&filter).unwrap();
    let reset = |reason: &str, source: &str, destination: &str| {
        events
            .wait(&format!("{source} to {destination} reset as `{reason}`"), |event| {
                event["verdict"] == "reset"
                    && event["device"] == "ct-1"
                    && event["reason"] == reason
                    && event["source"] == source
                    && event["destination"] == destination
            })
            .unwrap();
    };

    for version in Version::BOTH {
        let address = |station| ward.address(station, version).to_string();
        // At the opening, from the device and to it.
        for (from, to, port) in
            [(Station::Ct, Station::Server, HTTPS), (Station::Stranger, Station::Ct, HTTPS)]
        {
            refused(&ward, from, ward.at(to, version, port));
            reset("not-allowed", &address(from), &address(to));
        }

        // In the middle of a session.
        let far = ward.at(Station::Far, version, HTTPS);
        let kept =
            Session::start(&ward[Station::Ct], ward.at(Station::Server, version, DICOM), LIMIT).unwrap();
        let session = Session::start(&ward[Station::Ct], far, LIMIT).unwrap();
        wait::until("a session's answers", LIMIT, || Ok((session.answered() > 20).then_some(()))).unwrap();
        assert!(!session.has_ended());
        let blocked = far.ip().to_string();
        filter.tell(&["block", "add", &blocked]).unwrap();
        let started = Instant::now();
        wait::until("the session to end", LIMIT, || Ok(session.has_ended().then_some(()))).unwrap();
        assert!(started.elapsed() < AT_ONCE, "{version:?}: {:?}", started.elapsed());
        reset("blocklist", &address(Station::Ct), &blocked);
        filter.tell(&["block", "remove", &blocked]).unwrap();
        let answered = kept.answered();
        wait::until("the other session's answers", LIMIT, || {
            Ok((kept.answered() > answered + 20).then_some(()))
        })
        .unwrap();
    }
    // A device whose profile does not say so is dropped in silence.
    let server = ward.at(Station::Server, Version::V4, DICOM);
    let outcome = connection::attempt(&ward[Station::Pump], server, super::ATTEMPT).unwrap();
    assert_eq!(outcome, Outcome::NoAnswer);
    drop(events);
    filter.remove().unwrap();
}
