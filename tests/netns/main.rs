//! Real traffic through network namespaces. Needs root; says so where it has to skip.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod namespaces;
mod hospital;
mod explain;
mod lifecycle;
mod hotplug;
mod tampering;
mod ward;
mod grants;
mod import;
mod poisoned;
mod bundles;
mod agent_loss;
mod busy;
mod changes;
mod writers;
mod aftermath;
mod kept_leases;
mod contacts;
mod damage;
mod learn;
mod drift;
mod risk;
mod events;
mod plan;
mod flow_limit;
mod doctor;
mod service;
mod metrics;
mod top;
mod access;
mod hitless;
mod package;
mod readme;

use std::sync::Once;

use iomt_filter_tests::hospital::Hospital;
use iomt_filter_tests::netns::available;

/// What the names of these tests' namespaces begin with.
const PREFIX: &str = "iomt-test";

/// False, and said so, where the machine has no namespaces for us. What a killed run has left goes first.
fn can_run() -> bool {
    static SWEPT: Once = Once::new();
    match available() {
        Ok(()) => {
            SWEPT.call_once(|| Hospital::sweep(PREFIX));
            true
        }
        Err(missing) => {
            eprintln!("skipped: no network namespaces here: {missing:?}");
            false
        }
    }
}
