//! What devices did, as rules: whatever was seen and is no scan, listed or refused is allowed by what is proposed, and
//! nothing else is.

use std::collections::BTreeMap;
use std::fs;

use iomt_filter::baseline::{
    Confidence, Fragment, Gathering, Ground, Kind, Proposal, Readiness, Scope, Watching, write,
};
use iomt_filter::contacts::{Contact, Direction};
use iomt_filter_common::packet::protocol;
use jiff::{SignedDuration, Timestamp};

use crate::site::{OWN, Site, at, contact, from, to};

const DAY: i64 = 86_400;

/// A contact over so many days.
fn over(days: i64, packets: u64, contact: Contact) -> Contact {
    Contact {
        last_seen: at(days * DAY),
        packets,
        outside: packets,
        last_outside: Some(at(days * DAY)),
        ..contact
    }
}

fn gathered<'g>(ground: Ground<'g>, scope: Scope, contacts: &[Contact]) -> Gathering<'g> {
    let mut gathering = Gathering::begin(ground, scope);
    gathering.check().unwrap();
    contacts.iter().for_each(|contact| gathering.hear(contact.clone()));
    gathering
}

fn propose(site: &Site, scope: Scope, contacts: &[Contact]) -> Proposal {
    let ground = Ground { intent: &site.before, leases: &[], now: 1 };
    gathered(ground, scope, contacts).end(Timestamp::UNIX_EPOCH)
}

fn readiness(site: &Site, contacts: &[Contact], now: Timestamp) -> Vec<Readiness> {
    let ground = Ground { intent: &site.before, leases: &[], now: 1 };
    let habits = BTreeMap::new();
    let watching = Watching { now, recent: SignedDuration::from_hours(7 * 24), habits: &habits };
    gathered(ground, Scope::default(), contacts).readiness(watching)
}

/// Rules in short: direction, peers, services.
fn rules(proposal: &Proposal, profile: &str) -> Vec<(Direction, String, String)> {
    let found = proposal.profiles.iter().find(|found| found.name == profile);
    let rules = found.map(|found| found.rules.as_slice()).unwrap_or_default();
    rules.iter().map(|rule| (rule.direction, rule.peers.join(" "), rule.services.join(" "))).collect()
}

fn out(service: &str, peer: &str) -> (Direction, String, String) {
    (Direction::FromDevice, peer.to_owned(), service.to_owned())
}

fn into(service: &str, peer: &str) -> (Direction, String, String) {
    (Direction::ToDevice, peer.to_owned(), service.to_owned())
}

/// Work of every kind, of the monitor that has no rule at all.
pub(crate) fn work() -> Vec<Contact> {
    let udp = |peer: &str, port| contact("monitor-1", Direction::FromDevice, peer, protocol::UDP, port);
    let mut work = vec![
        over(3, 900, to("monitor-1", "10.20.0.10", 104)),
        over(3, 40, to("monitor-1", "10.20.0.10", 11_112)),
        over(2, 20, udp("10.0.0.53", 53)),
        over(2, 20, udp("10.0.0.54", 53)),
        over(1, 30, udp("10.0.0.60", 123)),
        over(1, 30, from("monitor-1", "10.20.0.10", 2575)),
        over(1, 30, from("monitor-1", OWN, 22)),
        over(1, 30, contact("monitor-1", Direction::FromDevice, "10.0.0.60", protocol::ICMP, 0)),
        over(1, 30, to("monitor-1", "10.10.0.21", 5_000)),
    ];
    work.extend((0..12).map(|host| over(1, 30, to("monitor-1", &format!("10.30.7.{}", 64 + host), 8_443))));
    work.extend((0..9).map(|port| over(1, 30, to("monitor-1", "10.40.0.9", 50_000 + port * 3))));
    work
}

/// What is proposed for it, as a policy writes it.
pub(crate) fn fragment(site: &Site, contacts: &[Contact]) -> String {
    let policy = fs::read_to_string(site.path("policy.toml")).unwrap();
    write(&propose(site, Scope::default(), contacts), "policy.toml", &policy).unwrap().policy
}

#[test]
fn what_was_seen_becomes_few_rules_that_can_be_read() {
    let site = Site::new();
    let proposal = propose(&site, Scope::default(), &work());
    let mut found = rules(&proposal, "watched");
    found.sort();
    let mut expected = vec![
        out("dicom", "pacs"),
        out("dns", "10.0.0.53 10.0.0.54"),
        out("icmp ntp", "10.0.0.60"),
        out("8443/tcp", "10.30.7.64/28"),
        out("49152-65535/tcp", "10.40.0.9"),
        out("5000/tcp", "profile:pump"),
        into("hl7", "pacs"),
        into("ssh", "gateway"),
    ];
    expected.sort();
    assert_eq!(found, expected);
    let rules = &proposal.profiles[0].rules;
    let of =
        |service: &str| rules.iter().find(|rule| rule.services.iter().any(|known| known == service)).unwrap();
    assert_eq!(
        (of("dicom").confidence, of("dicom").kind, of("dicom").packets),
        (Confidence::High, Kind::Outbound, 940)
    );
    assert_eq!(of("dicom").examples[0], "monitor-1 to 10.20.0.10 (900 packets)");
    assert_eq!((of("hl7").kind, of("5000/tcp").kind), (Kind::Inbound, Kind::Lateral));
    // Rules that cover more than was seen are never sure.
    assert_eq!(
        (of("8443/tcp").confidence, of("49152-65535/tcp").confidence),
        (Confidence::Medium, Confidence::Medium)
    );
    assert_eq!(rules.last().unwrap().kind, Kind::Lateral);
}

#[test]
fn what_is_proposed_allows_what_was_seen_and_asks_for_nothing_more() {
    let mut site = Site::new();
    let contacts = work();
    let proposal = propose(&site, Scope::default(), &contacts);
    let policy = fs::read_to_string(site.path("policy.toml")).unwrap();
    let Fragment { policy: fragment, diff } = write(&proposal, "policy.toml", &policy).unwrap();
    assert!(diff.contains("+  { to = \"pacs\", service = \"dicom\" },"), "{diff}");
    // The fragment in place of the profile that it is of.
    let rest = policy.split("[profiles.watched]").next().unwrap();
    fs::write(site.path("policy.toml"), format!("{rest}{fragment}")).unwrap();
    site.before = site.after();
    let again = propose(&site, Scope::default(), &contacts);
    // The pump's side of what goes from device to device is its own policy's.
    assert_eq!(rules(&again, "watched"), []);
    let used = &again.profiles[0].in_force;
    assert_eq!(used.len(), proposal.profiles[0].rules.len());
    assert!(used.iter().all(|used| used.packets > 0), "{used:?}");
    assert!(write(&again, "policy.toml", &policy).unwrap().diff.is_empty());
}

#[test]
fn listed_and_refused_far_ends_scans_and_what_was_seen_once_get_no_rule() {
    let site = Site::new();
    let mut contacts = vec![
        over(3, 500, to("monitor-1", "192.0.2.66", 443)),
        over(3, 500, to("ct-1", "203.0.113.9", 8443)),
        Contact { last_seen: at(20), packets: 2, ..to("monitor-1", "10.20.0.77", 8_080) },
    ];
    contacts.extend((1..60).map(|host| over(1, 2, to("monitor-1", &format!("10.50.0.{host}"), 445))));
    contacts.extend((1..60).map(|port| over(1, 1, to("monitor-1", "10.51.0.9", port))));
    let proposal = propose(&site, Scope::default(), &contacts);
    assert!(proposal.profiles.iter().all(|profile| profile.rules.is_empty()), "{proposal:?}");
    let why = |peer: &str| {
        let left = proposal.profiles.iter().flat_map(|profile| &profile.left_out);
        left.filter(|left| left.peer == peer).map(|left| left.why.as_str()).collect::<Vec<_>>().join("; ")
    };
    assert!(why("192.0.2.66").contains("`threats` lists 192.0.2.66"), "{proposal}");
    assert!(why("203.0.113.9").contains("RU"), "{proposal}");
    assert_eq!(why("10.20.0.77"), "seen once, and of no other device");
    assert!(why("59 far ends").contains("a scan: 59 far ends"), "{proposal}");
    assert!(why("10.51.0.9").contains("a scan: 59 services"), "{proposal}");
    let text = proposal.to_string();
    assert!(
        text.lines().all(|line| line.starts_with('#')) && text.contains("left out of `watched`"),
        "{text}"
    );
}

#[test]
fn one_device_one_profile_or_a_pattern_can_be_asked_about() {
    let site = Site::new();
    let contacts = [over(2, 50, to("monitor-1", "10.0.0.1", 80)), over(2, 50, to("ct-1", "10.0.0.2", 80))];
    let of = |device: Option<&str>, profile: Option<&str>| {
        let scope = Scope { device: device.map(str::to_owned), profile: profile.map(str::to_owned) };
        let proposal = propose(&site, scope, &contacts);
        proposal.profiles.iter().map(|profile| profile.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of(Some("ct-*"), None), ["ct"]);
    assert_eq!(of(None, Some("watched")), ["watched"]);
    assert_eq!(of(None, None), ["ct", "watched"]);
    let ground = Ground { intent: &site.before, leases: &[], now: 1 };
    let refused = |device: Option<&str>, profile: Option<&str>| {
        let scope = Scope { device: device.map(str::to_owned), profile: profile.map(str::to_owned) };
        Gathering::begin(ground, scope).check().unwrap_err().to_string()
    };
    assert_eq!(refused(Some("ct-2"), None), "no device is called `ct-2`; did you mean `ct-1`?");
    assert_eq!(refused(None, Some("watchd")), "no device has the profile `watchd`; did you mean `watched`?");
}

#[test]
fn a_device_is_ready_when_it_was_watched_and_did_nothing_without_a_rule() {
    let site = Site::new();
    let of = |contacts: &[Contact], day: i64| {
        let all = readiness(&site, contacts, at(day * DAY));
        all.into_iter().find(|one| one.device == "monitor-1").unwrap()
    };
    assert_eq!(of(&[], 20).why, "nothing was seen of it");
    let old = over(2, 50, to("monitor-1", "10.0.0.1", 80));
    let young = of(std::slice::from_ref(&old), 4);
    assert!(!young.ready && young.lacking == 1, "{young:?}");
    assert_eq!(young.examples, ["to 10.0.0.1 http"]);
    assert!(young.why.contains("learn propose --device monitor-1"), "{young:?}");
    assert_eq!(of(std::slice::from_ref(&old), 12).why, "watched for 12 of 14 days");
    let ready = of(std::slice::from_ref(&old), 20);
    assert!(ready.ready && ready.days_watched == 20, "{ready:?}");
    // A scan keeps nobody from being enforced.
    let scan = (1..60).map(|host| over(19, 2, to("monitor-1", &format!("10.50.0.{host}"), 445)));
    let scanned = of(&scan.chain([old]).collect::<Vec<_>>(), 20);
    assert!(scanned.ready && scanned.unclear == 1, "{scanned:?}");
    let others = readiness(&site, &[], at(0));
    assert_eq!(others.len(), 4);
    assert!(others.iter().find(|one| one.device == "ct-1").unwrap().ready, "it is enforced");
}

#[test]
fn who_is_on_the_same_link_and_no_device_may_be_on_the_uplink() {
    let site = Site::new();
    let seen = [over(1, 30, from("monitor-1", "10.10.0.250", 6_543))];
    let proposal = propose(&site, Scope::default(), &seen);
    assert_eq!(rules(&proposal, "watched"), [into("6543/tcp", "10.10.0.250")], "{:?}", proposal.profiles);
}

#[test]
fn what_groups_a_device_listens_to_is_said_once_and_no_chance() {
    let site = Site::new();
    let once = |peer: &str, protocol| Contact {
        packets: 1,
        last_seen: at(0),
        ..contact("monitor-1", Direction::FromDevice, peer, protocol, 0)
    };
    let seen = [once("224.0.0.22", 2), once("ff02::16", 58), once("224.0.0.22", 3), once("10.0.0.9", 2)];
    let proposal = propose(&site, Scope::default(), &seen);
    let told: Vec<_> =
        rules(&proposal, "watched").into_iter().map(|(_, peers, services)| (peers, services)).collect();
    let told: Vec<_> = told.iter().map(|(peers, services)| (peers.as_str(), services.as_str())).collect();
    assert_eq!(told, [("224.0.0.22", "proto/2"), ("ff02::16", "icmpv6")], "{:?}", proposal.profiles);
}

#[test]
fn a_rule_for_a_dhcp_server_needs_none_for_everybody_beside_it() {
    let mut site = Site::new();
    let asked = |peer: &str, port| {
        over(1, 30, contact("monitor-1", Direction::FromDevice, peer, protocol::UDP, port))
    };
    let everybody = [asked("255.255.255.255", 67), asked("ff02::1:2", 547)];
    let proposal = propose(&site, Scope::default(), &everybody);
    let mut alone = rules(&proposal, "watched");
    alone.sort();
    assert_eq!(alone, [out("dhcp", "255.255.255.255"), out("dhcpv6", "ff02::1:2")]);
    let answered = [everybody.as_slice(), &[asked("10.0.0.67", 67)]].concat();
    let mut beside = rules(&propose(&site, Scope::default(), &answered), "watched");
    beside.sort();
    assert_eq!(beside, [out("dhcp", "10.0.0.67"), out("dhcpv6", "ff02::1:2")]);
    // A policy with it is valid, and allows all of it.
    let fragment = fragment(&site, &answered);
    let policy = fs::read_to_string(site.path("policy.toml")).unwrap();
    let rest = policy.split("[profiles.watched]").next().unwrap();
    fs::write(site.path("policy.toml"), format!("{rest}{fragment}")).unwrap();
    site.before = site.after();
    assert_eq!(rules(&propose(&site, Scope::default(), &answered), "watched"), []);
}
