//! The filter against the reference model, on random hospitals and frames.

use iomt_filter_tests::differential::{Seen, compare};
use iomt_filter_tests::judge::{Host, Judge};
use iomt_filter_tests::oracle::{Flaw, Oracle};
use iomt_filter_tests::world::World;

const STEPS: usize = 60;

fn host(world: &World) -> Box<dyn Judge> {
    Box::new(Host::of(world))
}

fn oracle(world: &World) -> Box<dyn Judge> {
    Box::new(Oracle::of(world))
}

/// `IOMT_FILTER_SEED` runs one seed again, `IOMT_FILTER_CASES` more of them.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("IOMT_FILTER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("IOMT_FILTER_CASES").unwrap_or(1_000),
    }
}

#[test]
fn the_filter_agrees_with_the_reference_model() {
    let seen =
        compare(seeds(), STEPS, &mut host, &mut oracle).unwrap_or_else(|difference| panic!("{difference}"));
    if seeds().count() >= 1_000 {
        assert_covers_everything(&seen);
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
    for flaw in flaws {
        let mut flawed = |world: &World| -> Box<dyn Judge> { Box::new(Oracle::flawed(world, flaw)) };
        assert!(compare(0..1_500, STEPS, &mut host, &mut flawed).is_err(), "{flaw:?} went unnoticed");
    }
}
