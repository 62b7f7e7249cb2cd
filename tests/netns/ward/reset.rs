//! `on_block = "reset"`: whoever is cut off is told so at once, at both moments when that can happen.

use std::time::{Duration, Instant};

use iomt_filter_tests::hospital::connection::{self, Outcome, Service, Session};
use iomt_filter_tests::hospital::events::Events;
use iomt_filter_tests::hospital::host::{DICOM, HTTPS};
use iomt_filter_tests::hospital::{Version, wait};
use iomt_filter_tests::ward::passing::Passing;
use iomt_filter_tests::ward::{INTERFACE, POLICY, Placement, Station};

use super::{LIMIT, build, in_both_placements};
use crate::hospital::agent;

in_both_placements!(
    resets,
    a_router_tells_both_ends_that_they_are_cut_off,
    a_bridge_tells_both_ends_that_they_are_cut_off
);

/// Far less than the kernel waits before its second SYN.
const AT_ONCE: Duration = Duration::from_millis(500);

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
    let mut filter = ward.filter(&agent()).unwrap();
    filter
        .write(
            "policy.toml",
            POLICY.replace("[profiles.ct-scanner]\n", "[profiles.ct-scanner]\non_block = \"reset\"\n"),
        )
        .unwrap();
    filter.start().unwrap();
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
            let started = Instant::now();
            let outcome = connection::attempt(&ward[from], ward.at(to, version, port), LIMIT).unwrap();
            assert_eq!(outcome, Outcome::Refused, "{from:?} {version:?}");
            assert!(started.elapsed() < AT_ONCE, "{from:?} {version:?}: {:?}", started.elapsed());
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
