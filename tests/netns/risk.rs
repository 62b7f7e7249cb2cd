//! A pump with an operating system of which everybody knows: it is listed, the rule that would do is proposed, and what
//! comes of it holds.

use std::fs;

use iomt_filter_tests::hospital::connection::{Outcome, Service, attempt};
use iomt_filter_tests::hospital::filter::{Filter, POLICY};
use iomt_filter_tests::hospital::{Host, Version, wait};
use iomt_filter_tests::readme::root;
use serde_json::Value;

use crate::can_run;
use crate::hospital::{ATTEMPT, LIMIT, agent, build};

const SMB: u16 = 445;

/// The hospital's policy, with a pump that everybody may send files to.
fn policy() -> String {
    let rule = "  { to = \"integration\", service = \"hl7\" },\n";
    assert!(POLICY.contains(rule));
    POLICY.replace(
        rule,
        &format!("{rule}  {{ from = \"any\", service = \"smb\", note = \"drug library\" }},\n"),
    )
}

#[test]
fn a_pump_that_is_known_to_be_exploited_is_left_to_who_used_it() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    let data = root().join("tests/data/risk");
    let at = |name: &str| data.join(name).canonicalize().unwrap().display().to_string();
    let config = fs::read_to_string(filter.folder().join("config.toml")).unwrap();
    let risk =
        format!("[risk]\nkev = {:?}\nepss = {:?}\nmax_age = \"36500d\"\n", at("kev.json"), at("epss.csv"));
    filter.write("config.toml", format!("{config}\n{risk}")).unwrap();
    filter.write("policy.toml", policy()).unwrap();
    filter.start().unwrap();

    let pump = Host::Pump.at(Version::V4, SMB);
    let _service = Service::start(&hospital[Host::Pump], pump).unwrap();
    for _ in 0..4 {
        assert_eq!(attempt(&hospital[Host::Pacs], pump, LIMIT).unwrap(), Outcome::Connected);
    }
    let refused = filter.ask(&["sbom", "import", "pump-2", &at("pump-os.json")]).unwrap();
    assert!(refused.errors.contains("did you mean `pump-1`?"), "{refused:?}");
    for name in ["pump-os.json", "pump-vex.json"] {
        let said = filter.tell(&["sbom", "import", "pump-1", &at(name), "--note", "of the maker"]).unwrap();
        assert!(said.contains("is imported for `pump-1`, a device"), "{said}");
    }
    // An agent reads the kernel's tables when it starts; and what was imported is still there.
    filter.kill().unwrap();
    filter.start().unwrap();
    let found = wait::until("what was seen to be kept", LIMIT, || {
        let risk = filter.json(&["risk", "--device", "pump-1"])?;
        Ok((risk["findings"][0]["exposures"][0]["peers"] == 1).then_some(risk))
    })
    .unwrap();
    let smb = &found["findings"][0];
    let of = |name: &str| smb[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (of("vulnerability"), of("rank"), of("state")),
        ("CVE-2017-0144".into(), "ransomware".into(), "exploitable".into())
    );
    let exposure = &smb["exposures"][0];
    assert_eq!((&exposure["service"], &exposure["access"]), (&"445/tcp".into(), &"allowed".into()), "{smb}");
    assert_eq!(exposure["rules"], serde_json::json!(["infusion-pump[2] from any service smb"]));
    let imported = filter.json(&["sbom", "list"]).unwrap();
    assert_eq!(imported["imported"].as_array().map(Vec::len), Some(2), "{imported}");
    let log = filter.tell(&["audit", "export"]).unwrap();
    assert_eq!(log.matches(": sbom import pump-1 (of the maker)").count(), 2, "{log}");
    // The same without an agent.
    let offline = filter.json(&["risk", "--device", "pump-1", "--offline"]).unwrap();
    assert_eq!(offline["findings"], found["findings"]);
    assert_eq!(offline["diff"], found["diff"]);

    // It is reviewed, put into the policy, and holds.
    let (before, _) = POLICY.split_once("[profiles.infusion-pump]").unwrap();
    let proposed = found["policy"].as_str().unwrap();
    assert!(proposed.contains("note = \"drug library; CVE-2017-0144\""), "{proposed}");
    filter.write("policy.toml", format!("{before}{proposed}")).unwrap();
    let plan = filter.json(&["plan"]).unwrap();
    assert_eq!((&plan["valid"], &plan["cuts"]), (&Value::Bool(true), &serde_json::json!([])), "{plan}");
    filter.tell(&["check"]).unwrap();
    filter.tell(&["reload"]).unwrap();
    assert_eq!(attempt(&hospital[Host::Pacs], pump, LIMIT).unwrap(), Outcome::Connected);
    assert_eq!(attempt(&hospital[Host::Vendor], pump, ATTEMPT).unwrap(), Outcome::NoAnswer);
    let again = filter.json(&["risk", "--device", "pump-1"]).unwrap();
    assert_eq!(again["diff"], "", "{again}");
    filter.tell(&["sbom", "remove", "pump-1"]).unwrap();
    let none = filter.json(&["risk", "--device", "pump-1"]).unwrap();
    assert_eq!(
        (&none["findings"], &none["left_out"]["devices_without"]),
        (&serde_json::json!([]), &1.into())
    );
    filter.remove().unwrap();
}
