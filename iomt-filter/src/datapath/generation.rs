//! The words that are shared with the kernel: which generation is active, and when the agent was last alive.
//! And how a swap waits for readers.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use iomt_filter_common::abi::Active;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::unistd::{SysconfVar, sysconf};

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
pub(super) struct ActiveWord(SharedWord);

impl ActiveWord {
    /// Maps the array `map`, which holds one word, into this process.
    pub(super) fn map(map: impl AsFd) -> io::Result<Self> {
        SharedWord::map(map).map(Self)
    }

    pub(super) fn load(&self) -> Option<Generation> {
        let active = Active(self.0.word().load(Ordering::Acquire));
        (active.generation() != 0).then(|| Generation { number: active.generation(), slot: active.slot() })
    }

    pub(super) fn store(&self, generation: Generation) {
        self.0.word().store(Active::new(generation.number, generation.slot).0, Ordering::Release);
    }
}

/// The word of the heartbeat: no policy, so no right to write tables is asked for.
#[derive(Debug)]
pub struct Heartbeat(SharedWord);

impl Heartbeat {
    pub(super) fn map(map: impl AsFd) -> io::Result<Self> {
        SharedWord::map(map).map(Self)
    }

    /// Says that the agent lives at `now`, in nanoseconds of `CLOCK_BOOTTIME`.
    pub fn beat(&self, now: u64) {
        self.0.word().store(now, Ordering::Relaxed);
    }

    /// When it was last said; 0 for never.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.0.word().load(Ordering::Relaxed)
    }
}

/// A word itself, shared with the kernel.
#[derive(Debug)]
struct SharedWord {
    page: NonNull<AtomicU64>,
    length: usize,
}

// SAFETY: the page is shared memory that is only ever read and written as one atomic word.
unsafe impl Send for SharedWord {}
// SAFETY: as above.
unsafe impl Sync for SharedWord {}

impl SharedWord {
    fn map(map: impl AsFd) -> io::Result<Self> {
        let page =
            sysconf(SysconfVar::PAGE_SIZE)?.and_then(|size| usize::try_from(size).ok()).unwrap_or(4096);
        let length = NonZeroUsize::new(page).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping, at an address of the kernel's choice, of a map made for it.
        let page = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Self { page: page.cast(), length: length.get() })
    }

    fn word(&self) -> &AtomicU64 {
        // SAFETY: the mapping holds at least one page, is aligned to it, and lives as long as `self`.
        unsafe { self.page.as_ref() }
    }
}

impl Drop for SharedWord {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made, unmapped once; what fails here ends with the process.
        let _ = unsafe { munmap(self.page.cast(), self.length) };
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
