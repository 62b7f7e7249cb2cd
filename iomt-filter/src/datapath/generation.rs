//! The words that are shared with the kernel: which generation is active, and when the agent was last alive.
//! And how a swap waits for readers.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use iomt_filter_common::abi::Active;

use super::shared::SharedWords;

/// A generation that is active in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number, counted up from 1.
    pub number: u32,
    /// The slot of the tables that holds it.
    pub slot: u32,
}

/// The word of the active generation.
#[derive(Debug)]
pub(super) struct ActiveWord(SharedWords);

impl ActiveWord {
    /// Maps the array `map`, which holds one word, into this process.
    pub(super) fn map(map: impl AsFd) -> io::Result<Self> {
        SharedWords::map(map, 1).map(Self)
    }

    pub(super) fn load(&self) -> Option<Generation> {
        let active = Active(self.0.word(0).load(Ordering::Acquire));
        (active.generation() != 0).then(|| Generation { number: active.generation(), slot: active.slot() })
    }

    pub(super) fn store(&self, generation: Generation) {
        self.0.word(0).store(Active::new(generation.number, generation.slot).0, Ordering::Release);
    }
}

/// The word of the heartbeat: no policy, so no right to write tables is asked for.
#[derive(Debug)]
pub struct Heartbeat(SharedWords);

impl Heartbeat {
    pub(super) fn map(map: impl AsFd) -> io::Result<Self> {
        SharedWords::map(map, 1).map(Self)
    }

    /// Says that the agent lives at `now`, in nanoseconds of `CLOCK_BOOTTIME`.
    pub fn beat(&self, now: u64) {
        self.0.word(0).store(now, Ordering::Relaxed);
    }

    /// When it was last said; 0 for never.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.0.word(0).load(Ordering::Relaxed)
    }
}

/// Waits until every program run that began before has ended, so that nobody reads the idle slot.
///
/// XDP programs run inside an RCU read-side section, and `MEMBARRIER_CMD_GLOBAL` waits for a grace
/// period (`kernel/sched/membarrier.c`). Where the kernel refuses (`nohz_full`), a time that is long
/// against any program run stands in.
pub(super) fn wait_for_readers() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: the call takes no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result != 0 {
        thread::sleep(Duration::from_millis(100));
    }
}

/// The time that readers of the slot before have after a swap. It passes by itself, so that a change waits only where
/// it follows another one at once.
#[derive(Debug)]
pub(super) enum Grace {
    /// Over.
    Over,
    /// Passing.
    Passing(JoinHandle<()>),
    /// Still to be waited for.
    Owed,
}

impl Grace {
    /// None, or one that is owed to readers of tables that were taken over.
    pub(super) const fn new(is_owed: bool) -> Self {
        if is_owed { Self::Owed } else { Self::Over }
    }

    /// Lets it pass, from a swap that is done.
    pub(super) fn begin(&mut self) {
        let waiting = thread::Builder::new().name("grace".to_owned()).spawn(wait_for_readers);
        // Without a thread it is waited for before the next change.
        *self = waiting.map_or(Self::Owed, Self::Passing);
    }

    /// Waits until it is over.
    pub(super) fn wait(&mut self) {
        let is_over = match std::mem::replace(self, Self::Over) {
            Self::Over => true,
            Self::Passing(waiting) => waiting.join().is_ok(),
            Self::Owed => false,
        };
        if !is_over {
            wait_for_readers();
        }
    }
}
