//! WS-Discovery: who may ask gets an answer, though it comes from an address that was never asked.

use std::time::Duration;

use iomt_filter_tests::hospital::Version;
use iomt_filter_tests::ward::discovery::{Client, PORT, Target, bind, group};
use iomt_filter_tests::ward::{Placement, Station, Ward};

use super::{build, dropped, filter, in_both_placements};

in_both_placements!(
    discovery,
    devices_find_each_other_beside_a_router,
    devices_and_consumers_find_each_other_through_a_bridge
);

/// How long an answer is waited for that is to come, and for one that is not.
const ANSWER: Duration = Duration::from_secs(3);
const SILENCE: Duration = Duration::from_millis(500);
/// A port from which the monitor asks nobody.
const UNASKED: u16 = 50_000;

fn discovery(placement: Placement) {
    let ward = build(placement);
    for version in Version::BOTH {
        find_each_other(&ward, version, 0);
    }
    let (filter, events) = filter(&ward);
    for version in Version::BOTH {
        find_each_other(&ward, version, 100);
        let group = group(version == Version::V4).to_string();
        let address = |station| ward.address(station, version);
        let ip = if version == Version::V4 { 4 } else { 6 };

        // The scanner has no rule to ask by.
        let pump = Target::start(&ward[Station::Pump], address(Station::Pump)).unwrap();
        let scanner = Client::open(&ward[Station::Ct], address(Station::Ct)).unwrap();
        assert!(scanner.probe(201, 1, SILENCE).unwrap().is_empty(), "{version:?}");
        assert_eq!(pump.asked(), 0, "{version:?}");
        dropped(&events, Some("ct-1"), "not-allowed", |event| event["destination"] == group);
        drop(pump);

        // Answers that nobody asked for are no answers, though the pump may answer the monitor.
        let quiet = ward.at(Station::Monitor, version, UNASKED);
        let bound = ward[Station::Pump].inside(|| bind(address(Station::Pump)));
        bound.unwrap().unwrap().send_to(b"<wsd:ProbeMatches/>", quiet).unwrap();
        dropped(&events, Some("pump-1"), "not-allowed", |event| {
            event["source_port"] == PORT && event["destination_port"] == UNASKED && event["ip_version"] == ip
        });

        // The scanner has no rule to answer by either: it hears the monitor, which does not hear it.
        let target = Target::start(&ward[Station::Ct], address(Station::Ct)).unwrap();
        let monitor = Client::open(&ward[Station::Monitor], address(Station::Monitor)).unwrap();
        assert!(monitor.probe(202, 1, SILENCE).unwrap().is_empty(), "{version:?}");
        assert_eq!(target.asked(), 1, "{version:?}");
        let asker = address(Station::Monitor).to_string();
        dropped(&events, Some("ct-1"), "not-allowed", |event| {
            event["source_port"] == PORT && event["destination"] == asker
        });
    }
    drop(events);
    filter.remove().unwrap();
}

/// The monitor finds the pump; on one link with the console, each finds the other.
fn find_each_other(ward: &Ward, version: Version, number: u32) {
    let mut pairs = vec![(Station::Monitor, Station::Pump)];
    if ward.placement() == Placement::Bridge {
        pairs.extend([(Station::Monitor, Station::Console), (Station::Console, Station::Pump)]);
    }
    for (asker, target) in pairs {
        let _target = Target::start(&ward[target], ward.address(target, version)).unwrap();
        let client = Client::open(&ward[asker], ward.address(asker, version)).unwrap();
        let found = client.probe(number, 1, ANSWER).unwrap();
        assert_eq!(found, [ward.address(target, version)], "{asker:?} asks {target:?} by {version:?}");
    }
}
