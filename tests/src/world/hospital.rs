//! The hospital that readable cases play in.

use std::net::IpAddr;

use iomt_filter_common::policy::{Mode, Otherwise};

use super::{
    Device, Endpoint, Feed, Geo, Heartbeat, Management, Opens, Peer, Profile, Protected, Rule, Service,
    World, net,
};

/// Two scanners, pumps, a monitor and a device behind a router; a PACS, a name server, a vendor abroad
/// and a command-and-control server.
///
/// | name | address | what it is |
/// |---|---|---|
/// | `ct-1` | 10.10.0.11, 2001:db8:10::11, VLAN 110 | enforce; to `pacs` dicom, `dns`, vendor 443 |
/// | `ct-2` | 10.10.0.12, VLAN 110 | the same |
/// | `pump-1` | 10.10.0.21, 2001:db8:10::21 | enforce; any VLAN; from `pump-server` |
/// | `monitor-1` | 10.10.0.31 | monitor |
/// | `learner-1` | 10.10.0.41 | learn |
/// | `locked-1` | 10.10.0.51 | quarantine |
/// | `lab-1` | 10.10.9.61 | enforce; no hardware address |
pub fn hospital() -> World {
    World {
        unknown_device: Otherwise::Drop,
        unparsed: Otherwise::Drop,
        midstream: Otherwise::Drop,
        segments: vec![net("10.10.0.0/16"), net("2001:db8:10::/48")],
        own: Vec::new(),
        endpoints: vec![
            endpoint("pacs", &["10.20.0.10", "10.20.0.11", "2001:db8:20::10"]),
            endpoint("dns", &["10.0.0.53", "2001:db8:20::53"]),
            endpoint("pump-server", &["10.20.1.5"]),
        ],
        profiles: profiles(),
        devices: vec![
            device("ct-1", 0x11, Some(110), &["10.10.0.11", "2001:db8:10::11"], "ct-scanner"),
            device("ct-2", 0x12, Some(110), &["10.10.0.12"], "ct-scanner"),
            device("pump-1", 0x21, None, &["10.10.0.21", "2001:db8:10::21"], "infusion-pump"),
            device("monitor-1", 0x31, None, &["10.10.0.31"], "patient-monitor"),
            device("learner-1", 0x41, None, &["10.10.0.41"], "newcomer"),
            device("locked-1", 0x51, None, &["10.10.0.51"], "locked"),
            Device { mac: None, ..device("lab-1", 0, None, &["10.10.9.61"], "analyser") },
        ],
        management: vec![Management { address: address("10.0.0.5"), services: vec![Service::tcp(22)] }],
        protected: vec![Protected { device: "monitor-*".into(), peer: net("203.0.113.77") }],
        feeds: vec![
            Feed {
                name: "threatfox".into(),
                score: 90,
                entries: vec![net("203.0.113.9"), net("203.0.113.77"), net("2001:db8:bad::/48")],
            },
            Feed {
                name: "noise".into(),
                score: 30,
                entries: vec![net("203.0.113.0/24"), net("198.51.100.66")],
            },
        ],
        countries: vec![
            (net("198.51.100.0/24"), *b"US"),
            (net("198.51.100.128/25"), *b"KP"),
            (net("203.0.113.0/24"), *b"RU"),
            (net("2001:db8:20::/48"), *b"DE"),
            (net("2001:db8:a::/48"), *b"DE"),
            (net("2001:db8:b::/48"), *b"KP"),
            (net("10.0.0.0/8"), *b"KP"),
        ],
        grants: vec![],
        heartbeat: Heartbeat::default(),
        exceptions: Vec::new(),
    }
}

fn profiles() -> Vec<Profile> {
    let geo = Geo { allow: true, list: vec![*b"US", *b"DE"], unknown_allowed: false };
    vec![
        Profile {
            geo: Some(geo),
            ..profile(
                "ct-scanner",
                Mode::Enforce,
                vec![
                    Rule::to(Peer::Endpoint("pacs".into()), Service::tcp(104)),
                    Rule {
                        opens: Opens::Device,
                        peer: Peer::Endpoint("dns".into()),
                        services: vec![Service::udp(53), Service::tcp(53)],
                    },
                    Rule {
                        opens: Opens::Peer,
                        peer: Peer::Endpoint("pacs".into()),
                        services: vec![Service::tcp(104), Service::tcp(11112)],
                    },
                    Rule::to(Peer::Net(net("198.51.100.0/24")), Service::tcp(443)),
                    Rule::to(Peer::Net(net("2001:db8:a::/48")), Service::tcp(443)),
                    Rule::to(Peer::Net(net("203.0.113.0/24")), Service::tcp(443)),
                    Rule::to(Peer::Profile("infusion-pump".into()), Service::udp(5000)),
                    Rule::to(Peer::Profile("newcomer".into()), Service::udp(5000)),
                    Rule::to(Peer::Endpoint("pacs".into()), Service::Protocol(1)),
                ],
            )
        },
        profile(
            "infusion-pump",
            Mode::Enforce,
            vec![
                Rule::from(Peer::Endpoint("pump-server".into()), Service::tcp(8443)),
                Rule::from(Peer::Profile("ct-scanner".into()), Service::udp(5000)),
                Rule::to(Peer::Any, Service::Ports { protocol: 17, first: 67, last: 68 }),
                Rule::to(Peer::Net(net("fe80::/10")), Service::Protocol(58)),
            ],
        ),
        profile("patient-monitor", Mode::Monitor, vec![]),
        profile("newcomer", Mode::Learn, vec![]),
        profile("locked", Mode::Quarantine, vec![Rule::to(Peer::Any, Service::Any)]),
        profile("analyser", Mode::Enforce, vec![Rule::to(Peer::Any, Service::Any)]),
    ]
}

fn profile(name: &str, mode: Mode, rules: Vec<Rule>) -> Profile {
    Profile { block_score: 50, ..Profile::of(name, mode, rules) }
}

fn device(name: &str, mac: u8, vlan: Option<u16>, addresses: &[&str], profile: &str) -> Device {
    Device {
        name: name.into(),
        mac: Some([0x02, 0, 0, 0, 1, mac]),
        vlan,
        addresses: addresses.iter().map(|text| address(text)).collect(),
        by_dhcp: false,
        profile: profile.into(),
    }
}

fn endpoint(name: &str, addresses: &[&str]) -> Endpoint {
    Endpoint { name: name.into(), addresses: addresses.iter().map(|text| net(text)).collect() }
}

fn address(text: &str) -> IpAddr {
    net(text).addr()
}
