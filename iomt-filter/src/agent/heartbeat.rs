//! Tells the kernel program that the agent lives, twice a second, and the service manager as often as that asks for.
//!
//! Signs of life come in from what the agent has to do: its loop turns, and the work of every second is
//! done. While both are fresh, a thread of its own writes the time; it waits for no lock. So a long reload
//! does not end the heartbeat, and an agent that is stuck does not go on saying that all is well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::service;
use crate::clock::boottime;
use crate::datapath::Heartbeat;
use crate::privileges;

const PACE: Duration = Duration::from_millis(500);
const SECOND: u64 = 1_000_000_000;
/// The loop turns every second; on a busy host it may be late.
const TURN: u64 = 15 * SECOND;
/// A start or a reload, with millions of list entries, takes less.
const WORK: u64 = 180 * SECOND;

/// When the agent was last seen at work, in nanoseconds since boot.
#[derive(Debug)]
pub(crate) struct Signs {
    /// 0 until the loop turns for the first time.
    turned: AtomicU64,
    worked: AtomicU64,
}

impl Signs {
    /// Those of an agent that begins its start.
    pub(super) fn new() -> Self {
        Self { turned: AtomicU64::new(0), worked: AtomicU64::new(boottime()) }
    }

    /// The loop turns.
    pub(super) fn turn(&self) {
        self.turned.store(boottime(), Ordering::Relaxed);
    }

    /// What is to be done every second is done.
    pub(super) fn work(&self) {
        self.worked.store(boottime(), Ordering::Relaxed);
    }

    fn are_fresh(&self, now: u64) -> bool {
        let turned = self.turned.load(Ordering::Relaxed);
        let worked = self.worked.load(Ordering::Relaxed);
        (turned == 0 || now.saturating_sub(turned) <= TURN) && now.saturating_sub(worked) <= WORK
    }
}

/// When the service manager is told.
#[derive(Debug)]
struct Watchdog {
    /// From one time to the next, in nanoseconds; nothing where nobody watches.
    every: Option<u64>,
    last: u64,
}

impl Watchdog {
    /// A manager waits for so long. Three times in it, so that one that comes late on a busy host is no reason to start
    /// the agent anew.
    fn new(patience: Option<Duration>) -> Self {
        let every = patience.map(|patience| u64::try_from(patience.as_nanos() / 3).unwrap_or(u64::MAX));
        Self { every, last: 0 }
    }

    /// Whether it is to be told at `now`, and notes that it was.
    fn is_due(&mut self, now: u64) -> bool {
        let is_due = self.every.is_some_and(|every| self.last == 0 || now.saturating_sub(self.last) >= every);
        if is_due {
            self.last = now;
        }
        is_due
    }
}

/// Beats until the process ends.
///
/// # Errors
/// When there is no thread for it.
pub(super) fn start(heartbeat: Arc<Heartbeat>, signs: Arc<Signs>) -> std::io::Result<()> {
    let patience = service::watchdog();
    let pace = patience.map_or(PACE, |patience| PACE.min(patience / 6));
    let beat = move || {
        privileges::give_up_here();
        let (mut was_fresh, mut watchdog) = (true, Watchdog::new(patience));
        loop {
            let now = boottime();
            let is_fresh = signs.are_fresh(now);
            if is_fresh {
                heartbeat.beat(now);
            }
            if is_fresh && watchdog.is_due(now) {
                service::alive();
            }
            if was_fresh && !is_fresh {
                tracing::error!("the agent is stuck: its heartbeat stops until it goes on");
            }
            was_fresh = is_fresh;
            thread::sleep(pace);
        }
    };
    // The first beat is there before any packet is judged by a new table.
    thread::Builder::new().name("heartbeat".into()).spawn(beat).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stuck_loop_and_stuck_work_end_the_heartbeat() {
        let signs = Signs { turned: AtomicU64::new(0), worked: AtomicU64::new(SECOND) };
        assert!(signs.are_fresh(SECOND + WORK), "a start may take its time");
        assert!(!signs.are_fresh(SECOND + WORK + 1), "and no more than that");
        signs.turned.store(100 * SECOND, Ordering::Relaxed);
        signs.worked.store(90 * SECOND, Ordering::Relaxed);
        assert!(signs.are_fresh(100 * SECOND + TURN), "a reload holds up the work, not the loop");
        assert!(!signs.are_fresh(100 * SECOND + TURN + 1));
        signs.turn();
        signs.work();
        assert!(signs.are_fresh(boottime()));
    }

    #[test]
    fn a_service_manager_is_told_three_times_in_its_patience_and_nobody_where_there_is_none() {
        let mut watchdog = Watchdog::new(Some(Duration::from_secs(30)));
        let told: Vec<u64> = (1..=60).filter(|second| watchdog.is_due(second * SECOND)).collect();
        assert_eq!(told, [1, 11, 21, 31, 41, 51]);
        let mut nobody = Watchdog::new(None);
        assert!((1..=60).all(|second| !nobody.is_due(second * SECOND)));
    }
}
