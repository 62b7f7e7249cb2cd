//! What holds when the agent is gone: the last policy, or nothing, as a profile says.

use std::thread;
use std::time::Duration;

use iomt_filter_tests::hospital::connection::{Outcome, Service, attempt};
use iomt_filter_tests::hospital::filter::{Filter, POLICY};
use iomt_filter_tests::hospital::host::{HTTPS, MAINTENANCE};
use iomt_filter_tests::hospital::{Host, Version, wait};

use crate::can_run;
use crate::hospital::{ATTEMPT, LIMIT, agent, build};

#[test]
fn without_an_agent_an_open_profile_passes_and_a_static_one_judges_on() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let pacs = Host::Pacs.at(Version::V4, MAINTENANCE);
    let listed = Host::C2.at(Version::V4, HTTPS);
    let _services = [(Host::Pacs, pacs), (Host::C2, listed)]
        .map(|(host, at)| Service::start(&hospital[host], at).unwrap());
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    let config = std::fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", format!("{config}\n[agent]\nloss_after = \"5s\"\n")).unwrap();
    let open = "on_agent_loss = \"open\"\n\n[profiles.infusion-pump]";
    filter.write("policy.toml", POLICY.replace("[profiles.infusion-pump]", open)).unwrap();
    filter.start().unwrap();
    let reach = |from: Host, to| attempt(&hospital[from], to, ATTEMPT).unwrap();

    // The agent has nothing to do for longer than it may be missing.
    thread::sleep(Duration::from_secs(6));
    let status = filter.json(&["status"]).unwrap();
    assert!(status["heartbeat"]["age_milliseconds"].as_u64().unwrap() < 2_000, "{status}");
    assert_eq!(status["heartbeat"]["loss_after_seconds"], 5);
    assert_eq!(reach(Host::Ct, pacs), Outcome::NoAnswer);
    assert_eq!(reach(Host::Ct, listed), Outcome::NoAnswer);

    filter.kill().unwrap();
    assert_eq!(reach(Host::Ct, pacs), Outcome::NoAnswer, "it is missing, and not for too long");
    wait::until("the open device to pass", LIMIT, || {
        Ok((reach(Host::Ct, pacs) == Outcome::Connected).then_some(()))
    })
    .unwrap();
    assert_eq!(reach(Host::Ct, listed), Outcome::Connected, "lists are not asked either");
    assert_eq!(reach(Host::Pump, pacs), Outcome::NoAnswer, "a static profile holds");

    filter.start().unwrap();
    assert_eq!(reach(Host::Ct, pacs), Outcome::NoAnswer);
    assert_eq!(reach(Host::Ct, listed), Outcome::NoAnswer);
    let devices = filter.json(&["devices"]).unwrap();
    let ct = devices.as_array().unwrap().iter().find(|device| device["name"] == "ct-1").unwrap();
    assert_eq!((&ct["on_agent_loss"], &ct["fail"]), (&"open".into(), &"closed".into()));
    filter.remove().unwrap();
}
