//! Profiles as MUD files and back: what comes back judges whatever devices do as the profile did.

use std::collections::BTreeMap;
use std::fs;

use iomt_filter::contacts::{Contact, Direction};
use iomt_filter::diagnostic::SourceFile;
use iomt_filter::mud::{self, Bindings, Exporting, Ground, Imported};
use iomt_filter::plan::Plan;
use iomt_filter::policy::{Policy, source};
use iomt_filter_common::packet::protocol;
use jiff::Timestamp;

use crate::learn::{fragment, work};
use crate::site::{OWN, Site, all, contact};

/// Everything that devices could try: far ends inside and outside of what rules name, and services beside it.
fn everything() -> Vec<Contact> {
    let peers = [
        "10.20.0.10",
        "10.20.0.11",
        "10.20.0.20",
        "2001:db8:20::10",
        "2001:db8:20::11",
        "198.51.100.7",
        "203.0.113.9",
        "10.0.0.53",
        "10.0.0.54",
        "10.0.0.60",
        "10.30.7.64",
        "10.30.7.79",
        "10.30.7.80",
        "10.40.0.9",
        "10.10.0.11",
        "10.10.0.21",
        "10.10.0.31",
        OWN,
        "192.0.2.66",
    ];
    let ports = [22, 53, 67, 104, 123, 443, 1_024, 2_575, 5_000, 8_443, 11_112, 49_151, 49_152, 65_535];
    let mut contacts = all();
    for device in ["ct-1", "pump-1", "pump-2", "monitor-1"] {
        for peer in peers {
            for direction in [Direction::FromDevice, Direction::ToDevice] {
                let of = |protocol, port| contact(device, direction, peer, protocol, port);
                let of_ports = ports.map(|port| [of(protocol::TCP, port), of(protocol::UDP, port)]);
                contacts.extend(of_ports.into_iter().flatten());
                contacts.extend([of(protocol::ICMP, 0), of(protocol::ICMPV6, 0), of(47, 0)]);
            }
        }
    }
    contacts
}

/// A profile of the policy, there and back.
fn there_and_back(site: &Site, name: &str) -> Imported {
    let text = fs::read_to_string(site.path("policy.toml")).unwrap();
    let file = SourceFile::new("policy.toml", text);
    let (policy, _) = Policy::parse(&file).unwrap();
    let (source, _) = source::parse(&file);
    let exported = mud::export(&Exporting {
        profile: source.profiles.iter().find(|profile| profile.name.value == name).unwrap(),
        vocabulary: &policy.vocabulary,
        url: "https://hospital.example/mud/device.json",
        systeminfo: "a device",
        last_update: Timestamp::UNIX_EPOCH,
        cache_validity: 48,
        is_supported: true,
    })
    .unwrap();
    assert_eq!((mud::validate(&exported.mud), exported.left_out), (vec![], vec![]));
    let bindings = Bindings::parse(&SourceFile::new("bindings.toml", exported.bindings)).unwrap();
    let ground = Ground {
        bindings: &bindings,
        answers: &BTreeMap::new(),
        vocabulary: &policy.vocabulary,
        profile: name,
        widen: false,
    };
    let imported = mud::import(&mud::read(exported.text.as_bytes()).unwrap(), &ground);
    assert!(imported.left_out.is_empty(), "{imported}");
    imported
}

/// The policy with the rules of what came back.
fn take(site: &Site, imported: &Imported) {
    let text = fs::read_to_string(site.path("policy.toml")).unwrap();
    let mut policy: toml::Table = text.parse().unwrap();
    let came: toml::Table = imported.policy.parse().unwrap();
    let allow = came["profiles"][&imported.profile]["allow"].clone();
    let profile = policy["profiles"][&imported.profile].as_table_mut().unwrap();
    profile.insert("allow".to_owned(), allow);
    fs::write(site.path("policy.toml"), toml::to_string(&policy).unwrap()).unwrap();
}

fn assert_same(plan: &Plan) {
    assert!(plan.contacts > 1_500, "{}", plan.contacts);
    assert!(plan.valid && plan.cuts.is_empty() && plan.opens.is_empty(), "{plan}");
    assert_eq!(plan.newly_reported, 0);
}

#[test]
fn a_profile_that_went_out_and_came_back_judges_the_same() {
    for name in ["ct", "pump"] {
        let mut site = Site::new();
        let imported = there_and_back(&site, name);
        take(&site, &imported);
        assert_same(&site.plan(&everything()));
    }
}

#[test]
fn a_learned_baseline_that_went_out_and_came_back_judges_the_same() {
    let mut site = Site::new();
    let policy = fs::read_to_string(site.path("policy.toml")).unwrap();
    let rest = policy.split("[profiles.watched]").next().unwrap().to_owned();
    let learned = fragment(&site, &work()).replace("mode = \"monitor\"", "mode = \"enforce\"");
    fs::write(site.path("policy.toml"), format!("{rest}{learned}")).unwrap();
    site.before = site.after();
    let imported = there_and_back(&site, "watched");
    assert!(imported.rules.len() >= 8, "{imported}");
    take(&site, &imported);
    assert_same(&site.plan(&everything()));
    // One rule less is noticed.
    let mut fewer = imported;
    fewer.policy = fewer.policy.replace("\"dicom\"", "\"105/tcp\"");
    take(&site, &fewer);
    let plan = site.plan(&everything());
    assert!(!plan.cuts.is_empty(), "{plan}");
}
