//! The program in the kernel against the reference model, on random hospitals and frames.

use iomt_filter_tests::differential::compare;
use iomt_filter_tests::generate::{Script, conversations, script};
use iomt_filter_tests::judge::Judge;
use iomt_filter_tests::kernel::Kernel;
use iomt_filter_tests::oracle::{Flaw, Oracle};
use iomt_filter_tests::world::World;

const STEPS: usize = 60;
const TURNS: usize = 150;
/// Scripts of a run of the tests: `cargo xtask fuzz` does the rest.
const LOOSE: u64 = 400;
const TALKING: u64 = 200;

fn loose(seed: u64) -> Script {
    script(seed, STEPS)
}

fn talking(seed: u64) -> Script {
    conversations(seed, TURNS)
}

/// `IOMT_FILTER_SEED` runs one seed again, `IOMT_FILTER_CASES` more of them.
fn seeds(cases: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("IOMT_FILTER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("IOMT_FILTER_CASES").unwrap_or(cases),
    }
}

#[test]
fn the_kernel_agrees_with_the_reference_model() {
    let kernel = Kernel::load();
    let mut program = |world: &World| -> Box<dyn Judge> { Box::new(kernel.judge(world)) };
    let mut oracle = |world: &World| -> Box<dyn Judge> { Box::new(Oracle::of(world)) };
    let seen = compare(seeds(LOOSE), &loose, &mut program, &mut oracle)
        .unwrap_or_else(|difference| panic!("{difference}"));
    if seeds(LOOSE).count() as u64 >= LOOSE {
        assert!(seen.len() >= 28, "too few kinds of answers were seen: {seen:#?}");
    }
}

#[test]
fn the_kernel_agrees_with_the_reference_model_on_conversations() {
    let kernel = Kernel::load();
    let mut program = |world: &World| -> Box<dyn Judge> { Box::new(kernel.judge(world)) };
    let mut oracle = |world: &World| -> Box<dyn Judge> { Box::new(Oracle::of(world)) };
    let seen = compare(seeds(TALKING), &talking, &mut program, &mut oracle)
        .unwrap_or_else(|difference| panic!("{difference}"));
    if seeds(TALKING).count() as u64 >= TALKING {
        assert!(seen.len() >= 24, "too few kinds of answers were seen: {seen:#?}");
    }
}

#[test]
fn an_error_in_the_model_is_noticed() {
    let kernel = Kernel::load();
    let mut program = |world: &World| -> Box<dyn Judge> { Box::new(kernel.judge(world)) };
    for flaw in [Flaw::ListsAskedOneWay, Flaw::OldFlowIsGood, Flaw::SynAnswers] {
        let mut flawed = |world: &World| -> Box<dyn Judge> { Box::new(Oracle::flawed(world, flaw)) };
        assert!(compare(0..400, &loose, &mut program, &mut flawed).is_err(), "{flaw:?} went unnoticed");
    }
}
