//! The named cases, told to the program in the kernel.

use iomt_filter_tests::cases::tell;
use iomt_filter_tests::judge::Judge;
use iomt_filter_tests::kernel::Kernel;
use iomt_filter_tests::world::World;

fn told(group: &str) {
    let kernel = Kernel::shared();
    tell(group, &mut |world: &World| -> Box<dyn Judge> { Box::new(kernel.judge(world)) });
}

iomt_filter_tests::every_group!(told);
