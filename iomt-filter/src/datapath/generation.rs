//! The words that are shared with the kernel: which generation is active, and when the agent was last alive.
//! And how a swap waits for readers.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use iomt_filter_common::abi::{Active, Change};

use super::shared::SharedWords;
use super::trial::Trial;
use crate::clock::boottime;

/// A generation that is active in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number, counted up from 1.
    pub number: u32,
    /// The slot of the tables that holds it.
    pub slot: u32,
}

impl Generation {
    /// As the kernel's word says; nothing before the first.
    pub(super) fn of(active: Active) -> Option<Self> {
        (active.generation() != 0).then(|| Self { number: active.generation(), slot: active.slot() })
    }

    /// As the kernel's word.
    pub(super) const fn word(self) -> Active {
        Active::new(self.number, self.slot)
    }
}

/// The words that say which generation judges.
#[derive(Debug)]
pub(super) struct Judging {
    active: SharedWords,
    change: SharedWords,
    /// Until every run of the program that had begun is over.
    wait: fn(),
}

impl Judging {
    const DEADLINE: usize = 0;
    const CONFIRMED: usize = 1;
    const TRIAL_UNTIL: usize = 2;
    const TRIAL: usize = 3;
    const LAST: usize = 4;

    /// Maps the arrays of [`Active`] and [`Change`] into this process.
    pub(super) fn map(active: impl AsFd, change: impl AsFd) -> io::Result<Self> {
        let words = size_of::<Change>() / size_of::<u64>();
        let (active, change) = (SharedWords::map(active, 1)?, SharedWords::map(change, words)?);
        Ok(Self { active, change, wait: wait_for_readers })
    }

    /// What is written.
    pub(super) fn active(&self) -> Active {
        Active(self.active.word(0).load(Ordering::Acquire))
    }

    /// What is pending, or on trial.
    pub(super) fn change(&self) -> Change {
        let word = |index| self.change.word(index).load(Ordering::Acquire);
        Change {
            deadline: word(Self::DEADLINE),
            confirmed: Active(word(Self::CONFIRMED)),
            trial_until: word(Self::TRIAL_UNTIL),
            trial: Active(word(Self::TRIAL)),
            last: word(Self::LAST),
        }
    }

    /// Swaps: behind all that was written before.
    pub(super) fn set_active(&self, active: Active) {
        self.active.word(0).store(active.0, Ordering::Release);
    }

    /// Has `candidate` judge until `deadline`, and `confirmed` from then on.
    pub(super) fn begin_change(&self, candidate: Active, confirmed: Active, deadline: u64) {
        self.set_deadline(deadline);
        self.set_confirmed(confirmed);
        self.behind_readers(|| candidate.pending());
    }

    /// Has `trial` judge beside what does until `until`.
    pub(super) fn begin_trial(&self, trial: Active, until: u64) {
        self.change.word(Self::TRIAL_UNTIL).store(until, Ordering::Release);
        self.change.word(Self::TRIAL).store(trial.0, Ordering::Release);
        self.behind_readers(|| self.active().beside_trial(true));
    }

    /// Writes the word that has the program read [`Change`] once every run that may not see what stands there is over.
    ///
    /// The program reads the two by plain loads, which some processors make in another order than they are written
    /// down: it might find the word of today beside a deadline of yesterday, and go by a generation whose slot holds
    /// something else by now. BPF has no loads that keep an order (before Linux 6.15), and a mark in `Change` would be
    /// one more word that is loaded in any order. But a run is a read-side section of RCU, of which the kernel promises
    /// that one that sees anything from behind a grace period sees everything from before it: with one in between, whoever
    /// reads the new word reads what belongs to it. Packets pay nothing for that.
    fn behind_readers(&self, active: impl FnOnce() -> Active) {
        (self.wait)();
        self.set_active(active());
    }

    /// What is on trial; nothing once its time is up.
    pub(super) fn trial(&self) -> Option<Trial> {
        // In this order: what the word refers to was written before it.
        let (active, change) = (self.active(), self.change());
        if !active.has_trial() || boottime() >= change.trial_until {
            return None;
        }
        Some(Trial { generation: Generation::of(change.trial)?, until: change.trial_until })
    }

    /// Notes which generation takes over at the deadline. What was noted before may be gone by for as long as a run
    /// lasts that has begun already: its slot is kept for as long.
    pub(super) fn set_confirmed(&self, confirmed: Active) {
        self.change.word(Self::CONFIRMED).store(confirmed.0, Ordering::Release);
    }

    /// Notes when it does, or what has become of the change.
    pub(super) fn set_deadline(&self, deadline: u64) {
        self.change.word(Self::DEADLINE).store(deadline, Ordering::Release);
    }

    /// A number that no generation had before, in this boot.
    pub(super) fn next_number(&self) -> u32 {
        let change = self.change();
        let last = [self.active().generation(), change.confirmed.generation(), change.trial.generation()];
        let last = last.into_iter().chain(u32::try_from(change.last)).max().unwrap_or(0);
        last.wrapping_add(1).max(1)
    }

    /// The same, which none will have after this.
    pub(super) fn take_number(&self) -> u32 {
        let number = self.next_number();
        self.change.word(Self::LAST).store(u64::from(number), Ordering::Release);
        number
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

#[cfg(test)]
mod tests {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::unistd::ftruncate;

    use super::*;

    fn judging(wait: fn()) -> Judging {
        let [active, change] = [c"active", c"change"].map(|name| {
            let memory = memfd_create(name, MFdFlags::empty()).unwrap();
            ftruncate(&memory, 1 << 12).unwrap();
            memory
        });
        Judging { wait, ..Judging::map(active, change).unwrap() }
    }

    #[test]
    fn the_program_is_told_to_look_once_nobody_can_find_what_stood_there_before() {
        let waits = judging(|| panic!("waited"));
        let (candidate, confirmed) = (Active::new(8, 2), Active::new(7, 0));
        let begun = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            waits.begin_change(candidate, confirmed, 100);
        }));
        assert!(begun.is_err(), "it waits");
        assert_eq!((waits.change().deadline, waits.change().confirmed), (100, confirmed));
        assert_eq!(waits.active(), Active::default(), "and writes the word after that");
        let begun =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waits.begin_trial(candidate, 9)));
        assert!(begun.is_err() && waits.change().trial == candidate);
        assert_eq!(waits.active(), Active::default());

        let judging = judging(|| ());
        judging.begin_change(candidate, confirmed, 100);
        assert_eq!(judging.active(), candidate.pending());
        judging.set_active(confirmed);
        judging.begin_trial(candidate, u64::MAX);
        let trial = judging.trial().unwrap();
        assert_eq!((trial.generation.number, trial.until), (8, u64::MAX));
        judging.begin_trial(candidate, 1);
        assert_eq!(judging.trial(), None, "its time is up");
    }
}
