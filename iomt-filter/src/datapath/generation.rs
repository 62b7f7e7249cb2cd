//! The words that are shared with the kernel: which generation is active, and when the agent was last alive.
//! And how a swap waits for readers.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
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
        std::thread::sleep(Duration::from_millis(100));
    }
}
