//! A hospital that nobody has described is watched, what it does becomes its policy, and that is enforced.

use std::fs;

use iomt_filter_tests::hospital::connection::{Outcome, Service, attempt};
use iomt_filter_tests::hospital::dicom::{self, Pacs, Study};
use iomt_filter_tests::hospital::filter::{Filter, POLICY};
use iomt_filter_tests::hospital::host::{HL7, HTTPS, INTEGRATION, MAINTENANCE};
use iomt_filter_tests::hospital::{Hospital, Host, Version, wait};
use serde_json::Value;

use crate::can_run;
use crate::hospital::{ATTEMPT, LIMIT, agent, build};

/// The hospital's endpoints, and profiles without a rule that are watched.
fn undescribed(mode: &str) -> String {
    let endpoints = POLICY.split("[profiles").next().unwrap();
    let endpoints = endpoints.replace("mode           = \"enforce\"", "");
    format!(
        "{endpoints}\n[profiles.ct-scanner]\nmode = \"{mode}\"\n\n[profiles.infusion-pump]\nmode = \"{mode}\"\ngeo = {{ deny = [\"KP\"] }}\n"
    )
}

/// What devices do all day; whether all of it worked.
fn day(hospital: &Hospital, study: &Study, pacs: &mut Pacs) {
    dicom::echo(hospital, Host::Ct).unwrap();
    dicom::send(hospital, Host::Ct, study, pacs).unwrap();
    for version in Version::BOTH {
        let to = (INTEGRATION.of(version), HL7).into();
        for _ in 0..4 {
            assert_eq!(attempt(&hospital[Host::Pump], to, LIMIT).unwrap(), Outcome::Connected, "{version:?}");
        }
    }
}

fn proposed(filter: &Filter<'_>, profile: &str) -> Vec<String> {
    let proposal = filter.json(&["learn", "propose", "--profile", profile]).unwrap();
    let joined = |texts: &Value| {
        let texts = texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
        texts.collect::<Vec<_>>().join(" ")
    };
    let profiles = proposal["profiles"].as_array().unwrap();
    let rules = profiles.iter().flat_map(|profile| profile["rules"].as_array().unwrap());
    rules
        .map(|rule| {
            let direction = rule["direction"].as_str().unwrap();
            format!("{direction} {} {}", joined(&rule["peers"]), joined(&rule["services"]))
        })
        .collect()
}

#[test]
fn what_a_hospital_does_becomes_its_policy_and_is_enforced_without_a_drop() {
    if !can_run() {
        return;
    }
    for mode in ["monitor", "learn"] {
        let hospital = build();
        let study = Study::make(&hospital).unwrap();
        let mut pacs = Pacs::start(&hospital).unwrap();
        let _services: Vec<_> = Version::BOTH
            .into_iter()
            .flat_map(|version| {
                let at = [
                    (Host::Pacs, (INTEGRATION.of(version), HL7).into()),
                    (Host::C2, Host::C2.at(version, HTTPS)),
                    (Host::Pump, Host::Pump.at(version, MAINTENANCE)),
                ];
                at.map(|(host, at)| Service::start(&hospital[host], at).unwrap())
            })
            .collect();
        let mut filter = Filter::configure(&hospital, &agent()).unwrap();
        filter.write("policy.toml", undescribed(mode)).unwrap();
        filter.start().unwrap();
        day(&hospital, &study, &mut pacs);
        // An infected scanner talks to its master, and looks around.
        let c2 = Host::C2.at(Version::V4, HTTPS);
        assert_eq!(
            attempt(&hospital[Host::Ct], c2, ATTEMPT).unwrap(),
            Outcome::NoAnswer,
            "lists bite in {mode}"
        );

        // An agent reads the kernel's tables when it starts, and twice a minute.
        filter.kill().unwrap();
        filter.start().unwrap();
        let rules = wait::until("what was seen to be kept", LIMIT, || {
            let rules = proposed(&filter, "ct-scanner");
            Ok((!rules.is_empty()).then_some(rules))
        })
        .unwrap();
        assert_eq!(rules, ["from-device pacs dicom"], "{mode}");
        assert_eq!(proposed(&filter, "infusion-pump"), ["from-device integration hl7"], "{mode}");
        let status = filter.json(&["learn", "status", "--device", "pump-1"]).unwrap();
        assert_eq!((status[0]["ready"].as_bool(), status[0]["mode"].as_str()), (Some(false), Some(mode)));
        assert!(status[0]["lacking"].as_u64() >= Some(1), "{status}");

        let talked = filter.json(&["flows", "--history", "--device", "pump-1", "--since", "1h"]).unwrap();
        let of = |name: &str| talked[0][name].clone();
        assert_eq!(
            (of("name"), of("service"), of("listed")),
            ("integration".into(), "2575/tcp".into(), Value::Null)
        );
        assert!(
            talked[0]["outside"] == talked[0]["packets"] && talked.as_array().unwrap().len() == 2,
            "{talked}"
        );
        assert!(
            filter
                .tell(&["flows", "--history", "--peer", "10.20.0.0/24"])
                .unwrap()
                .contains("packets without a rule")
        );
        assert!(filter.ask(&["flows", "--history", "--peer", "10.20"]).unwrap().errors.contains("--peer"));

        // It is reviewed, put into the policy, enforced, and confirmed.
        let text = filter.tell(&["learn", "propose"]).unwrap();
        let policy = fs::read_to_string(filter.folder().join("policy.toml")).unwrap();
        let endpoints = policy.split("[profiles").next().unwrap();
        let enforced = text.replace(&format!("mode = \"{mode}\""), "mode = \"enforce\"");
        assert_ne!(enforced, text, "{text}");
        filter.write("policy.toml", format!("{endpoints}{enforced}")).unwrap();
        let plan = filter.json(&["plan"]).unwrap();
        assert_eq!((plan["valid"].as_bool(), &plan["cuts"]), (Some(true), &serde_json::json!([])), "{plan}");
        filter.tell(&["apply", "--confirm-within", "5m", "--note", "learned"]).unwrap();
        filter.tell(&["confirm"]).unwrap();
        pacs.clear().unwrap();
        day(&hospital, &study, &mut pacs);
        let devices = filter.json(&["devices"]).unwrap();
        let dropped = |name: &str| {
            let found = devices.as_array().unwrap().iter().find(|device| device["name"] == name);
            found.unwrap()["dropped"].as_u64()
        };
        assert_eq!(dropped("pump-1"), Some(0), "{devices}");
        let maintenance = Host::Pump.at(Version::V4, MAINTENANCE);
        assert_eq!(attempt(&hospital[Host::Ct], maintenance, ATTEMPT).unwrap(), Outcome::NoAnswer);
        assert_eq!(proposed(&filter, "ct-scanner"), Vec::<String>::new());
        filter.remove().unwrap();
    }
}
