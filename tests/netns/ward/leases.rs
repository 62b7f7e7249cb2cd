//! DHCP: a device gets its lease by rule, from the server that it is to have and from no other.

use iomt_filter_tests::hospital::Version;
use iomt_filter_tests::hospital::connection::{self, Outcome, Service};
use iomt_filter_tests::hospital::host::DICOM;
use iomt_filter_tests::ward::lease::{self, Leases};
use iomt_filter_tests::ward::{Placement, Station};

use super::{LIMIT, build, dropped, filter, in_both_placements};

in_both_placements!(leases, a_lease_comes_through_a_relay_by_rule, a_lease_comes_through_a_bridge_by_rule);

fn leases(placement: Placement) {
    let ward = build(placement);
    let pacs = ward.at(Station::Server, Version::V4, DICOM);
    let _pacs = Service::start(&ward[Station::Server], pacs).unwrap();
    let server = Leases::start(&ward).unwrap();
    let expected = |station| Some(ward.address(station, Version::V4).to_string());
    let acquired = |station| lease::acquire(&ward, station).unwrap();
    for station in [Station::Ct, Station::Monitor] {
        assert_eq!(acquired(station), expected(station), "without the filter: {}", server.log());
    }

    let (filter, events) = filter(&ward);
    assert_eq!(acquired(Station::Ct), expected(Station::Ct), "{}", server.log());
    let outcome = connection::attempt(&ward[Station::Ct], pacs, LIMIT).unwrap();
    assert_eq!(outcome, Outcome::Connected, "the leased address is of no use");
    // The monitor's rules do not name a DHCP server.
    assert_eq!(acquired(Station::Monitor), None);
    dropped(&events, Some("monitor-1"), "not-allowed", |event| event["destination_port"] == 67);

    // A server behind a device port is heard by nobody, even where it is the only one.
    drop(server);
    let rogue = Leases::start_rogue(&ward, Station::Pump).unwrap();
    assert_eq!(acquired(Station::Ct), None, "{}", rogue.log());
    dropped(&events, Some("pump-1"), "rogue-dhcp", |event| event["source_port"] == 67);
    drop(events);
    filter.remove().unwrap();
}
