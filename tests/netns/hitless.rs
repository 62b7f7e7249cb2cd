//! Whatever happens to the agent, no forbidden packet passes and no allowed one is lost: every packet is counted.
//!
//! `IOMT_FILTER_PROOF=few` does everything a few times, `full`, as `cargo xtask prove` says, often.

use std::fs;

use iomt_filter_tests::crossing::account::Account;
use iomt_filter_tests::crossing::files::{self, Files};
use iomt_filter_tests::crossing::lanes::{Cable, Fate};
use iomt_filter_tests::crossing::outcome::Outcome;
use iomt_filter_tests::crossing::traffic::Traffic;
use iomt_filter_tests::crossing::trouble::{Kill, Meanwhile, Patient, Trouble};
use iomt_filter_tests::crossing::{Crossing, PORTS};
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::random::Random;
use iomt_filter_tests::ward::frames::Wire;
use serde_json::json;

use crate::can_run;
use crate::hospital::agent;

/// What the proof is to show, in packets a second.
const PACE: u64 = 10_000;
/// Rounds that show what holds.
const ROUNDS: u32 = 50;

/// How often everything happens.
struct Times {
    kills: usize,
    upgrades: usize,
    swaps: usize,
    trials: usize,
    fall_backs: usize,
    others: usize,
    /// Packets a second at least: a machine that tests many things at once has little left for any of them.
    pace: u64,
}

const FEW: Times =
    Times { kills: 3, upgrades: 1, swaps: 12, trials: 1, fall_backs: 2, others: 1, pace: PACE / 10 };
const MANY: Times =
    Times { kills: 200, upgrades: 100, swaps: 1_000, trials: 10, fall_backs: 24, others: 10, pace: PACE };

impl Times {
    /// Everything that happens, one after the other and all kinds among each other.
    fn all(&self, random: &mut Random) -> Vec<Trouble> {
        let kills = [Kill::AtRest, Kill::Starting, Kill::Changing];
        let meanwhile = [Meanwhile::Killed, Meanwhile::Forgotten, Meanwhile::Restarted, Meanwhile::Nothing];
        let others = [Trouble::FullDisk, Trouble::LostState, Trouble::LostSocket];
        let mut all = Vec::new();
        all.extend((0..self.swaps / 4).flat_map(|_| [Trouble::Swap, Trouble::Swap, Trouble::Block]));
        all.extend((0..self.trials).map(|_| Trouble::Trial));
        all.extend(kills.into_iter().cycle().take(self.kills).map(Trouble::Kill));
        all.extend((0..self.upgrades).map(|_| Trouble::Upgrade));
        all.extend(meanwhile.into_iter().cycle().take(self.fall_backs).map(Trouble::FallBack));
        all.extend((0..self.others).flat_map(|_| others));
        (1..all.len()).rev().for_each(|last| all.swap(last, random.below(last + 1)));
        all
    }
}

/// Which order, of troubles and of what varies in them; `IOMT_FILTER_SEED` names another.
fn seed() -> u64 {
    const SEED: u64 = 6;
    std::env::var("IOMT_FILTER_SEED").map_or(SEED, |seed| seed.parse().unwrap())
}

/// Whether packets are to be counted: it wants a machine that has little else to do.
fn is_wanted() -> bool {
    match std::env::var("IOMT_FILTER_PROOF").as_deref() {
        Ok("full" | "few") => can_run(),
        Ok(other) => panic!("`IOMT_FILTER_PROOF` may be `few` or `full`, and is `{other}`"),
        Err(_) => {
            eprintln!("skipped: `cargo xtask prove` counts packets, or `IOMT_FILTER_PROOF=few`");
            false
        }
    }
}

fn times() -> Times {
    match std::env::var("IOMT_FILTER_PROOF").as_deref() {
        Ok("full") => MANY,
        _ => FEW,
    }
}

/// Ends the traffic, and compares what it has seen with what was counted since `before`.
fn outcome(crossing: &Crossing, traffic: Traffic, before: &Account) -> Outcome {
    let run = traffic.finish().unwrap();
    let account = Account::settled(crossing, before, run.tally.sent()).unwrap();
    Outcome::of(&run, crossing.lanes(), account)
}

/// A filter that runs, and traffic across it whose conversations are open.
fn begin<'c>(crossing: &'c Crossing) -> (Filter<'c>, Traffic, Account) {
    let mut filter = crossing.filter(&agent()).unwrap();
    filter.start().unwrap();
    let (traffic, before) = crossing.traffic().unwrap();
    (filter, traffic, before)
}

#[test]
fn nothing_leaks_and_nothing_is_lost_whatever_happens_to_the_agent() {
    if !is_wanted() {
        return;
    }
    let times = times();
    let crossing = Crossing::build(crate::PREFIX).unwrap();
    let (filter, traffic, before) = begin(&crossing);
    let mut random = Random::new(seed());
    let all = times.all(&mut random);
    let mut patient = Patient::new(&crossing, filter, traffic, random);
    for trouble in all {
        let begun = std::time::Instant::now();
        patient.suffer(trouble).unwrap();
        eprintln!("{trouble:?} {:?}", begun.elapsed());
    }
    let (filter, traffic) = patient.end();
    let outcome = outcome(&crossing, traffic, &before);
    eprintln!("{outcome}");
    assert!(outcome.is_clean(), "{outcome}");
    assert!(outcome.pace >= times.pace, "{outcome}");
    filter.remove().unwrap();
}

#[test]
fn one_packet_would_be_noticed() {
    if !is_wanted() {
        return;
    }
    let crossing = Crossing::build(crate::PREFIX).unwrap();
    let (filter, traffic, before) = begin(&crossing);
    let place = |fate: fn(&Fate) -> bool| crossing.lanes().iter().position(|lane| fate(&lane.fate)).unwrap();

    // One allowed packet that the filter drops, because its sender lies.
    traffic.go_on(ROUNDS).unwrap();
    let allowed = place(|fate| *fate == Fate::Arrives(Cable::Uplink));
    traffic.lie_once(allowed);
    // One forbidden packet behind the filter.
    let forbidden = place(|fate| matches!(fate, Fate::Ends(_)));
    let behind = Wire::open(crossing.host(), PORTS[2]).unwrap();
    assert!(behind.offer(&crossing.lanes()[forbidden].frame).unwrap());
    traffic.go_on(ROUNDS).unwrap();
    let shown = outcome(&crossing, traffic, &before);
    assert_eq!((shown.losses(), shown.leaks()), (1, 1), "{shown}");
    assert_eq!(shown.lost[0].lane, crossing.lanes()[allowed].name);
    assert_eq!(shown.leaked[0].lane, crossing.lanes()[forbidden].name);
    let says = |what: &str| shown.contradictions.iter().any(|said| said.starts_with(what));
    assert!(says("passed") && says("dropped as `spoofed`"), "{shown}");
    filter.remove().unwrap();
}

#[test]
fn an_interface_without_the_program_would_be_noticed_and_so_would_a_rule_that_comes_or_goes() {
    if !is_wanted() {
        return;
    }
    let crossing = Crossing::build(crate::PREFIX).unwrap();
    let (mut filter, traffic, before) = begin(&crossing);
    let is_of = |lane: &str, cable: Cable| {
        crossing.lanes().iter().any(|known| known.name == lane && known.from == cable)
    };

    // The program is off the uplink for a moment.
    filter.kill().unwrap();
    fs::remove_file(crossing.pins().join("links").join(PORTS[2])).unwrap();
    traffic.wait("a leak", || traffic.leaked() > 0).unwrap();
    filter.start().unwrap();
    let shown = outcome(&crossing, traffic, &before);
    assert!(shown.leaks() > 0 && shown.losses() == 0, "{shown}");
    assert!(shown.leaked.iter().all(|finding| is_of(&finding.lane, Cable::Uplink)), "{shown}");

    // A rule for what no rule should allow, for a moment.
    let more =
        files::POLICY.replace("\"5000/udp\", \"5003/udp\"", "\"5000/udp\", \"5003/udp\", \"9999/udp\"");
    let shown = with_policy_for_a_moment(&crossing, &filter, &more, |traffic| traffic.leaked() > 0);
    assert!(shown.leaks() > 0 && shown.losses() == 0, "{shown}");
    assert!(shown.leaked.iter().all(|finding| finding.lane.starts_with("no rule, from ct-1")), "{shown}");

    // None for what one should allow.
    let less =
        files::POLICY.replace("[\"104/tcp\", \"5001/udp\", \"5004/udp\"]", "[\"104/tcp\", \"5001/udp\"]");
    let shown = with_policy_for_a_moment(&crossing, &filter, &less, |traffic| traffic.overdue() > 0);
    assert!(shown.losses() > 0 && shown.leaks() == 0, "{shown}");
    assert!(shown.lost.iter().all(|finding| finding.lane.contains("ever new to port 5004")), "{shown}");
    filter.remove().unwrap();
}

/// Traffic under a policy that is there until it shows.
fn with_policy_for_a_moment(
    crossing: &Crossing,
    filter: &Filter<'_>,
    policy: &str,
    shows: impl Fn(&Traffic) -> bool,
) -> Outcome {
    assert_ne!(policy, files::POLICY);
    let (traffic, before) = crossing.traffic().unwrap();
    for (policy, lasts) in [(policy, true), (&Files::variation(0).policy, false)] {
        filter.write("policy.toml", policy).unwrap();
        let (status, answer) = filter.post("/v1/reload", &json!(null)).unwrap();
        assert_eq!(status, 200, "{answer}");
        if lasts {
            traffic.wait("what a policy does", || shows(&traffic)).unwrap();
        }
    }
    outcome(crossing, traffic, &before)
}
