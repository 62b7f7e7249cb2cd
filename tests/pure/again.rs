//! The short way beside the stages: it must never say anything else, whatever changes under it.

use iomt_filter_tests::differential::compare;
use iomt_filter_tests::generate::{Script, Step, conversations, script};
use iomt_filter_tests::judge::{Host, Judge, at_a_glance};
use iomt_filter_tests::random::Random;
use iomt_filter_tests::world::World;

const SCRIPTS: u64 = 600;

/// Random hospitals without management pairs, which keep much off the short way, whose segments come and go with
/// each generation while leases stay.
fn changing(seed: u64) -> Script {
    let mut script = if seed.is_multiple_of(2) { conversations(seed, 200) } else { script(seed, 120) };
    let mut random = Random::new(seed);
    let mut change = |world: &mut World| {
        world.management.clear();
        if random.chance(35) {
            let is_kept = random.chance(50);
            world.segments.retain(|net| net.addr().is_ipv6() == is_kept);
        }
    };
    change(&mut script.world);
    for step in &mut script.steps {
        if let Step::Load(world) = step {
            change(world);
        }
    }
    script
}

#[test]
fn the_short_way_says_what_the_stages_say() {
    let before = at_a_glance();
    let mut short = |world: &World| -> Box<dyn Judge> { Box::new(Host::of(world)) };
    let mut stages = |world: &World| -> Box<dyn Judge> { Box::new(Host::by_stages(world)) };
    compare(0..SCRIPTS, &changing, &mut short, &mut stages)
        .unwrap_or_else(|difference| panic!("{difference}"));
    assert!(at_a_glance() - before > 1_000);
}
