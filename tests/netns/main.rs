//! Real traffic through network namespaces. Needs root; says so where it has to skip.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod namespaces;
mod hospital;
mod explain;
mod lifecycle;
mod ward;
mod grants;
mod agent_loss;
mod kept_leases;
mod flow_limit;
mod readme;

use iomt_filter_tests::netns::available;

/// False, and said so, where the machine has no namespaces for us.
fn can_run() -> bool {
    match available() {
        Ok(()) => true,
        Err(missing) => {
            eprintln!("skipped: no network namespaces here: {missing:?}");
            false
        }
    }
}
