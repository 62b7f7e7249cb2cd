//! Plans: what a candidate would cut, open and change, by what devices did.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod files;
mod learn;
mod mud;
mod risk;
mod site;

use std::fs;

use iomt_filter::datapath::Fill;
use iomt_filter::events::Record;
use iomt_filter::plan::{Ground, KnownFrom, Planning, Room, Talks};
use jiff::Timestamp;

use site::{DEVICES, OWN, Site, all, at, messages, only, to};

#[test]
fn nothing_is_cut_where_nothing_changes() {
    let plan = Site::new().plan(&all());
    assert_eq!((plan.cuts, plan.opens, plan.not_judged), (vec![], vec![], 0));
    assert_eq!(plan.contacts, all().len() - 1, "what two devices have between them is one talk");
    assert!(plan.valid && plan.changes.is_empty(), "{:#?}", plan.changes);
    assert!(plan.changes.tables.len() == 8 && plan.changes.tables.iter().all(|it| it.before == it.after));
}

#[test]
fn a_rule_that_goes_cuts_what_it_allowed_and_nothing_else() {
    let mut site = Site::new();
    site.exchange("policy.toml", "  { to = \"pacs\", service = \"dicom\" },\n", "");
    let plan = site.plan(&all());
    let shown: Vec<_> = plan.cuts.iter().map(|cut| (cut.peer.as_str(), cut.service.as_str())).collect();
    assert_eq!(shown, [("10.20.0.10", "104/tcp"), ("2001:db8:20::10", "11112/tcp")]);
    let cut = &plan.cuts[0];
    assert_eq!((cut.device.as_str(), cut.profile.as_deref()), ("ct-1", Some("ct")));
    assert_eq!((cut.endpoint.as_deref(), cut.direction.as_str()), (Some("pacs"), "from-device"));
    assert_eq!((cut.verdict.as_str(), cut.reason.as_str()), ("drop", "not-allowed"));
    assert_eq!(cut.why, "no rule of `ct` allows it, `ct[1] to pacs service dicom` did");
    assert_eq!((cut.packets, cut.bytes, cut.last_seen), (12, 3_400, at(60)));
    let was = cut.was.as_ref().unwrap();
    assert_eq!((was.verdict.as_str(), was.reason.as_str()), ("pass", "allowed"));
    assert_eq!(was.rule.as_deref(), Some("ct[1] to pacs service dicom"));
    let removed = &plan.changes.rules.removed;
    assert_eq!((removed.len(), removed[0].line), (1, 10));
    assert!(plan.changes.rules.added.is_empty(), "{:?}", plan.changes.rules.added);
    assert!(plan.is_finding());
}

#[test]
fn rules_that_are_added_cut_nothing() {
    let mut site = Site::new();
    let rule = "  { from = \"pacs\", service = \"dicom\" },\n";
    site.exchange("policy.toml", rule, &format!("  {{ to = \"192.0.2.1\", service = \"ntp\" }},\n{rule}"));
    let plan = site.plan(&all());
    assert!(plan.cuts.is_empty() && !plan.is_finding(), "{:#?}", plan.cuts);
    let added: Vec<_> = plan.changes.rules.added.iter().map(|line| line.rule.as_str()).collect();
    assert_eq!(added, ["ct[2] to 192.0.2.1 service ntp"]);
    assert!(plan.changes.rules.removed.is_empty(), "others only stand elsewhere now");
}

#[test]
fn what_this_host_opens_is_judged_by_the_answers() {
    let mut site = Site::new();
    site.exchange("policy.toml", "[\"22/tcp\", \"icmp\"]", "\"icmp\"");
    let plan = site.plan(&all());
    let cut = only(&plan.cuts);
    assert_eq!(
        (cut.peer.as_str(), cut.service.as_str(), cut.direction.as_str()),
        (OWN, "22/tcp", "to-device")
    );
}

#[test]
fn what_two_devices_have_between_them_is_cut_once() {
    let mut site = Site::new();
    site.exchange("policy.toml", "  { from = \"profile:ct\", service = \"5000/udp\" },\n", "");
    for contacts in [all(), all().into_iter().rev().collect()] {
        let plan = site.plan(&contacts);
        let cut = only(&plan.cuts);
        assert_eq!((cut.device.as_str(), cut.endpoint.as_deref()), ("ct-1", Some("pump-1")));
        assert_eq!(cut.why, "no rule of `pump` allows it, `ct[5] to profile:pump service 5000/udp` did");
    }
}

#[test]
fn a_device_that_goes_is_cut_from_everything() {
    let mut site = Site::new();
    let (kept, _) = DEVICES.rsplit_once("[[device]]").unwrap();
    let (kept, pump_2) = kept.rsplit_once("[[device]]").unwrap();
    let (kept, _) = kept.rsplit_once("[[device]]").unwrap();
    fs::write(site.path("devices.toml"), format!("{kept}[[device]]{pump_2}")).unwrap();
    let plan = site.plan(&all());
    assert_eq!(plan.changes.devices.removed, ["monitor-1", "pump-1"]);
    let shown: Vec<_> = plan
        .cuts
        .iter()
        .map(|cut| (cut.device.as_str(), cut.service.as_str(), cut.reason.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("ct-1", "5000/udp", "not-allowed"),
            ("monitor-1", "80/tcp", "unknown-device"),
            ("pump-1", "2575/tcp", "unknown-device")
        ]
    );
    assert_eq!(plan.cuts[2].why, "removed device: the inventory no longer has it");
    assert_eq!(plan.cuts[2].profile.as_deref(), Some("pump"));
}

#[test]
fn a_device_is_judged_as_it_speaks_now() {
    let mut site = Site::new();
    site.exchange("devices.toml", "10.10.0.11", "10.10.0.12");
    let plan = site.plan(&[to("ct-1", "10.20.0.10", 104)]);
    assert_eq!(only(&plan.cuts).reason, "spoofed");
    let changed = &plan.changes.devices.changed;
    assert_eq!(
        changed[0].fields[0].to_string(),
        "ip 10.10.0.11, 2001:db8:10::11 → 10.10.0.12, 2001:db8:10::11"
    );
}

#[test]
fn lists_and_countries_say_which_entry_and_which_country() {
    let mut site = Site::new();
    fs::write(site.path("threats.txt"), "192.0.2.66\n198.51.100.0/25\n").unwrap();
    let plan = site.plan(&all());
    let cut = only(&plan.cuts);
    assert_eq!(cut.reason, "blocklist");
    assert_eq!(
        (cut.feed.as_deref(), cut.entry.as_deref(), cut.score),
        (Some("threats"), Some("198.51.100.0/25"), Some(90))
    );
    let feed = &plan.changes.feeds[0];
    assert_eq!((feed.before, feed.after, feed.added, feed.removed), (Some(1), Some(2), 1, 0));

    fs::write(site.path("threats.txt"), "192.0.2.66\n").unwrap();
    site.exchange("policy.toml", "deny = [\"RU\"]", "deny = [\"RU\", \"DE\"]");
    let plan = site.plan(&all());
    let cut = only(&plan.cuts);
    assert_eq!((cut.reason.as_str(), cut.country.as_deref()), ("geo", Some("DE")));
    assert_eq!(cut.why, "`ct` refuses its country (DE)");
    assert_eq!(plan.changes.profiles.changed[0].fields[0].field, "geo");
}

#[test]
fn what_is_dropped_now_and_would_pass_is_opened() {
    let mut site = Site::new();
    site.exchange("policy.toml", "geo = { deny = [\"RU\"] }\n", "");
    let plan = site.plan(&[to("ct-1", "203.0.113.9", 443)]);
    assert!(plan.cuts.is_empty() && !plan.is_finding());
    let opened = only(&plan.opens);
    assert_eq!(
        (opened.verdict.as_str(), opened.rule.as_deref()),
        ("pass", Some("ct[4] to 203.0.113.0/24 service https"))
    );
    assert_eq!(opened.was.as_ref().unwrap().reason, "geo");
}

#[test]
fn quarantine_cuts_all_of_a_device() {
    let mut site = Site::new();
    site.exchange("devices.toml", "profile = \"ct\"\n", "profile = \"ct\"\nmode = \"quarantine\"\n");
    let plan = site.plan(&all());
    assert!(plan.cuts.iter().all(|cut| cut.device == "ct-1"));
    assert!(plan.cuts.iter().all(|cut| cut.why == "the device is in quarantine"), "{:#?}", plan.cuts);
    assert_eq!(plan.cuts.len(), 7);
}

fn event(verdict: &'static str) -> Record {
    Record {
        time: Some(at(90)),
        verdict: verdict.into(),
        reason: "not-allowed".into(),
        device: Some("monitor-1".into()),
        direction: Some("from-device".into()),
        source: Some("10.10.0.31".parse().unwrap()),
        destination: Some("10.20.0.40".parse().unwrap()),
        protocol: Some("udp".into()),
        source_port: Some(40_000),
        destination_port: Some(161),
        length: 100,
        count: 7,
        ..Record::default()
    }
}

#[test]
fn what_was_only_reported_is_cut_by_enforce_and_opened_by_a_rule() {
    let mut site = Site::new();
    let mut heard = Talks::default();
    heard.add_event(&event("would-drop"));
    site.exchange(
        "policy.toml",
        "[profiles.watched]\nmode = \"monitor\"",
        "[profiles.watched]\nmode = \"enforce\"",
    );
    let plan = site.plan_with(&[], heard, &[]);
    let cut = only(&plan.cuts);
    assert_eq!((cut.known_from, cut.service.as_str(), cut.packets), (KnownFrom::Events, "161/udp", 7));
    assert_eq!(cut.was.as_ref().unwrap().verdict, "would-drop");
    assert!(
        messages(&plan).iter().any(|said| said.starts_with("`monitor-1` goes from `monitor`")),
        "{plan:#?}"
    );
}

#[test]
fn a_rule_for_what_was_reported_opens_it() {
    let mut site = Site::new();
    let mut heard = Talks::default();
    heard.add_event(&event("would-drop"));
    site.exchange(
        "policy.toml",
        "[profiles.watched]\n",
        "[profiles.watched]\nallow = [{ to = \"10.20.0.40\", service = \"161/udp\" }]\n",
    );
    let plan = site.plan_with(&[], heard, &[]);
    assert!(plan.cuts.is_empty());
    assert_eq!(only(&plan.opens).why, "`watched[1] to 10.20.0.40 service 161/udp` allows it");
}

#[test]
fn what_monitor_would_only_report_is_counted() {
    let mut site = Site::new();
    site.exchange("policy.toml", "[profiles.pump]\n", "[profiles.pump]\nmode = \"monitor\"\n");
    site.exchange("policy.toml", "  { to = \"any\", service = \"2575/tcp\" },\n", "");
    let plan = site.plan(&all());
    assert_eq!((plan.cuts.len(), plan.newly_reported), (0, 2));
}

#[test]
fn a_device_by_dhcp_is_judged_with_its_lease_or_any() {
    let mut site = Site::new();
    site.exchange("policy.toml", "  { to = \"any\", service = \"2575/tcp\" },\n", "");
    let number = site.numbers.devices["pump-2"];
    let contacts = [to("pump-2", "10.20.0.20", 2575)];
    for leases in [vec![], vec![(number, "10.10.7.7".parse().unwrap())]] {
        let plan = site.plan_with(&contacts, Talks::default(), &leases);
        assert_eq!(only(&plan.cuts).reason, "not-allowed", "with {leases:?}");
    }
}

#[test]
fn devices_that_nobody_knows_are_counted_and_not_judged() {
    let mut site = Site::new();
    let plan = site.plan(&[to("ct-9", "10.20.0.10", 104), to("pump-1", "2001:db8::1", 2575)]);
    assert_eq!((plan.contacts, plan.not_judged, plan.cuts.len()), (2, 2, 0));
}

#[test]
fn what_does_not_fit_is_a_finding() {
    let mut site = Site::new();
    let after = site.after();
    let fill = |table, capacity| Fill { table, used: 1, capacity };
    let rows = [fill("DEVICES", 3), fill("PROFILES", 9), fill("GRANTS", 9), fill("PROTECTED", 9)];
    let room = Room { rows: Some(rows), lines: None };
    let ground = Ground { before: Some(&site.before), after: &after, leases: &[], room, now: 1 };
    let plan = Planning::begin(ground, Timestamp::MIN).end();
    assert!(plan.is_finding());
    assert_eq!(messages(&plan), ["it does not fit: table `devices` has room for 3 rows, 4 are needed"]);
    assert!(plan.to_string().contains("devices: 4 → 4 of 3 rows, does not fit"), "{plan}");
}
