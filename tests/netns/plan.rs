//! Plans, asked for while real traffic runs: what they would cut is named, and nothing is cut.

use std::fmt::Debug;
use std::path::Path;

use anyhow::{Context as _, Result};
use aya::maps::{Array, Map, MapData};
use iomt_filter_common::abi::map;
use iomt_filter_common::device::Device;
use iomt_filter_common::lookup::{Directory, Line};
use iomt_filter_common::policy::{Profile, Settings};
use iomt_filter_tests::hospital::dicom::{self, Pacs, Study};
use iomt_filter_tests::hospital::filter::{Filter, POLICY, pins};
use iomt_filter_tests::hospital::host::{DICOM, HL7, HTTPS, INTEGRATION};
use iomt_filter_tests::hospital::program::Answer;
use iomt_filter_tests::hospital::{Hospital, Host, Version, connection, wait};
use iomt_filter_tests::ward::mllp::{Engine, Sender};
use serde_json::Value;

use crate::can_run;
use crate::hospital::{ATTEMPT, LIMIT, agent, build, filter};

const TO_PACS: &str = "  { to = \"pacs\", service = \"dicom\" },\n";
const TO_ENGINE: &str = "  { to = \"integration\", service = \"hl7\" },\n";

/// What the kernel judges by: every table that an agent writes, and no packet.
#[derive(PartialEq)]
struct Judging {
    active: Vec<u64>,
    settings: Vec<Settings>,
    profiles: Vec<Profile>,
    devices: Vec<Device>,
    directory: Vec<Directory>,
    lines: Vec<Vec<Line>>,
}

impl Judging {
    fn read(hospital: &Hospital) -> Result<Self> {
        let maps = pins(hospital.name()).join("maps");
        let lines = [map::LISTINGS, map::BLOCKS, map::COUNTRIES, map::POLICY];
        Ok(Self {
            active: values(&maps, map::ACTIVE)?,
            settings: values(&maps, map::SETTINGS)?,
            profiles: values(&maps, map::PROFILES)?,
            devices: values(&maps, map::DEVICES)?,
            directory: values(&maps, map::DIRECTORY)?,
            lines: lines.into_iter().map(|name| values(&maps, name)).collect::<Result<_>>()?,
        })
    }
}

fn values<V: aya::Pod + Debug>(maps: &Path, name: &str) -> Result<Vec<V>> {
    let pinned = MapData::from_pin(maps.join(name)).with_context(|| format!("failed to open `{name}`"))?;
    let array: Array<_, V> = Map::from_map_data(pinned)?.try_into()?;
    array.iter().collect::<Result<_, _>>().with_context(|| format!("failed to read `{name}`"))
}

fn plan(filter: &Filter<'_>, arguments: &[&str]) -> (i32, Value) {
    let answer: Answer = filter.ask(&[&["plan", "--output", "json"], arguments].concat()).unwrap();
    let document = serde_json::from_str(&answer.output).unwrap_or_else(|_| panic!("{answer:?}"));
    (answer.status.code().unwrap(), document)
}

/// Device, endpoint, service and reason of every cut.
fn cuts(plan: &Value) -> Vec<[&str; 4]> {
    let cuts = plan["cuts"].as_array().unwrap().iter();
    cuts.map(|cut| {
        ["device", "endpoint", "service", "reason"].map(|field| cut[field].as_str().unwrap_or("-"))
    })
    .collect()
}

#[test]
fn a_plan_names_what_it_would_cut_and_touches_nothing() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let study = Study::make(&hospital).unwrap();
    let mut pacs = Pacs::start(&hospital).unwrap();
    let engine = (INTEGRATION.of(Version::V6), HL7).into();
    let _engine = Engine::start(&hospital[Host::Pacs], engine).unwrap();
    let mut filter = filter(&hospital, &agent());
    dicom::send(&hospital, Host::Ct, &study, &mut pacs).unwrap();
    let mut sender = Sender::connect(&hospital[Host::Pump], engine, LIMIT).unwrap();
    sender.observe("M1", 72).unwrap();
    let before = (filter.json(&["status"]).unwrap()["generation"].clone(), Judging::read(&hospital).unwrap());

    filter.write("without.toml", POLICY.replace(TO_PACS, "").replace(TO_ENGINE, "")).unwrap();
    let more = "  { to = \"vendor\", service = \"ntp\" },\n";
    filter.write("more.toml", POLICY.replace(TO_PACS, &format!("{TO_PACS}{more}"))).unwrap();
    let path = |name: &str| filter.folder().join(name).display().to_string();
    let (without, more) = (path("without.toml"), path("more.toml"));

    let (code, planned) = plan(&filter, &["--policy", &without]);
    assert_eq!(code, 1, "{planned}");
    assert_eq!(planned["compared_with"], "agent");
    assert_eq!(planned["generation"], before.0);
    let mut named = cuts(&planned);
    named.sort_unstable();
    let service = format!("{DICOM}/tcp");
    assert_eq!(
        named,
        [["ct-1", "pacs", &service, "not-allowed"], ["pump-1", "integration", "2575/tcp", "not-allowed"]],
        "{planned:#}"
    );
    let cut = planned["cuts"].as_array().unwrap().iter().find(|cut| cut["device"] == "ct-1").unwrap();
    assert_eq!((&cut["profile"], &cut["direction"]), (&"ct-scanner".into(), &"from-device".into()));
    assert_eq!(cut["peer"], Host::Pacs.address(Version::V4).to_string());
    assert!(cut["packets"].as_u64().unwrap() > 20, "{cut}");
    assert_eq!(cut["was"]["rule"], "ct-scanner[1] to pacs service dicom");
    let removed = planned["changes"]["rules"]["removed"].as_array().unwrap();
    assert_eq!((removed.len(), &removed[0]["rule"]), (2, &"ct-scanner[1] to pacs service dicom".into()));

    let text = filter.ask(&["plan", "--policy", &without]).unwrap();
    assert_eq!(text.status.code(), Some(1));
    assert!(text.output.starts_with("2 of 2 contacts since "), "{}", text.output);
    assert!(text.output.contains("10.20.0.10 (pacs)") && text.output.contains("ct-1"), "{}", text.output);

    for arguments in [&["--policy", &more][..], &[]] {
        let (code, planned) = plan(&filter, arguments);
        assert_eq!((code, cuts(&planned)), (0, vec![]), "{planned:#}");
    }

    // What is planned is neither loaded nor kept: all goes on as before.
    sender.observe("M2", 72).unwrap();
    dicom::echo(&hospital, Host::Ct).unwrap();
    let after = (filter.json(&["status"]).unwrap()["generation"].clone(), Judging::read(&hospital).unwrap());
    assert_eq!(before.0, after.0);
    assert!(before.1 == after.1, "a table was written");

    // It would notice: what is planned cuts when it is loaded.
    filter.write("policy.toml", POLICY.replace(TO_PACS, "").replace(TO_ENGINE, "")).unwrap();
    assert_eq!(plan(&filter, &[]).0, 1);
    filter.tell(&["reload"]).unwrap();
    assert!(sender.observe("M3", 72).is_err() && dicom::echo(&hospital, Host::Ct).is_err());
    assert!(Judging::read(&hospital).unwrap() != before.1);
    let (code, planned) = plan(&filter, &[]);
    assert_eq!((code, cuts(&planned)), (0, vec![]), "what is cut is cut no more: {planned:#}");
    filter.kill().unwrap();
    filter.remove().unwrap();
}

#[test]
fn without_an_agent_the_history_says_what_would_be_cut() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let _pacs = Pacs::start(&hospital).unwrap();
    let mut filter = filter(&hospital, &agent());
    dicom::echo(&hospital, Host::Ct).unwrap();
    // An agent reads the table when it starts.
    filter.kill().unwrap();
    filter.start().unwrap();
    let kept =
        || Ok(filter.json(&["lookup", "10.20.0.10"])?["talked"][0]["device"].as_str().map(str::to_owned));
    assert_eq!(wait::until("the contact to be kept", LIMIT, kept).unwrap(), "ct-1");
    filter.kill().unwrap();

    filter.write("without.toml", POLICY.replace(TO_PACS, "")).unwrap();
    let without = filter.folder().join("without.toml").display().to_string();
    let answer = filter.ask(&["plan", "--policy", &without]).unwrap();
    assert!(answer.errors.contains("no agent answers"), "{answer:?}");
    let (code, planned) = plan(&filter, &["--policy", &without]);
    assert_eq!((code, &planned["compared_with"]), (1, &"files".into()), "{planned:#}");
    assert_eq!(cuts(&planned), [["ct-1", "pacs", "104/tcp", "not-allowed"]]);
    assert_eq!(plan(&filter, &["--policy", &without, "--since", "0s"]).0, 0);
    filter.remove().unwrap();
}

#[test]
fn what_is_dropped_now_is_opened_by_a_plan_and_what_a_feed_would_cut_is_named() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    let maintenance = Host::Pump.at(Version::V4, 8080);
    let outcome = connection::attempt(&hospital[Host::Ct], maintenance, ATTEMPT).unwrap();
    assert_eq!(outcome, connection::Outcome::NoAnswer);
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _service = connection::Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let session = connection::Session::start(&hospital[Host::Ct], vendor, LIMIT).unwrap();
    crate::hospital::assert_runs(&session);

    let rules = [
        (
            "[profiles.ct-scanner]\nallow = [\n",
            "  { to = \"profile:infusion-pump\", service = \"8080/tcp\" },\n",
        ),
        (
            "[profiles.infusion-pump]\nallow = [\n",
            "  { from = \"profile:ct-scanner\", service = \"8080/tcp\" },\n",
        ),
    ];
    let policy = rules.iter().fold(POLICY.to_owned(), |policy, (before, rule)| {
        assert!(policy.contains(before));
        policy.replace(before, &format!("{before}{rule}"))
    });
    filter.write("policy.toml", policy).unwrap();
    filter.write("threats.txt", "203.0.113.9\n2001:db8:c2::9\n198.51.100.7\n").unwrap();
    let opened = || {
        let (code, planned) = plan(&filter, &[]);
        assert_eq!(code, 0, "the list waits, because it would cut what runs: {planned:#}");
        let opens = planned["opens"].as_array().unwrap();
        Ok(opens.iter().find(|open| open["service"] == "8080/tcp").map(|open| open["device"].clone()))
    };
    assert_eq!(wait::until("the attempt to be known", LIMIT, opened).unwrap(), "ct-1");
    let config = std::fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", format!("{config}\n[gate]\nimpact = \"0s\"\n")).unwrap();
    let (code, planned) = plan(&filter, &[]);
    assert_eq!((code, cuts(&planned)), (1, vec![["ct-1", "vendor", "443/tcp", "blocklist"]]), "{planned:#}");
    let cut = &planned["cuts"][0];
    assert_eq!((&cut["feed"], &cut["entry"]), (&"threats".into(), &"198.51.100.7/32".into()));
    assert_eq!(cut["known_from"], "flows");
    crate::hospital::assert_runs(&session);
    filter.remove().unwrap();
}
