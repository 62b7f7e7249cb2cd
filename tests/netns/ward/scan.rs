//! A scan finds nothing: neither from an unknown host nor from a device that was taken over.

use iomt_filter_tests::hospital::Version;
use iomt_filter_tests::hospital::connection::Service;
use iomt_filter_tests::ward::{Placement, Station, Ward};

use super::{build, dropped, filter, in_both_placements};

in_both_placements!(scans, a_scan_through_a_router_finds_nothing, a_scan_through_a_bridge_finds_nothing);

/// A port that the scanned devices listen on, for their maintenance.
const OPEN: u16 = 8080;
const PORTS: &str = "T:104,2575,8080,U:161,3702";

/// What `nmap` says of a device's neighbours.
pub(super) fn scan(
    ward: &Ward,
    from: Station,
    targets: &[Station],
    version: Version,
    discover: bool,
) -> String {
    let mut command = vec!["nmap", "-n", "--privileged", "--disable-arp-ping", "-T5", "--max-retries", "0"];
    command.extend(["--max-rtt-timeout", "100ms", "--reason", "-oG", "-"]);
    if version == Version::V6 {
        command.push("-6");
    }
    match discover {
        true => command.extend(["-sn", "-PE", "-PS104,8080", "-PA80", "-PU161"]),
        false => command.extend(["-Pn", "-sS", "-sU", "-p", PORTS]),
    }
    let targets: Vec<_> = targets.iter().map(|target| ward.address(*target, version).to_string()).collect();
    command.extend(targets.iter().map(String::as_str));
    ward[from].run(&command).unwrap()
}

/// Whether anybody has answered.
fn has_found(report: &str, discover: bool) -> bool {
    match discover {
        true => report.contains("Status: Up"),
        false => report.contains("/open/") || report.contains("/closed/"),
    }
}

fn scans(placement: Placement) {
    let ward = build(placement);
    let listening = [Station::Ct, Station::Monitor];
    let services: Vec<_> = listening
        .iter()
        .flat_map(|station| Version::BOTH.map(|version| (*station, version)))
        .map(|(station, version)| Service::start(&ward[station], ward.at(station, version, OPEN)).unwrap())
        .collect();
    let reached = || services.iter().map(Service::accepted).sum::<u64>();
    let scanners = [(Station::Stranger, "uplink"), (Station::Pump, "device")];
    for (scanner, _) in scanners {
        let report = scan(&ward, scanner, &listening, Version::V4, false);
        assert!(report.contains(&format!("{OPEN}/open/tcp")), "{report}");
        assert!(has_found(&scan(&ward, scanner, &listening, Version::V4, true), true));
    }

    let before = reached();
    let (filter, events) = filter(&ward);
    for version in Version::BOTH {
        for (scanner, port) in scanners {
            for discover in [true, false] {
                let report = scan(&ward, scanner, &listening, version, discover);
                assert!(!has_found(&report, discover), "{scanner:?} {version:?}: {report}");
            }
            // The one who has no rule is named: the sender, where that is a device. Of so many packets
            // only some are recorded one by one.
            let device = scanner.device().unwrap_or("ct-1");
            let source = ward.address(scanner, version).to_string();
            dropped(&events, Some(device), "not-allowed", |event| {
                event["source"] == source && event["port"] == port
            });
        }
    }
    // Addresses that are nobody's are as silent as those that are somebody's.
    let report = scan(&ward, Station::Stranger, &[Station::Laptop], Version::V4, true);
    assert!(!has_found(&report, true), "{report}");
    dropped(&events, None, "unknown-device", |event| event["destination"] == "10.40.0.66");
    assert_eq!(reached(), before, "somebody was reached");
    drop(events);
    filter.remove().unwrap();
}
