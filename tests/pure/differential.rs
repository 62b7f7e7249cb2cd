//! The filter against the reference model, on random hospitals and frames.

use iomt_filter_tests::differential::{Seen, compare};
use iomt_filter_tests::generate::{Script, conversations, script};
use iomt_filter_tests::judge::{Host, Judge, at_a_glance};
use iomt_filter_tests::oracle::{Flaw, Oracle};
use iomt_filter_tests::world::World;

const STEPS: usize = 60;
const TURNS: usize = 150;
const USUAL: u64 = 1_200;
const USUAL_TALKING: u64 = 1_800;

fn host(world: &World) -> Box<dyn Judge> {
    Box::new(Host::of(world))
}

fn oracle(world: &World) -> Box<dyn Judge> {
    Box::new(Oracle::of(world))
}

fn loose(seed: u64) -> Script {
    script(seed, STEPS)
}

fn talking(seed: u64) -> Script {
    conversations(seed, TURNS)
}

/// `IOMT_FILTER_SEED` runs one seed again, `IOMT_FILTER_CASES` more of them than the `usual` ones.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("IOMT_FILTER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("IOMT_FILTER_CASES").unwrap_or(usual),
    }
}

#[test]
fn the_filter_agrees_with_the_reference_model() {
    let seeds = seeds(USUAL);
    let seen = compare(seeds.clone(), &loose, &mut host, &mut oracle)
        .unwrap_or_else(|difference| panic!("{difference}"));
    if seeds.count() >= USUAL as usize {
        assert_covers_everything(&seen);
    }
}

#[test]
fn the_filter_agrees_with_the_reference_model_on_conversations() {
    let before = at_a_glance();
    let seeds = seeds(USUAL_TALKING);
    let seen = compare(seeds.clone(), &talking, &mut host, &mut oracle)
        .unwrap_or_else(|difference| panic!("{difference}"));
    if seeds.count() >= USUAL_TALKING as usize {
        let short = at_a_glance() - before;
        assert!(short > 10_000, "{short} frames were judged at a glance");
        let times = |answer: &str| seen.get(answer).copied().unwrap_or(0);
        let all: usize = seen.values().sum();
        let deep = times("established pass") + times("allowed pass") + times("related pass");
        assert!(deep * 5 > all * 2, "{deep} of {all} frames belong to a conversation that may be: {seen:#?}");
    }
}

fn assert_covers_everything(seen: &Seen) {
    let wanted = [
        "allowed pass",
        "established pass",
        "related pass",
        "link pass",
        "no-device pass",
        "management pass",
        "learned pass",
        "not-allowed drop",
        "not-allowed would-drop",
        "blocklist drop",
        "geo drop",
        "unknown-device drop",
        "unknown-device would-drop",
        "unknown-device pass",
        "spoofed drop",
        "spoofed would-drop",
        "quarantine drop",
        "malformed drop",
        "malformed pass",
        "unsupported drop",
        "unsupported pass",
        "fragment drop",
        "fragment pass",
        "not-ip drop",
        "not-ip pass",
        "no-flow drop",
        "no-flow would-drop",
        "rogue-dhcp drop",
        "rogue-ra drop",
        "rate-limit drop",
        "not-allowed reset",
    ];
    for answer in wanted {
        let times = seen.get(answer).copied().unwrap_or(0);
        assert!(times >= 20, "`{answer}` was seen {times} times: {seen:#?}");
    }
}

#[test]
fn an_error_in_the_model_is_noticed() {
    let flaws = [
        Flaw::LearnSoftensBlocklist,
        Flaw::ListsAskedOneWay,
        Flaw::NothingIsProtected,
        Flaw::PrivateHasCountry,
        Flaw::UnknownCountryAllowed,
        Flaw::OutermostTagCounts,
        Flaw::AnyMacWillDo,
        Flaw::OldFlowIsGone,
        Flaw::OldFlowIsGood,
        Flaw::SynAnswers,
        Flaw::FlowsNeverEnd,
        Flaw::ReceiverNotAsked,
        Flaw::ManagementOneWay,
        Flaw::FlowsSurviveQuarantine,
        Flaw::RogueRouterPasses,
    ];
    assert_noticed(&flaws, 1_500, &loose);
}

#[test]
fn an_error_in_the_model_shows_in_conversations() {
    let flaws = [
        Flaw::OnlyFirstFragmentHolds,
        Flaw::RestsPass,
        Flaw::SpansWithoutEnd,
        Flaw::NobodyAnswersGroups,
        Flaw::DhcpStaysUnicast,
        Flaw::AnyTransactionWillDo,
        Flaw::LeasesNeverEnd,
        Flaw::NothingIsReset,
        Flaw::FragmentsAreReset,
        Flaw::BucketsHoldTwice,
        Flaw::FlowsWithoutEnd,
        Flaw::OpenAsksLists,
        Flaw::GrantsNeverEnd,
        Flaw::ResetsAreFinal,
        Flaw::OpenFlowsAreGood,
        Flaw::FlowsAreInherited,
    ];
    assert_noticed(&flaws, 3_000, &talking);
}

fn assert_noticed(flaws: &[Flaw], scripts: u64, write: &dyn Fn(u64) -> Script) {
    for flaw in flaws {
        let mut flawed = |world: &World| -> Box<dyn Judge> { Box::new(Oracle::flawed(world, *flaw)) };
        assert!(compare(0..scripts, write, &mut host, &mut flawed).is_err(), "{flaw:?} went unnoticed");
    }
}
