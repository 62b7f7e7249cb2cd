//! What must hold of the filter's answers alone, and that a judge who breaks it is noticed.

use iomt_filter_common::device::Port;
use iomt_filter_common::{Reason, Verdict};
use iomt_filter_tests::differential::Maker;
use iomt_filter_tests::generate::{Script, conversations, script};
use iomt_filter_tests::invariants::{Invariant, check, holds};
use iomt_filter_tests::judge::{Host, Judge, Observed};
use iomt_filter_tests::oracle::{Flaw, Oracle};
use iomt_filter_tests::world::World;

const STEPS: usize = 60;
const TURNS: usize = 150;

fn host(world: &World) -> Box<dyn Judge> {
    Box::new(Host::of(world))
}

fn write(seed: u64) -> Script {
    if seed.is_multiple_of(5) { script(seed, STEPS) } else { conversations(seed, TURNS) }
}

/// `IOMT_FILTER_SEED` runs one seed again, `IOMT_FILTER_CASES` more of them.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("IOMT_FILTER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("IOMT_FILTER_CASES").unwrap_or(1_000),
    }
}

fn assert_holds(invariant: Invariant) {
    for seed in seeds() {
        check(seed, &write(seed), &[invariant], &mut host).unwrap_or_else(|breach| panic!("{breach}"));
    }
}

#[test]
fn nothing_reaches_an_enforced_device_unasked() {
    assert_holds(Invariant::NothingUnasked);
}

#[test]
fn an_enforced_device_sends_nothing_that_is_not_allowed() {
    assert_holds(Invariant::NothingUnallowed);
}

#[test]
fn who_lies_changes_nothing_for_others() {
    assert_holds(Invariant::LiarsChangeNothing);
}

#[test]
fn a_dropped_frame_changes_nothing_for_others() {
    assert_holds(Invariant::DropsChangeNothing);
}

/// Scripts of which an invariant does not hold.
fn breaches(invariant: Invariant, maker: &mut dyn Maker) -> usize {
    (0..200).filter(|seed| !holds(&write(*seed), invariant, maker)).count()
}

#[test]
fn a_judge_that_lets_too_much_through_is_noticed() {
    for (invariant, flaws) in [
        (
            Invariant::NothingUnasked,
            &[Flaw::ReceiverNotAsked, Flaw::FlowsSurviveQuarantine, Flaw::SynAnswers],
        ),
        (Invariant::NothingUnallowed, &[Flaw::AnyMacWillDo, Flaw::FlowsSurviveQuarantine, Flaw::SynAnswers]),
    ] {
        let mut sound = |world: &World| -> Box<dyn Judge> { Box::new(Oracle::of(world)) };
        let without = breaches(invariant, &mut sound);
        for flaw in flaws {
            let mut flawed = |world: &World| -> Box<dyn Judge> { Box::new(Oracle::flawed(world, *flaw)) };
            let with = breaches(invariant, &mut flawed);
            assert!(with > without, "{flaw:?} went unnoticed: {with} breaches, {without} without it");
        }
    }
}

/// The filter, but it drops whatever comes behind a frame that was dropped for this reason.
struct Grudge {
    host: Host,
    reason: Reason,
    is_angry: bool,
}

impl Judge for Grudge {
    fn load(&mut self, world: &World) {
        self.host.load(world);
    }

    fn beat(&mut self, now: u64) {
        self.host.beat(now);
    }

    fn judge(&mut self, frame: &[u8], port: Port, now: u64) -> Observed {
        let mut observed = self.host.judge(frame, port, now);
        if self.is_angry {
            (observed.verdict, observed.reason) = (Verdict::Drop, Reason::NotAllowed);
        }
        self.is_angry = observed.verdict == Verdict::Drop && observed.reason == self.reason;
        observed
    }
}

#[test]
fn a_judge_that_holds_a_grudge_is_noticed() {
    for (invariant, reason) in [
        (Invariant::LiarsChangeNothing, Reason::Spoofed),
        (Invariant::LiarsChangeNothing, Reason::UnknownDevice),
        (Invariant::DropsChangeNothing, Reason::Blocklist),
    ] {
        let mut grudge = |world: &World| -> Box<dyn Judge> {
            Box::new(Grudge { host: Host::of(world), reason, is_angry: false })
        };
        let (without, with) = (breaches(invariant, &mut host), breaches(invariant, &mut grudge));
        assert!(with > without, "{invariant:?}, {reason:?}: {with} breaches, {without} without it");
    }
}
