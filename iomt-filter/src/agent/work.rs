//! The work of every second, on a thread of its own: it needs no place among those who answer requests, so
//! that no number of requests keeps it from being done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::Agent;

const PACE: Duration = Duration::from_secs(1);

/// Works until the process ends.
///
/// # Errors
/// When there is no thread for it.
pub(super) fn start(agent: Arc<Agent>) -> std::io::Result<()> {
    let work = move || {
        loop {
            let begun = Instant::now();
            // What is begun anew a second later is no reason to leave everything else undone for good.
            if catch_unwind(AssertUnwindSafe(|| agent.tick())).is_err() {
                tracing::error!("the work of this second broke off; it is done again in the next");
            }
            thread::sleep(PACE.saturating_sub(begun.elapsed()));
        }
    };
    thread::Builder::new().name("work".into()).spawn(work).map(drop)
}
