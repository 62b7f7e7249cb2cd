//! Generations on trial: begun and ended by who may write, and read by anybody beside that.

use aya::maps::{MapError, PerCpuValues};
use aya::util::nr_cpus;
use iomt_filter_common::abi::map;
use iomt_filter_common::trial::Difference;

use super::apply::ApplyError;
use super::generation::Generation;
use super::load::Datapath;
use super::lock::WriterToken;
use super::readings::Readings;
use crate::rows::Rows;

/// A generation that is judged by beside the active one, and that nothing follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Which.
    pub generation: Generation,
    /// Until when, in nanoseconds of `CLOCK_BOOTTIME`.
    pub until: u64,
}

impl Datapath {
    /// Has packets judged by `rows` too until `until` (nanoseconds of `CLOCK_BOOTTIME`), and counts where those would
    /// have another answer. Nothing else follows from them.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn begin_trial(&mut self, rows: Rows, until: u64, token: &WriterToken) -> Result<Trial, ApplyError> {
        self.take_fall_back(token);
        if self.pending().is_some() {
            return Err(ApplyError::Pending);
        }
        self.end_trial(token);
        let generation = self.write(rows).map_err(|(_, error)| error)?;
        self.forget_differences()?;
        self.judging.begin_trial(generation.word(), until);
        Ok(Trial { generation, until })
    }

    /// What is on trial; nothing once its time is up.
    #[must_use]
    pub fn trial(&self) -> Option<Trial> {
        self.judging.trial()
    }

    /// Ends a trial. What was counted stays until the next.
    pub fn end_trial(&mut self, _token: &WriterToken) {
        let active = self.judging.active();
        if active.has_trial() {
            self.judging.set_active(active.beside_trial(false));
            self.grace.begin();
        }
    }

    /// Begins to count anew. What is counted in any case has its rows from the beginning, so that they find room.
    fn forget_differences(&mut self) -> Result<(), ApplyError> {
        let failed = |error| ApplyError::Write { table: map::DIFFERENCES, error };
        let known: Vec<_> = self.maps.differences.keys().collect::<Result<_, _>>().map_err(failed)?;
        for key in &known {
            match self.maps.differences.remove(key) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let processors = nr_cpus().map_err(|(_, error)| failed(error.into()))?;
        for key in [Difference::default(), Difference::UNCOUNTED] {
            let none = PerCpuValues::try_from(vec![0; processors]).map_err(|error| failed(error.into()))?;
            self.maps.differences.insert(key, none, 0).map_err(failed)?;
        }
        Ok(())
    }
}

impl Readings {
    /// What is on trial; nothing once its time is up.
    #[must_use]
    pub fn trial(&self) -> Option<Trial> {
        self.judging.trial()
    }

    /// The number of the generation that is on trial, or was last.
    #[must_use]
    pub fn tried(&self) -> Option<u32> {
        Generation::of(self.judging.change().trial).map(|generation| generation.number)
    }

    /// Where what was or is on trial would have had another answer, and for how many frames; under
    /// [`Difference::default`] stands how many both have judged, under [`Difference::UNCOUNTED`] of how many of them it
    /// is not known where they differ.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn differences(&self) -> Result<Vec<(Difference, u64)>, MapError> {
        let of_all = |row: Result<(Difference, PerCpuValues<u64>), MapError>| {
            row.map(|(difference, frames)| (difference, frames.iter().sum()))
        };
        self.differences.iter().map(of_all).collect()
    }
}
