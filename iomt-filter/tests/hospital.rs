//! The sample hospital of `examples/`: it loads without a word, and its rows say what it promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test may")]

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use iomt_filter::config::Config;
use iomt_filter::host::HostNetworks;
use iomt_filter::intent::{self, FeedState, Intent, Overrides};
use iomt_filter::numbers::Numbers;
use iomt_filter::rows::{Prefix, Rows, RuleCell};
use iomt_filter_common::Address;
use iomt_filter_common::abi::{PEER_ANY, PEER_PROFILE, SERVICE_ANY};
use iomt_filter_common::policy::RuleDirection::{self, From, To};

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hospital/config.toml")
}

fn host() -> HostNetworks {
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let device = networks(&["10.77.1.1/24", "fd77:1::1/64"]);
    let uplink = networks(&["10.77.2.1/24", "fd77:2::1/64"]);
    HostNetworks { interfaces: [("eth1".to_owned(), device), ("eth0".to_owned(), uplink)].into() }
}

fn load() -> Intent {
    let config = Config::load(&sample()).unwrap();
    intent::read(&config, &Overrides::default(), &host(), &mut Numbers::default(), &[], Vec::new()).unwrap()
}

fn covers(prefix: &Prefix, address: IpAddr) -> bool {
    let (a, b) =
        (u128::from_be_bytes(prefix.address.octets()), u128::from_be_bytes(Address::from(address).octets()));
    prefix.bits == 0 || (a ^ b) >> (128 - prefix.bits) == 0
}

/// The rule that the tables answer with, found as the written contract of the matrix says.
fn rule<'r>(
    rows: &'r Rows,
    profile: &str,
    direction: RuleDirection,
    peer: &str,
    service: (u8, u16),
) -> Option<&'r str> {
    let address: IpAddr = peer.parse().unwrap();
    let number =
        |name: &str| rows.names.profiles.iter().find(|(_, known)| *known == name).map(|(&number, _)| number);
    let class =
        rows.peers.iter().filter(|(prefix, _)| covers(prefix, address)).max_by_key(|(prefix, _)| prefix.bits);
    let class = class.map_or(0, |(_, class)| class.class);
    let ports = rows.services.iter().filter(|(row, _)| {
        row.protocol == service.0 && (row.bits == 0 || (row.port ^ service.1) >> (16 - row.bits) == 0)
    });
    let ports = ports.max_by_key(|(row, _)| row.bits).map_or(0, |(_, &class)| class);
    let device =
        rows.device_addresses.get(&Address::from(address)).and_then(|device| rows.devices.get(device));
    let lateral = device.map_or(PEER_ANY, |device| PEER_PROFILE + device.profile);
    let peers = [class, PEER_ANY, lateral];
    let cells = peers.iter().flat_map(|&peer| {
        [ports, SERVICE_ANY].map(|service| RuleCell {
            profile: number(profile).unwrap(),
            direction,
            peer,
            service,
        })
    });
    let found = cells.filter_map(|cell| rows.rules.get(&cell)).min()?;
    rows.names.rules.get(found).map(String::as_str)
}

#[test]
fn loads_without_a_warning() {
    let intent = load();
    let shown: Vec<_> = intent.warnings.iter().map(ToString::to_string).collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
    assert_eq!((intent.rules, intent.devices), (15, 3));
    assert_eq!(intent.feeds[0].state, FeedState::Loaded);
    assert_eq!((intent.feeds[0].rejected.len(), intent.feeds[0].removed.len()), (0, 0));
    assert_eq!(intent.rows, load().rows, "the same files make the same rows");
}

#[test]
fn rules_allow_what_they_name_and_nothing_else() {
    let rows = load().rows;
    let to_pacs = Some("ct-scanner[1] to pacs service dicom");
    assert_eq!(rule(&rows, "ct-scanner", To, "10.77.2.10", (6, 104)), to_pacs);
    assert_eq!(rule(&rows, "ct-scanner", To, "fd77:2::10", (6, 11112)), to_pacs);
    assert_eq!(rule(&rows, "ct-scanner", To, "10.77.2.10", (6, 105)), None);
    assert_eq!(rule(&rows, "ct-scanner", To, "10.77.2.11", (6, 104)), None);
    assert_eq!(rule(&rows, "ct-scanner", From, "10.77.2.10", (6, 8443)), None);
    assert!(rule(&rows, "ct-scanner", From, "10.77.2.10", (6, 104)).is_some());
    assert!(rule(&rows, "ct-scanner", To, "10.77.1.1", (1, 0)).is_some());
    assert!(rule(&rows, "ct-scanner", To, "198.51.100.7", (6, 443)).is_some());
    assert!(rule(&rows, "infusion-pump", To, "fd77:1::20", (17, 3702)).is_some());
    assert_eq!(rule(&rows, "infusion-pump", To, "10.77.1.10", (17, 3702)), None);
    assert!(rule(&rows, "infusion-pump", To, "239.255.255.250", (17, 3702)).is_some());
    for profile in ["ct-scanner", "patient-monitor"] {
        assert!(rule(&rows, profile, To, "255.255.255.255", (17, 67)).is_some(), "{profile}");
    }
    assert_eq!(rule(&rows, "infusion-pump", To, "255.255.255.255", (17, 67)), None);
}

#[test]
fn segments_protected_pairs_and_lists() {
    let rows = load().rows;
    let in_segment = |text: &str| {
        let address = text.parse().unwrap();
        let class = rows
            .peers
            .iter()
            .filter(|(prefix, _)| covers(prefix, address))
            .max_by_key(|(prefix, _)| prefix.bits);
        class.is_some_and(|(_, class)| class.in_segment == 1)
    };
    assert!(in_segment("10.77.1.99") && in_segment("fd77:1::99") && in_segment("10.77.1.1"));
    assert!(!in_segment("10.77.2.10") && !in_segment("8.8.8.8"));
    assert_eq!(rows.protected.len(), 2);
    assert_eq!((rows.settings.has_management, rows.settings.has_protected), (1, 1));
    assert_eq!(rows.listings.len(), 8);
    assert!(rows.listings.iter().all(|(_, listing)| listing.score == 90));
}
