//! Plans of random hospitals, beside the program in the kernel: what a plan foretells is what happens.

use iomt_filter_tests::judge::Judge;
use iomt_filter_tests::kernel::Kernel;
use iomt_filter_tests::plans::compare;
use iomt_filter_tests::world::World;

#[test]
fn a_plan_says_what_the_kernel_does() {
    let kernel = Kernel::load();
    let mut program = |world: &World| -> Box<dyn Judge> { Box::new(kernel.judge(world)) };
    let seen = compare(0..60, &mut program).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(seen.cuts.min(seen.opens) >= 20, "{seen:?}");
}
