//! A ward that nobody has described is watched for a day, what it did becomes its policy, and that is enforced: the same
//! day goes on without a drop, and who begins to look around is dropped.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use iomt_filter_tests::hospital::dicom::{self, Pacs, Study};
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::{DICOM, HL7};
use iomt_filter_tests::hospital::{Version, wait};
use iomt_filter_tests::tools;
use iomt_filter_tests::ward::discovery::Client;
use iomt_filter_tests::ward::lease::{self, Leases};
use iomt_filter_tests::ward::mllp::{Engine, Sender};
use iomt_filter_tests::ward::names::{self, NameServer, Transport};
use iomt_filter_tests::ward::sdc::{self, Watched};
use iomt_filter_tests::ward::time::{self, TimeServer};
use iomt_filter_tests::ward::{POLICY, Placement, Station, Ward};
use serde_json::Value;

use super::scan::scan;
use super::{LIMIT, build};
use crate::hospital::agent;

/// Where what is not installed is fetched to, once.
fn fetched() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// The ward's endpoints, and profiles without a rule that are watched.
fn undescribed() -> String {
    let endpoints = POLICY.split("[profiles").next().unwrap().replace("\"enforce\"", "\"monitor\"");
    let profiles =
        ["ct-scanner", "patient-monitor", "infusion-pump"].map(|name| format!("[profiles.{name}]\n"));
    format!("{endpoints}{}", profiles.concat())
}

/// What runs on the ward.
struct Day<'w> {
    ward: &'w Ward,
    study: Study,
    pacs: Pacs,
    _running: (Vec<Engine>, NameServer, Leases),
    time: Option<TimeServer>,
    /// Found once the filter judges: its ports are of chance, and stay while it runs.
    watched: Option<Watched>,
    probes: u32,
}

impl<'w> Day<'w> {
    fn prepare(ward: &'w Ward) -> Self {
        let (server, folder) = (&ward[Station::Server], ward.folder());
        let engine = |version| Engine::start(server, ward.at(Station::Server, version, HL7)).unwrap();
        let time = TimeServer::start(ward, fetched());
        Self {
            ward,
            study: Study::make_at(&ward[Station::Ct], folder).unwrap(),
            pacs: Pacs::start_at(server, folder, DICOM, &[]).unwrap(),
            _running: (
                Version::BOTH.map(engine).into(),
                NameServer::start(ward).unwrap(),
                Leases::start(ward).unwrap(),
            ),
            time: time.map_err(|error| eprintln!("skipped: the ward has no time: {error:#}")).ok(),
            watched: None,
            probes: 0,
        }
    }

    /// What devices do all day; all of it works.
    fn pass(&mut self) {
        let ward = self.ward;
        let (ct, pacs) = (&ward[Station::Ct], ward.at(Station::Server, Version::V4, DICOM));
        assert!(lease::acquire(ward, Station::Ct).unwrap().is_some());
        for version in Version::BOTH {
            let names = ward.at(Station::Server, version, names::PORT);
            for _ in 0..2 {
                assert!(names::look_up(ct, names, Transport::Udp).unwrap().is_some(), "{version:?}");
            }
        }
        for _ in 0..2 {
            dicom::echo_at(ct, pacs, &[]).unwrap();
            dicom::send_at(ct, pacs, &self.study, &mut self.pacs, &[]).unwrap();
            self.pacs.clear().unwrap();
        }
        for from in [Station::Monitor, Station::Pump] {
            for version in Version::BOTH {
                let to = ward.at(Station::Server, version, HL7);
                let mut sender = Sender::connect(&ward[from], to, LIMIT).unwrap();
                for number in 1..=3 {
                    sender.observe(&format!("M{number}"), 70 + number).unwrap();
                }
            }
            for _ in 0..2 * u8::from(self.time.is_some()) {
                assert!(time::ask(ward, from, fetched()).unwrap(), "{from:?}");
            }
        }
        match &mut self.watched {
            Some(watched) => watched.wait_for_more().unwrap(),
            None if tools::python(fetched(), "sdc11073", sdc::VERSION).is_ok() => {
                let watched = Watched::start(ward, Station::Monitor, Station::Console, fetched()).unwrap();
                self.watched = Some(watched);
            }
            None => eprintln!("skipped: the library `sdc11073` cannot be fetched"),
        }
        if self.watched.is_some() {
            let address = |station| ward.address(station, Version::V4);
            let console = Client::open(&ward[Station::Console], address(Station::Console)).unwrap();
            self.probes += 1;
            assert_eq!(console.probe(self.probes, 1, LIMIT).unwrap(), [address(Station::Monitor)]);
        }
    }
}

/// Rules that are proposed, in words: profile, direction, peers, services.
fn proposed(filter: &Filter<'_>) -> Vec<String> {
    let proposal = filter.json(&["learn", "propose"]).unwrap();
    let joined = |texts: &Value| {
        let texts = texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap());
        texts.collect::<Vec<_>>().join(" ")
    };
    let mut words = Vec::new();
    for profile in proposal["profiles"].as_array().unwrap() {
        for rule in profile["rules"].as_array().unwrap() {
            let [name, direction] = [&profile["name"], &rule["direction"]].map(|text| text.as_str().unwrap());
            let (peers, services) = (joined(&rule["peers"]), joined(&rule["services"]));
            words.push(format!("{name} {direction} {peers} {services}"));
        }
    }
    words
}

/// Frames of each device that were dropped.
fn dropped(filter: &Filter<'_>) -> BTreeMap<String, u64> {
    let devices = filter.json(&["devices"]).unwrap();
    let of = |device: &Value| {
        let name = device["name"].as_str().unwrap_or_default().to_owned();
        (name, device["dropped"].as_u64().unwrap())
    };
    devices.as_array().unwrap().iter().map(of).collect()
}

#[test]
fn what_a_ward_does_all_day_becomes_its_policy_and_a_scanner_that_looks_around_is_dropped() {
    if !crate::can_run() {
        return;
    }
    let ward = build(Placement::Bridge);
    let mut day = Day::prepare(&ward);
    let mut filter = ward.filter(&agent()).unwrap();
    filter.write("policy.toml", undescribed()).unwrap();
    let config = fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", config + "\n[learn]\nbaseline_after = \"1s\"\n").unwrap();
    filter.start().unwrap();
    day.pass();
    day.pass();
    // An agent reads the kernel's tables when it starts, and twice a minute.
    filter.kill().unwrap();
    filter.start().unwrap();
    let rules = wait::until("what was seen to be kept", LIMIT, || {
        let rules = proposed(&filter);
        Ok(rules.iter().any(|rule| rule.contains("infusion-pump")).then_some(rules))
    })
    .unwrap();
    let has = |peers: &str, service: &str| {
        let is_it = |rule: &String| {
            rule.strip_prefix(peers).is_some_and(|rest| rest.split(' ').any(|it| it == service))
        };
        assert!(rules.iter().any(is_it), "{peers} {service}: {rules:#?}");
    };
    has("ct-scanner from-device server ", "dicom");
    has("ct-scanner from-device server ", "dns");
    has("ct-scanner from-device leases ", "dhcp");
    for profile in ["patient-monitor", "infusion-pump"] {
        has(&format!("{profile} from-device server "), "hl7");
        if day.time.is_some() {
            has(&format!("{profile} from-device server "), "ntp");
        }
    }
    if day.watched.is_some() {
        has("patient-monitor from-device probes ", "ws-discovery");
        has("patient-monitor to-device console ", "ws-discovery");
        has("patient-monitor from-device 224.0.0.22 ", "proto/2");
        assert!(
            rules.iter().any(|rule| rule.starts_with("patient-monitor to-device console ")),
            "{rules:#?}"
        );
    }

    // It is reviewed, put into the policy, enforced, and confirmed.
    let proposal = filter.tell(&["learn", "propose"]).unwrap();
    let enforced = proposal.replace("allow = [", "mode = \"enforce\"\nallow = [");
    let policy = fs::read_to_string(filter.folder().join("policy.toml")).unwrap();
    let endpoints = policy.split("[profiles").next().unwrap();
    filter.write("policy.toml", format!("{endpoints}{enforced}")).unwrap();
    let said = filter.ask(&["plan"]).unwrap();
    assert!(said.errors.contains("have to be opened anew"), "{said:?}");
    // The workstation stays subscribed to the monitor.
    let endpoints = endpoints.replace("[defaults]", "[defaults]\nmidstream = \"pass\"");
    filter.write("policy.toml", format!("{endpoints}{enforced}")).unwrap();
    assert!(!filter.ask(&["plan"]).unwrap().errors.contains("have to be opened anew"));
    let said = filter.ask(&["plan", "--output", "json"]).unwrap();
    let plan: Value = serde_json::from_str(&said.output).unwrap();
    // Of events a plan sees answers to a group as what they look like alone.
    let is_answer = |cut: &Value| {
        let is_to_asker = cut["device"] == "monitor-1" && cut["endpoint"] == "console";
        is_to_asker && cut["known_from"] == "events" && cut["service"].as_str().unwrap().ends_with("/udp")
    };
    assert!(plan["valid"] == true && plan["cuts"].as_array().unwrap().iter().all(is_answer), "{plan:#}");
    filter.tell(&["apply", "--confirm-within", "5m", "--note", "learned"]).unwrap();
    filter.tell(&["confirm"]).unwrap();
    let before = dropped(&filter);
    day.pass();
    let events = filter.tell(&["events", "--limit", "20"]).unwrap();
    assert_eq!(dropped(&filter), before, "{events}");

    // Somebody else has the scanner now.
    let report = scan(&ward, Station::Ct, &[Station::Server, Station::Monitor], Version::V4, false);
    assert!(!report.contains("2575/open"), "{report}");
    let after = dropped(&filter);
    assert!(after["ct-1"] >= before["ct-1"] + 5 && after["pump-1"] == before["pump-1"], "{after:?}");
    filter.stop().unwrap();
    filter.start().unwrap();
    wait::until("the scan to be told", LIMIT, || {
        let text = filter.tell(&["events", "--reason", "drift", "--device", "ct-1", "--output", "json"])?;
        let events = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        let of_scan = events.into_iter().filter(|event| event["drift"]["evidence"][0]["verdict"] == "drop");
        let counts = of_scan.map(|event| event["drift"]["count"].as_u64().unwrap()).sum::<u64>();
        Ok((counts >= 3).then_some(counts))
    })
    .unwrap();
    filter.remove().unwrap();
}
