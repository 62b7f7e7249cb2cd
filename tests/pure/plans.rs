//! Plans of random hospitals, beside the reference model.

use iomt_filter_tests::judge::Judge;
use iomt_filter_tests::oracle::{Flaw, Oracle};
use iomt_filter_tests::plans::compare;
use iomt_filter_tests::world::World;

/// `IOMT_FILTER_SEED` runs one seed again, `IOMT_FILTER_CASES` more of them.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("IOMT_FILTER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("IOMT_FILTER_CASES").unwrap_or(600),
    }
}

#[test]
fn a_plan_says_what_the_reference_model_says() {
    let mut oracle = |world: &World| -> Box<dyn Judge> { Box::new(Oracle::of(world)) };
    let seen = compare(seeds(), &mut oracle).unwrap_or_else(|difference| panic!("{difference}"));
    if seeds().count() >= 600 {
        let rarest = seen.cuts.min(seen.opens).min(seen.reported);
        assert!(rarest >= 100 && seen.talks > 5_000, "{seen:?}");
    }
}

#[test]
fn an_error_in_the_model_is_noticed() {
    for flaw in
        [Flaw::NothingIsProtected, Flaw::ReceiverNotAsked, Flaw::AnyMacWillDo, Flaw::PrivateHasCountry]
    {
        let mut flawed = |world: &World| -> Box<dyn Judge> { Box::new(Oracle::flawed(world, flaw)) };
        assert!(compare(0..2_000, &mut flawed).is_err(), "{flaw:?} went unnoticed");
    }
}
