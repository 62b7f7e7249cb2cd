//! Changes that have to be confirmed: what holds until when is written into the kernel, and the program keeps to it
//! whether or not this process lives.

use std::path::Path;

use aya::maps::{Array, Map, MapData};
use iomt_filter_common::abi::{Active, Change, SLOTS, map};

use super::apply::ApplyError;
use super::generation::Generation;
use super::load::{Datapath, LoadOptions};
use super::lock::WriterToken;
use super::pins::maps_folder;
use crate::clock::boottime;
use crate::rows::Rows;

/// In place of a deadline, where no change is pending any more: the last one was confirmed.
const CONFIRMED: u64 = u64::MAX;
/// The same: it was taken back, by somebody or by its deadline.
const TAKEN_BACK: u64 = 0;

/// A change that is to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The generation that judges until the deadline.
    pub candidate: Generation,
    /// The one that judges from then on.
    pub confirmed: Generation,
    /// In nanoseconds of `CLOCK_BOOTTIME`.
    pub deadline: u64,
}

impl Datapath {
    /// The generation that the kernel judges with now; `None` before the first.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        let active = self.judging.active();
        Generation::of(self.judging.change().judging(active, boottime()))
    }

    /// The number that the next generation will have.
    #[must_use]
    pub fn next_number(&self) -> u32 {
        self.judging.next_number()
    }

    /// The change that is to be confirmed; none any more once its deadline has passed.
    #[must_use]
    pub fn pending(&self) -> Option<Pending> {
        let (active, change) = (self.judging.active(), self.judging.change());
        if !active.is_pending() || boottime() >= change.deadline {
            return None;
        }
        let [candidate, confirmed] = [active, change.confirmed].map(Generation::of);
        Some(Pending { candidate: candidate?, confirmed: confirmed?, deadline: change.deadline })
    }

    /// Whether the deadline of a change has passed and the program judges by what was confirmed before. Nothing is
    /// pending any more behind this; it is said once.
    pub fn take_fall_back(&mut self, _token: &WriterToken) -> Option<Generation> {
        let (active, change) = (self.judging.active(), self.judging.change());
        if !active.is_pending() || boottime() < change.deadline {
            return None;
        }
        self.judging.set_active(change.confirmed);
        self.judging.set_deadline(TAKEN_BACK);
        self.grace.begin();
        Generation::of(change.confirmed)
    }

    /// Whether the last change that was to be confirmed was, as far as the tables say that are pinned below `pins`; not
    /// so where there are none, as after a reboot.
    #[must_use]
    pub fn was_confirmed_at(pins: &Path) -> bool {
        let options = LoadOptions { pins: Some(pins.to_owned()), ..LoadOptions::default() };
        if !Self::can_adopt(&options) {
            return false;
        }
        let map = |name| Map::from_map_data(MapData::from_pin(maps_folder(pins).join(name)).ok()?).ok();
        let words = || {
            let active: Array<_, Active> = map(map::ACTIVE)?.try_into().ok()?;
            let change: Array<_, Change> = map(map::CHANGE)?.try_into().ok()?;
            Some((active.get(&0, 0).ok()?, change.get(&0, 0).ok()?))
        };
        words().is_some_and(|(active, change)| !active.is_pending() && change.deadline == CONFIRMED)
    }

    /// Makes `rows` what the kernel judges with for so many nanoseconds from the moment at which they begin to. The
    /// program itself then goes back to what judges now, unless the change is confirmed before.
    ///
    /// # Errors
    /// As [`apply`](Self::apply). Before the first generation there is nothing to go back to, and the change holds.
    pub fn apply_until(
        &mut self,
        rows: Rows,
        lasts: u64,
        token: &WriterToken,
    ) -> Result<Generation, ApplyError> {
        self.take_fall_back(token);
        if self.pending().is_some() {
            return Err(ApplyError::Pending);
        }
        // What was on trial is most often this.
        self.end_trial(token);
        let Some(confirmed) = self.generation() else { return self.apply(rows, token) };
        let generation = self.write(rows).map_err(|(_, error)| error)?;
        let deadline = || boottime().saturating_add(lasts).min(CONFIRMED - 1);
        self.judging.begin_change(generation.word(), confirmed.word(), deadline());
        // What it took to begin is not taken from whoever is to confirm.
        self.judging.set_deadline(deadline());
        self.grace.begin();
        Ok(generation)
    }

    /// While a change is pending: makes `candidate` what judges until the deadline, and `confirmed` what judges from
    /// then on, so that what both have in common, such as a block by hand, holds at once and stays. Nothing where no
    /// change is pending, or any more.
    ///
    /// # Errors
    /// [`ApplyError::Busy`] where the two need tables of their own and others come on top; nothing is changed then.
    /// Where `confirmed` alone fails, that is told, and what was confirmed before stays.
    pub fn apply_both(
        &mut self,
        candidate: Rows,
        confirmed: Rows,
        _token: &WriterToken,
    ) -> Result<Option<Generation>, ApplyError> {
        if self.pending().is_none() {
            return Ok(None);
        }
        let generation = self.write(candidate).map_err(|(_, error)| error)?;
        self.judging.set_active(generation.word().pending());
        self.grace.begin();
        match self.write(confirmed) {
            Ok(confirmed) => {
                self.judging.set_confirmed(confirmed.word());
                self.grace.begin();
            }
            Err((_, error)) => tracing::error!(%error, "what is fallen back to stays as it was"),
        }
        Ok(Some(generation))
    }

    /// Makes the change that is pending hold for good; nothing where none is, or its deadline has passed.
    pub fn confirm(&mut self, _token: &WriterToken) -> Option<Generation> {
        let pending = self.pending()?;
        self.judging.set_active(pending.candidate.word());
        self.judging.set_deadline(CONFIRMED);
        self.grace.begin();
        Some(pending.candidate)
    }

    /// Goes back from a change that is pending to what judged before; nothing where none is.
    pub fn fall_back(&mut self, _token: &WriterToken) -> Option<Generation> {
        let pending = self.pending()?;
        self.judging.set_active(pending.confirmed.word());
        self.judging.set_deadline(TAKEN_BACK);
        self.grace.begin();
        Some(pending.confirmed)
    }

    /// Has every flow judged anew, by what judges already and would at a deadline: for what lies outside of generations.
    pub fn judge_anew(&mut self, _token: &WriterToken) {
        let active = self.judging.active();
        let renewed = |of: Active| {
            Generation::of(of)
                .map(|of| Generation { number: self.judging.take_number(), slot: of.slot }.word())
        };
        let confirmed = if active.is_pending() { renewed(self.judging.change().confirmed) } else { None };
        let Some(generation) = renewed(active) else { return };
        match confirmed {
            // The flag stays behind the deadline too: who looks after changes has not seen yet that it has passed.
            Some(confirmed) => {
                self.judging.set_confirmed(confirmed);
                self.judging.set_active(generation.pending());
            }
            None => self.judging.set_active(generation.beside_trial(active.has_trial())),
        }
    }

    /// Slots that packets are judged by, or may be at any moment. What has a deadline counts for as long as the word says
    /// so: a processor learns a tick later than this process that a time is up.
    pub(super) fn slots_in_use(&self) -> Vec<u32> {
        let (active, change) = (self.judging.active(), self.judging.change());
        let confirmed = active.is_pending().then_some(change.confirmed);
        let trial = active.has_trial().then_some(change.trial);
        let words = [Some(active), confirmed, trial].into_iter().flatten();
        words.filter_map(Generation::of).map(|generation| generation.slot).collect()
    }

    /// A slot that none is judged by.
    pub(super) fn idle_slot(&self) -> u32 {
        let in_use = self.slots_in_use();
        (0..SLOTS).find(|slot| !in_use.contains(slot)).unwrap_or(SLOTS - 1)
    }
}

const _: () = assert!(SLOTS == 3, "a change, what was confirmed before it, and what is written next");

#[cfg(test)]
mod tests {
    use iomt_filter_common::abi::{Active, Change};

    #[test]
    fn a_pending_word_gives_way_at_its_deadline() {
        let (candidate, confirmed) = (Active::new(8, 2).pending(), Active::new(7, 0));
        let change = Change { deadline: 100, confirmed, ..Change::default() };
        assert_eq!(change.judging(candidate, 99), candidate);
        assert_eq!(change.judging(candidate, 100), confirmed);
        assert_eq!(change.judging(Active::new(9, 1), 100), Active::new(9, 1));
        assert_eq!((candidate.generation(), candidate.slot()), (8, 2));
    }
}
