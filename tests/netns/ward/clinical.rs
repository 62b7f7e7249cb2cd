//! What a ward lives on: DICOM, plain and by TLS, HL7 over MLLP, names. Who has no rule for it gets none.

use iomt_filter_tests::certificate::Authority;
use iomt_filter_tests::hospital::Version;
use iomt_filter_tests::hospital::connection::{self, Outcome};
use iomt_filter_tests::hospital::dicom::{self, Pacs, Study};
use iomt_filter_tests::hospital::host::{DICOM, HL7};
use iomt_filter_tests::netns::Namespace;
use iomt_filter_tests::ward::mllp::{Engine, Sender};
use iomt_filter_tests::ward::names::{self, NameServer, Transport};
use iomt_filter_tests::ward::{Placement, Station, Ward};

use super::{ATTEMPT, LIMIT, build, dropped, filter, in_both_placements};

in_both_placements!(
    clinical_traffic,
    dicom_hl7_and_dns_pass_a_router_by_rule,
    dicom_hl7_and_dns_pass_a_bridge_by_rule
);

/// DICOM over TLS (PS3.15 annex B).
const DICOM_TLS: u16 = 2762;
const TRANSPORTS: [Transport; 2] = [Transport::Udp, Transport::Tcp];

/// What runs on the ward's server.
struct Services {
    study: Study,
    pacs: Vec<(u16, Vec<String>, Pacs)>,
    engines: Vec<Engine>,
    _names: NameServer,
}

fn start(ward: &Ward) -> Services {
    let (server, folder) = (&ward[Station::Server], ward.folder());
    let authority = Authority::make(folder).unwrap();
    let [of_pacs, of_scanner] = ["pacs", "ct-1"].map(|name| authority.issue(folder, name).unwrap());
    let plain = Pacs::start_at(server, folder, DICOM, &[]).unwrap();
    let secure = Pacs::start_at(server, folder, DICOM_TLS, &of_pacs.arguments()).unwrap();
    let engine = |version| Engine::start(server, ward.at(Station::Server, version, HL7)).unwrap();
    Services {
        study: Study::make_at(&ward[Station::Ct], folder).unwrap(),
        pacs: vec![(DICOM, Vec::new(), plain), (DICOM_TLS, of_scanner.arguments(), secure)],
        engines: Version::BOTH.map(engine).into(),
        _names: NameServer::start(ward).unwrap(),
    }
}

impl Services {
    /// Everything that has a rule, over both versions where the program speaks both.
    fn all_work(&mut self, ward: &Ward) {
        let [ct, monitor] = [Station::Ct, Station::Monitor].map(|device| &ward[device]);
        for (port, arguments, pacs) in &mut self.pacs {
            let at = ward.at(Station::Server, Version::V4, *port);
            dicom::echo_at(ct, at, arguments).unwrap();
            dicom::send_at(ct, at, &self.study, pacs, arguments).unwrap();
            pacs.clear().unwrap();
        }
        for version in Version::BOTH {
            observe(ward, monitor, version);
            let names = ward.at(Station::Server, version, names::PORT);
            for transport in TRANSPORTS {
                let answer = names::look_up(ct, names, transport).unwrap();
                assert_eq!(answer, Some(names.ip()), "{transport:?} {version:?}");
            }
        }
    }
}

/// A few observations in one connection.
fn observe(ward: &Ward, from: &Namespace, version: Version) {
    let mut sender = Sender::connect(from, ward.at(Station::Server, version, HL7), LIMIT).unwrap();
    for number in 1..=3 {
        sender.observe(&format!("M{number}"), 70 + number).unwrap();
    }
}

fn clinical_traffic(placement: Placement) {
    let ward = build(placement);
    let mut services = start(&ward);
    services.all_work(&ward);
    // Without the filter the pump reaches them too: what it does not reach below, the filter keeps from it.
    let pump = &ward[Station::Pump];
    let ports = [DICOM, DICOM_TLS, HL7];
    let attempt = |port, version, limit| {
        connection::attempt(pump, ward.at(Station::Server, version, port), limit).unwrap()
    };
    for port in ports {
        assert_eq!(attempt(port, Version::V4, LIMIT), Outcome::Connected, "{port}");
    }
    let names = |version| ward.at(Station::Server, version, names::PORT);
    assert!(names::look_up(pump, names(Version::V4), Transport::Udp).unwrap().is_some());

    let (filter, events) = filter(&ward);
    services.all_work(&ward);
    let taken: u64 = services.engines.iter().map(Engine::taken).sum();
    for version in Version::BOTH {
        let server = ward.address(Station::Server, version).to_string();
        for port in ports {
            assert_eq!(attempt(port, version, ATTEMPT), Outcome::NoAnswer, "{port} {version:?}");
            dropped(&events, Some("pump-1"), "not-allowed", |event| {
                event["destination_port"] == port && event["destination"] == server
            });
        }
        for (transport, protocol) in TRANSPORTS.into_iter().zip(["udp", "tcp"]) {
            assert_eq!(names::look_up(pump, names(version), transport).unwrap(), None, "{transport:?}");
            dropped(&events, Some("pump-1"), "not-allowed", |event| {
                event["destination_port"] == names::PORT
                    && event["protocol"] == protocol
                    && event["destination"] == server
            });
        }
    }
    // A device's rule is for what it opens: its engine may not open anything towards it.
    let (server, monitor) = (&ward[Station::Server], ward.at(Station::Monitor, Version::V4, HL7));
    assert_eq!(connection::attempt(server, monitor, ATTEMPT).unwrap(), Outcome::NoAnswer);
    dropped(&events, Some("monitor-1"), "not-allowed", |event| event["direction"] == "to-device");
    assert_eq!(services.engines.iter().map(Engine::taken).sum::<u64>(), taken);
    drop(events);
    filter.remove().unwrap();
}
