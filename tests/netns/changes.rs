//! Changes that go back by themselves, generations that are kept, and what holds by hand, with sessions running.

use std::fs;
use std::thread;
use std::time::Duration;

use aya::maps::{Map, MapData, PerCpuHashMap, PerCpuValues};
use aya::util::nr_cpus;
use iomt_filter_common::trial::Difference;
use iomt_filter_tests::hospital::connection::{Outcome, Service, Session, attempt};
use iomt_filter_tests::hospital::filter::{Filter, POLICY, pins};
use iomt_filter_tests::hospital::host::{DICOM, HTTPS};
use iomt_filter_tests::hospital::program::Answer;
use iomt_filter_tests::hospital::{Hospital, Host, Version, wait};
use serde_json::Value;

use crate::can_run;
use crate::hospital::{ATTEMPT, LIMIT, agent, assert_cut, assert_runs, build, filter};

/// Long enough for a session's segments to be sent once more after a cut of a few seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A policy that cuts the scanner from the PACS.
pub(crate) fn cutting() -> String {
    other("")
}

/// A policy that says something else, and that no packet of these tests is judged differently by.
fn wider() -> String {
    other("  { to = \"pacs\", service = [\"dicom\", \"https\"] },\n")
}

/// The policy with other rules in place of the one for sending studies.
fn other(rules: &str) -> String {
    let policy = POLICY.replace("  { to = \"pacs\", service = \"dicom\" },\n", rules);
    assert_ne!(policy, POLICY, "there is no such rule");
    policy
}

/// A session of the scanner with the PACS, which stands for that of an operator.
pub(crate) fn session(hospital: &Hospital) -> (Service, Session) {
    let pacs = Host::Pacs.at(Version::V4, DICOM);
    let service = Service::start(&hospital[Host::Pacs], pacs).unwrap();
    let session = Session::start(&hospital[Host::Ct], pacs, LIMIT).unwrap();
    assert_runs(&session);
    (service, session)
}

/// That a session that was cut goes on.
pub(crate) fn assert_lives_again(session: &Session) {
    let answered = session.answered();
    wait::until("a session to live again", PATIENCE, || {
        Ok((session.answered() > answered + 10).then_some(()))
    })
    .unwrap();
}

pub(crate) fn states(filter: &Filter<'_>) -> Vec<(u64, String, bool)> {
    let generations = filter.json(&["generations"]).unwrap();
    let of = |it: &Value| {
        (
            it["number"].as_u64().unwrap(),
            it["state"].as_str().unwrap().to_owned(),
            it["holds"].as_bool().unwrap(),
        )
    };
    generations.as_array().unwrap().iter().map(of).collect()
}

fn state(number: u64, state: &str, holds: bool) -> (u64, String, bool) {
    (number, state.to_owned(), holds)
}

#[test]
fn who_cuts_himself_off_is_back_when_the_deadline_passes_whoever_lives() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    let (_service, session) = session(&hospital);
    filter.write("policy.toml", cutting()).unwrap();
    let applied = filter.json(&["apply", "--confirm-within", "6s", "--note", "less DICOM"]).unwrap();
    assert_eq!(applied["number"], 2, "{applied}");
    filter.kill().unwrap();
    assert_cut(&session);
    assert_lives_again(&session);

    // Nor does a new agent take up what nobody confirmed, although the file says it.
    filter.start().unwrap();
    assert_runs(&session);
    assert_eq!(states(&filter), [state(1, "confirmed", true), state(2, "reverted", false)]);
    let status = filter.json(&["status"]).unwrap();
    assert_eq!(status["change"]["files_differ"], true);
    assert_eq!(status["change"]["number"], 1);
    let because = status["change"]["kept_because"].as_str().unwrap();
    assert!(because.contains("generation 2"), "{because}");
    assert!(filter.tell(&["status"]).unwrap().starts_with("KEPT"));
    assert!(filter.tell(&["audit", "export"]).unwrap().contains("less DICOM"));
    filter.tell(&["audit", "verify"]).unwrap();
    filter.remove().unwrap();
}

#[test]
fn a_change_that_is_confirmed_stays_and_can_be_rolled_back() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    let (_service, session) = session(&hospital);
    filter.write("policy.toml", cutting()).unwrap();
    filter.tell(&["apply", "--confirm-within", "10m"]).unwrap();
    assert_cut(&session);
    let status = filter.json(&["status"]).unwrap();
    assert_eq!(status["change"]["pending"]["number"], 2);
    assert_eq!(status["change"]["pending"]["falls_back_to"], 1);
    assert!(filter.tell(&["status"]).unwrap().starts_with("PENDING"));
    // One change after the other.
    for refused in [["apply", "--now"].as_slice(), &["reload"], &["rollback", "1"]] {
        let answer = filter.ask(refused).unwrap();
        assert_eq!(answer.status.code(), Some(1), "{refused:?}");
        assert!(
            answer.errors.contains("generation 2") && answer.errors.contains("pending"),
            "{}",
            answer.errors
        );
    }
    filter.tell(&["rollback"]).unwrap();
    assert_lives_again(&session);
    assert_eq!(states(&filter), [state(1, "confirmed", true), state(2, "reverted", false)]);

    filter.tell(&["apply", "--confirm-within", "6s"]).unwrap();
    filter.tell(&["confirm"]).unwrap();
    std::thread::sleep(Duration::from_secs(7));
    assert_cut(&session);
    let again = filter.ask(&["confirm"]).unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(again.errors.contains("no change is pending"), "{}", again.errors);
    // Back to what was confirmed before, as a generation of its own.
    let back = filter.json(&["rollback"]).unwrap();
    assert_eq!(back["number"], 4);
    assert_lives_again(&session);
    let last = states(&filter);
    assert_eq!(last[2..], [state(3, "confirmed", false), state(4, "confirmed", true)]);
    assert_eq!(
        filter.json(&["status"]).unwrap()["change"]["files_differ"],
        true,
        "the files are as they were"
    );
    filter.remove().unwrap();
}

/// A trial that shows nothing, or not all, is not taken for one that says that nothing would be cut.
#[test]
fn a_trial_that_does_not_say_it_all_is_no_clean_result() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    let failed = |answer: &Answer, why: &str| {
        assert_eq!(answer.status.code(), Some(2), "{answer:?}");
        assert!(answer.errors.contains(why), "{why}: {answer:?}");
    };
    failed(&filter.ask(&["plan", "--live", "1s"]).unwrap(), "no packet came");
    failed(&filter.ask(&["plan", "--live", "25h"]).unwrap(), "at most `24h`");
    failed(&filter.ask(&["plan", "--live", "0s"]).unwrap(), "0s");
    // Nobody goes on with what another trial counts.
    let (_service, session) = session(&hospital);
    thread::scope(|scope| {
        let first = scope.spawn(|| filter.ask(&["plan", "--live", "1m"]).unwrap());
        wait::until("a trial", LIMIT, || Ok(trial(&filter)?.then_some(()))).unwrap();
        let second = filter.ask(&["plan", "--live", "1s"]).unwrap();
        assert!(second.status.success() && second.errors.contains("that you began before"), "{second:?}");
        failed(&first.join().unwrap(), "another trial");
    });
    // Where there is no room for one more.
    filter.write("policy.toml", cutting()).unwrap();
    let told = thread::scope(|scope| {
        let tried = scope.spawn(|| filter.ask(&["plan", "--live", "8s", "--output", "json"]).unwrap());
        wait::until("a trial", LIMIT, || Ok(trial(&filter)?.then_some(()))).unwrap();
        fill_differences(&hospital);
        tried.join().unwrap()
    });
    let status: Value = serde_json::from_str(&told.output).unwrap();
    assert!(status["uncounted"].as_u64().unwrap() > 0, "{status}");
    failed(&told, "are in no line");
    assert_runs(&session);
    filter.write("policy.toml", "version = ").unwrap();
    assert_eq!(filter.ask(&["plan", "--live", "1s"]).unwrap().status.code(), Some(1));
    // And who tried is in the audit log, and nothing is tried beside a change.
    filter.write("policy.toml", wider()).unwrap();
    filter.tell(&["apply", "--confirm-within", "10m"]).unwrap();
    failed(&filter.ask(&["plan", "--live", "1s"]).unwrap(), "is pending");
    let audit = filter.tell(&["audit", "export", "--output", "json"]).unwrap();
    let what =
        |what: &str| audit.lines().filter(|line| line.contains(&format!("\"what\":\"{what}\""))).count();
    assert_eq!((what("trial"), what("trial end")), (4, 3), "{audit}");
    filter.remove().unwrap();
}

fn trial(filter: &Filter<'_>) -> anyhow::Result<bool> {
    Ok(filter.get("/v1/trial")?.1["running"] == true)
}

/// Leaves no room for what has not been counted yet, and takes away what the session is counted under.
fn fill_differences(hospital: &Hospital) {
    let pin = pins(hospital.name()).join("maps/DIFFERENCES");
    let map = Map::from_map_data(MapData::from_pin(pin).unwrap()).unwrap();
    let mut differences: PerCpuHashMap<MapData, Difference, u64> = map.try_into().unwrap();
    let none = || PerCpuValues::try_from(vec![0; nr_cpus().unwrap()]).unwrap();
    let mut device = 1_000_000;
    while differences.insert(Difference { device, ..Difference::default() }, none(), 0).is_ok() {
        device += 1;
    }
    loop {
        let keys = differences.keys().filter_map(Result::ok);
        let counted: Vec<_> = keys.filter(|key| (1..1_000_000).contains(&key.device)).collect();
        if counted.is_empty() {
            return;
        }
        for key in counted {
            differences.remove(&key).unwrap();
            // Where a packet was faster it has the place, and loses it in the next round.
            let _ = differences.insert(Difference { device, ..Difference::default() }, none(), 0);
            device += 1;
        }
    }
}

#[test]
fn what_is_blocked_while_a_change_is_pending_stays_blocked() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _vendor = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let mut filter = filter(&hospital, &agent());
    let (_service, session) = session(&hospital);
    filter.write("policy.toml", cutting()).unwrap();
    filter.tell(&["apply", "--confirm-within", "8s"]).unwrap();
    assert_eq!(attempt(&hospital[Host::Ct], vendor, LIMIT).unwrap(), Outcome::Connected);
    filter.tell(&["block", "add", "198.51.100.7"]).unwrap();
    assert_eq!(attempt(&hospital[Host::Ct], vendor, ATTEMPT).unwrap(), Outcome::NoAnswer);
    // A list that comes meanwhile counts in both too.
    let list = fs::read_to_string(filter.folder().join("threats.txt")).unwrap();
    filter.write("threats.txt", format!("{list}\n203.0.113.77\n")).unwrap();
    filter.tell(&["feed", "refresh", "threats"]).unwrap();
    let is_listed = |filter: &Filter<'_>| {
        let found = filter.json(&["lookup", "203.0.113.77"]).unwrap();
        found["listings"][0]["feed"] == "threats"
    };
    assert!(is_listed(&filter));
    // An agent that is started meanwhile goes on with what is pending.
    filter.kill().unwrap();
    filter.start().unwrap();
    assert_eq!(filter.json(&["status"]).unwrap()["change"]["pending"]["number"], 2);
    assert_eq!(attempt(&hospital[Host::Ct], vendor, ATTEMPT).unwrap(), Outcome::NoAnswer);
    assert_lives_again(&session);
    assert_eq!(attempt(&hospital[Host::Ct], vendor, ATTEMPT).unwrap(), Outcome::NoAnswer);
    wait::until("the agent to notice", LIMIT, || Ok((states(&filter)[1].1 == "reverted").then_some(())))
        .unwrap();
    assert!(is_listed(&filter));
    filter.tell(&["block", "remove", "198.51.100.7"]).unwrap();
    assert_eq!(attempt(&hospital[Host::Ct], vendor, LIMIT).unwrap(), Outcome::Connected);
    assert!(filter.tell(&["events", "--reason", "blocklist"]).unwrap().contains("198.51.100.7"));
    filter.remove().unwrap();
}

#[test]
fn a_start_with_files_that_are_invalid_goes_on_with_what_was_confirmed() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    let (_service, session) = session(&hospital);
    let config = fs::read_to_string(filter.config()).unwrap();
    for (file, text) in
        [("policy.toml", "version = ".to_owned()), ("config.toml", format!("{config}\nfoo = [\n"))]
    {
        let before = fs::read_to_string(filter.folder().join(file)).unwrap();
        filter.kill().unwrap();
        filter.write(file, text).unwrap();
        filter.start().unwrap();
        assert_runs(&session);
        let status = filter.json(&["status"]).unwrap();
        let because = status["change"]["kept_because"].as_str().unwrap();
        assert!(because.contains("invalid") || because.contains("cannot be used"), "{file}: {because}");
        assert_eq!(status["change"]["number"], 1, "{file}");
        filter.write(file, before).unwrap();
    }
    // What somebody has written since and is valid is taken up by a start, as ever.
    filter.kill().unwrap();
    filter.write("policy.toml", cutting()).unwrap();
    filter.start().unwrap();
    assert_cut(&session);
    assert_eq!(states(&filter).last(), Some(&state(2, "confirmed", true)));
    filter.remove().unwrap();
}

#[test]
fn quarantine_and_bypass_hold_at_once_and_end_whoever_lives() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let denied = Host::Denied.at(Version::V4, HTTPS);
    let _denied = Service::start(&hospital[Host::Denied], denied).unwrap();
    let mut filter = filter(&hospital, &agent());
    let (_service, session) = session(&hospital);
    let quarantined = filter.tell(&["quarantine", "ct-1", "--for", "8s", "--note", "odd beacons"]).unwrap();
    assert!(quarantined.contains("quarantine of device `ct-1` until"), "{quarantined}");
    assert_cut(&session);
    assert!(filter.tell(&["status"]).unwrap().starts_with("BY HAND     quarantine of device `ct-1`"));
    filter.kill().unwrap();
    assert_lives_again(&session);
    filter.start().unwrap();
    assert_eq!(filter.json(&["status"]).unwrap()["exceptions"], Value::Array(Vec::new()));

    filter.tell(&["quarantine", "ct-1"]).unwrap();
    filter.kill().unwrap();
    filter.start().unwrap();
    assert_cut(&session);
    filter.tell(&["release", "ct-1"]).unwrap();
    assert_lives_again(&session);
    let nothing = filter.ask(&["release", "ct-1"]).unwrap();
    assert!(nothing.errors.contains("nothing holds of device `ct-1` by hand"), "{}", nothing.errors);
    let unknown = filter.ask(&["quarantine", "ct1"]).unwrap();
    assert!(unknown.errors.contains("did you mean `ct-1`"), "{}", unknown.errors);

    // A country that the profile refuses.
    let reaches = |limit| attempt(&hospital[Host::Pump], denied, limit).unwrap();
    assert_eq!(reaches(ATTEMPT), Outcome::NoAnswer);
    for scope in [["--device", "pump-1"].as_slice(), &["--profile", "infusion-pump"], &["--all"]] {
        let bypass = [&["bypass"], scope, &["--for", "30m", "--note", "a life is at stake"]].concat();
        filter.tell(&bypass).unwrap();
        assert_eq!(reaches(LIMIT), Outcome::Connected, "{scope:?}");
        let of = if scope[0] == "--device" { &scope[1..] } else { scope };
        filter.tell(&[&["release"], of].concat()).unwrap();
        assert_eq!(reaches(ATTEMPT), Outcome::NoAnswer, "{scope:?}");
    }
    let endless = filter.ask(&["bypass", "--all", "--for", "30d", "--note", "x"]).unwrap();
    assert!(endless.errors.contains("at most `7d`"), "{}", endless.errors);
    let log = filter.tell(&["audit", "export"]).unwrap();
    assert!(log.contains("a life is at stake") && log.contains("odd beacons"), "{log}");
    filter.remove().unwrap();
}

#[test]
fn a_file_breaks_the_glass_for_who_has_a_console_alone() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let denied = Host::Denied.at(Version::V4, HTTPS);
    let _denied = Service::start(&hospital[Host::Denied], denied).unwrap();
    let filter = filter(&hospital, &agent());
    let state = filter.folder().join("state");
    assert_eq!(attempt(&hospital[Host::Pump], denied, ATTEMPT).unwrap(), Outcome::NoAnswer);
    fs::write(state.join("bypass"), "10m\n").unwrap();
    wait::until("the glass to break", LIMIT, || {
        Ok((attempt(&hospital[Host::Pump], denied, ATTEMPT)? == Outcome::Connected).then_some(()))
    })
    .unwrap();
    assert!(!state.join("bypass").exists(), "it is acted on once");
    let status = filter.json(&["status"]).unwrap();
    assert_eq!(status["exceptions"][0]["kind"], "bypass");
    assert_eq!(status["exceptions"][0]["scope"], "all");
    filter.tell(&["release", "--all"]).unwrap();
    assert_eq!(attempt(&hospital[Host::Pump], denied, ATTEMPT).unwrap(), Outcome::NoAnswer);
    filter.remove().unwrap();
}

/// What is on trial says where it would cut, and cuts nothing.
#[test]
fn a_plan_is_tried_on_what_passes_and_changes_nothing() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let filter = filter(&hospital, &agent());
    let (_service, session) = session(&hospital);
    let alike = filter.json(&["plan", "--live", "2s"]).unwrap();
    assert_eq!(alike["differences"], Value::Array(Vec::new()), "{alike}");
    assert!(alike["frames"].as_u64().unwrap() > 100, "{alike}");
    filter.write("policy.toml", cutting()).unwrap();
    let answer = filter.ask(&["plan", "--live", "2s", "--output", "json"]).unwrap();
    assert_eq!(answer.status.code(), Some(1), "{}", answer.errors);
    assert_runs(&session);
    let tried: Value = serde_json::from_str(&answer.output).unwrap();
    let cut = &tried["differences"][0];
    assert_eq!(cut["device"], "ct-1", "{tried}");
    assert_eq!((&cut["verdict"], &cut["reason"]), (&"pass".into(), &"established".into()), "{tried}");
    assert_eq!(
        (&cut["tried_verdict"], &cut["tried_reason"]),
        (&"drop".into(), &"not-allowed".into()),
        "{tried}"
    );
    assert_eq!(states(&filter), [state(1, "confirmed", true)]);
    let told = filter.ask(&["plan", "--live", "1s"]).unwrap();
    assert!(told.output.contains("is cut"), "{}", told.output);
    filter.remove().unwrap();
}

#[test]
fn what_is_blocked_while_a_change_is_pending_holds_in_both_behind_a_restart() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = filter(&hospital, &agent());
    let (_service, session) = session(&hospital);
    filter.tell(&["block", "add", "198.51.100.7"]).unwrap();
    assert_ne!(wider(), POLICY);
    filter.write("policy.toml", wider()).unwrap();
    filter.tell(&["apply", "--confirm-within", "10m"]).unwrap();
    filter.kill().unwrap();
    filter.start().unwrap();
    assert_eq!(states(&filter), [state(1, "confirmed", false), state(2, "pending", true)]);
    let pacs = Host::Pacs.at(Version::V4, DICOM).ip().to_string();
    filter.tell(&["block", "add", &pacs]).unwrap();
    assert_cut(&session);
    filter.tell(&["rollback"]).unwrap();
    assert_cut(&session);
    filter.tell(&["block", "remove", &pacs]).unwrap();
    assert_lives_again(&session);
    assert!(!filter.log().contains("hold something else"), "{}", filter.log());
    filter.remove().unwrap();
}
