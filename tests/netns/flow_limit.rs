//! A device with as many flows as it may have opens no other, and `status` names it.

use iomt_filter_tests::hospital::connection::{Outcome, Service, Session, attempt};
use iomt_filter_tests::hospital::filter::{Filter, POLICY};
use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::hospital::{Host, Version};

use crate::can_run;
use crate::hospital::{ATTEMPT, LIMIT, agent, assert_runs, build};

#[test]
fn what_is_beyond_the_limit_is_dropped_and_said() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _service = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    let limits = "limits = { flows = 1 }\n\n[profiles.infusion-pump]";
    filter.write("policy.toml", POLICY.replace("[profiles.infusion-pump]", limits)).unwrap();
    filter.start().unwrap();
    let session = Session::start(&hospital[Host::Ct], vendor, LIMIT).unwrap();
    assert_runs(&session);
    assert_eq!(attempt(&hospital[Host::Ct], vendor, ATTEMPT).unwrap(), Outcome::NoAnswer);
    assert_runs(&session);
    let status = filter.json(&["status"]).unwrap();
    let warnings = status["warnings"].as_array().unwrap();
    let is_named = warnings.iter().any(|warning| warning.as_str().unwrap().contains("`ct-1` has 1 flows"));
    assert!(is_named, "{status}");
    let table = |name: &str| status["tables"].as_array().unwrap().iter().find(|table| table["name"] == name);
    assert!(table("flows").unwrap()["used"].as_u64().unwrap() >= 1, "{status}");
    assert!(table("grants").is_some() && table("leases").is_some());
    let text = filter.tell(&["status"]).unwrap();
    assert!(text.contains("limits flows 1") && text.contains("s ago, missing after 60 s"), "{text}");
    let events = filter.tell(&["events", "--reason", "rate-limit"]).unwrap();
    assert!(events.contains("drop rate-limit ct-1"), "{events}");
    filter.remove().unwrap();
}
