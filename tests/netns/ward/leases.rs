//! DHCP: a device gets its lease by rule, from the server that it is to have and from no other.

use iomt_filter_tests::hospital::Version;
use iomt_filter_tests::hospital::connection::{self, Outcome, Service};
use iomt_filter_tests::hospital::events::Events;
use iomt_filter_tests::hospital::host::DICOM;
use iomt_filter_tests::ward::lease::{self, Leases};
use iomt_filter_tests::ward::{DEVICES, INTERFACE, Placement, Station};
use serde_json::Value;

use super::{ATTEMPT, LIMIT, build, dropped, filter, in_both_placements};
use crate::hospital::agent;

in_both_placements!(leases, a_lease_comes_through_a_relay_by_rule, a_lease_comes_through_a_bridge_by_rule);

in_both_placements!(
    leased_addresses,
    an_address_by_dhcp_is_a_devices_once_a_relay_has_brought_it,
    an_address_by_dhcp_is_a_devices_once_a_bridge_has_brought_it
);

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
    let acquired_v6 = |station| lease::acquire_v6(&ward, station).unwrap();
    let expected_v6 = |station| Some(ward.address(station, Version::V6).to_string());
    if placement == Placement::Bridge {
        assert_eq!(acquired_v6(Station::Monitor), expected_v6(Station::Monitor), "{}", server.log());
    }

    let (filter, events) = filter(&ward);
    assert_eq!(acquired(Station::Ct), expected(Station::Ct), "{}", server.log());
    let outcome = connection::attempt(&ward[Station::Ct], pacs, LIMIT).unwrap();
    assert_eq!(outcome, Outcome::Connected, "the leased address is of no use");
    // The monitor's rules do not name a DHCP server.
    assert_eq!(acquired(Station::Monitor), None);
    dropped(&events, Some("monitor-1"), "not-allowed", |event| event["destination_port"] == 67);
    if placement == Placement::Bridge {
        assert_eq!(acquired_v6(Station::Ct), expected_v6(Station::Ct), "{}", server.log());
        assert_eq!(acquired_v6(Station::Monitor), None);
        dropped(&events, Some("monitor-1"), "not-allowed", |event| event["destination_port"] == 547);
    }

    // A server behind a device port is heard by nobody, even where it is the only one.
    drop(server);
    let pump = "00:1b:21:40:00:13";
    let rogue = Leases::start_rogue(&ward, Station::Pump).unwrap();
    assert_eq!(acquired(Station::Ct), None, "{}", rogue.log());
    events
        .wait("an offer dropped as `rogue-dhcp`", |event| {
            event["reason"] == "rogue-dhcp" && event["source_port"] == 67 && event["mac"]["source"] == pump
        })
        .unwrap();
    drop(events);
    filter.remove().unwrap();
}

/// A device that the inventory knows by its hardware address: an IPv4 address is its own from the lease on.
fn leased_addresses(placement: Placement) {
    let ward = build(placement);
    let ct = &ward[Station::Ct];
    let pacs = Version::BOTH.map(|version| ward.at(Station::Server, version, DICOM));
    let _pacs = pacs.map(|at| Service::start(&ward[Station::Server], at).unwrap());
    let server = Leases::start(&ward).unwrap();
    let mut filter = ward.filter(&agent()).unwrap();
    // A relay wraps what DHCPv6 says; behind one, IPv6 addresses are the inventory's.
    let is_bridge = placement == Placement::Bridge;
    let addresses = if is_bridge { "[\"dhcp\"]" } else { "[\"dhcp\", \"2001:db8:40::11\"]" };
    let by_dhcp = DEVICES.replace("[\"10.40.0.11\", \"2001:db8:40::11\"]", addresses);
    filter.write("devices.toml", by_dhcp).unwrap();
    filter.start().unwrap();
    let events = Events::follow(&filter).unwrap();
    let attempt = |at, limit| connection::attempt(ct, at, limit).unwrap();
    let spoofed = |at, source: &str| {
        assert_eq!(attempt(at, ATTEMPT), Outcome::NoAnswer, "{source}");
        // Where the gateway has to be asked for first, the question is what claims the address.
        let claims = |event: &Value| event["source"] == source || event["arp"]["sender"] == source;
        dropped(&events, Some("ct-1"), "spoofed", claims);
    };
    let move_to = |address: &str| {
        ct.ip(&["-4", "address", "flush", "dev", INTERFACE]).unwrap();
        ct.ip(&["address", "add", &format!("{address}/24"), "dev", INTERFACE]).unwrap();
        let gateway = ward.address(ward.gateway(), Version::V4).to_string();
        ct.ip(&["route", "replace", "default", "via", &gateway]).unwrap();
    };

    // Nobody has given it the addresses yet.
    spoofed(pacs[0], "10.40.0.11");
    if is_bridge {
        spoofed(pacs[1], "2001:db8:40::11");
        let lease = lease::acquire_v6(&ward, Station::Ct).unwrap();
        assert_eq!(lease.as_deref(), Some("2001:db8:40::11"), "{}", server.log());
    }
    for _ in 0..2 {
        let lease = lease::acquire(&ward, Station::Ct).unwrap();
        assert_eq!(lease.as_deref(), Some("10.40.0.11"), "{}", server.log());
        for at in pacs {
            assert_eq!(attempt(at, LIMIT), Outcome::Connected, "{at}");
        }
    }
    // The address that it has makes no other its own.
    move_to("10.40.0.99");
    spoofed(pacs[0], "10.40.0.99");
    move_to("10.40.0.11");
    assert_eq!(attempt(pacs[0], LIMIT), Outcome::Connected);
    drop(events);
    filter.remove().unwrap();
}
