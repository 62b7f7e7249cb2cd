//! A candidate beside what holds: the kernel judges the same packets by both, and counts where they differ.

use std::collections::BTreeMap;
use std::time::Duration;

use iomt_filter_common::trial::Difference;
use iomt_filter_common::{Reason, Verdict};
use serde_json::json;

use super::Errors;
use super::auditing::files;
use super::core::{Core, Refusal, chain, shown};
use super::running::Running;
use crate::api::messages::{DifferenceStatus, TrialStatus};
use crate::audit::{Author, Entry};
use crate::clock::boottime;
use crate::config::Config;
use crate::host::HostNetworks;
use crate::intent::{self, Intent, Overrides};
use crate::numbers::Numbers;
use crate::rows::Shared;

/// A trial costs every packet the long way, twice. Who asks for a day has a minute more to look.
const LONGEST: Duration = Duration::from_secs(86_400 + 60);

/// What could not be tried, and why: what the files say, or anything else.
enum Failed {
    Candidate(Errors),
    Else(Errors),
}

impl Core {
    /// Puts what the files say on trial. Nothing is kept of it, and nothing changes for any packet. What is wrong with
    /// the files is in the answer.
    pub(super) fn begin_trial(&mut self, lasts: Duration, by: &Author) -> Result<TrialStatus, Errors> {
        self.refuse_while_pending()?;
        if lasts.is_zero() || lasts > LONGEST {
            return Err(vec!["a trial lasts longer than 0 and at most `24h`".to_owned()]);
        }
        let taken_over = self.give_way_to(by)?;
        let host = HostNetworks::read()
            .map_err(|error| vec![format!("failed to read the host's addresses: {error}")])?;
        let tried = self.candidate(&host).and_then(|candidate| self.try_out(candidate, lasts, by));
        match tried {
            Ok(warnings) => {
                let warnings = taken_over.into_iter().chain(warnings).collect();
                Ok(TrialStatus { warnings, ..status(&self.running())? })
            }
            Err(Failed::Candidate(errors)) => Ok(TrialStatus { errors, ..TrialStatus::default() }),
            Err(Failed::Else(errors)) => Err(errors),
        }
    }

    /// Two trials at once would each show what the other has counted: somebody else's is let go on, one's own ends.
    fn give_way_to(&self, by: &Author) -> Result<Option<String>, Errors> {
        let Some(trial) = self.datapath.trial() else { return Ok(None) };
        let (number, left) =
            (trial.generation.number, Duration::from_nanos(trial.until.saturating_sub(boottime())));
        match &self.trying.by {
            Some(other) if other != by => Err(vec![format!(
                "`{}` tries something else for {} s more; ask them, or wait",
                other.name,
                left.as_secs()
            )]),
            _ => {
                Ok(Some(format!("the trial that you began before (generation {number}) ends with this one")))
            }
        }
    }

    fn candidate(&self, host: &HostNetworks) -> Result<Candidate, Failed> {
        let invalid = |found| Failed::Candidate(shown(found));
        let config = Config::load(&self.config.paths.config).map_err(invalid)?;
        let sources = intent::sources(&config, &Overrides::default()).map_err(invalid)?;
        let read = self.read_again(&config, &sources, host, &self.blocks.list(), false);
        let (intent, numbers) = read.map_err(Failed::Candidate)?;
        Ok(Candidate { files: files(&sources), intent, numbers })
    }

    /// What deserves a look in it.
    fn try_out(&mut self, candidate: Candidate, lasts: Duration, by: &Author) -> Result<Vec<String>, Failed> {
        let Candidate { files, intent, numbers } = candidate;
        // Differences go by number.
        self.keep_numbers(&numbers).map_err(|refusal| Failed::Else(refusal.into()))?;
        self.numbers = numbers.into();
        let entry =
            Entry { after: json!({ "seconds": lasts.as_secs(), "files": files }), ..Entry::by(by, "trial") };
        self.auditing.write([entry.clone()]).map_err(Failed::Else)?;
        let until = boottime().saturating_add(u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX));
        let begun = self.datapath.begin_trial(intent.rows.clone(), until, &self.token);
        begun.map_err(|error| match Refusal::from(error) {
            Refusal::NoRoom(error) => Failed::Candidate(self.auditing.failed(&entry, vec![error])),
            Refusal::Failed(errors) => Failed::Else(self.auditing.failed(&entry, errors)),
        })?;
        self.trying = Trying { by: Some(by.clone()), names: intent.rows.names.devices.clone() };
        Ok(intent.warnings.iter().map(ToString::to_string).collect())
    }

    /// Ends the trial, unless it is another one than who asks has begun.
    pub(super) fn end_trial(&mut self, begun: Option<u32>, by: &Author) -> Result<(), Errors> {
        let Some(trial) = self.datapath.trial() else { return Ok(()) };
        let number = trial.generation.number;
        if begun.is_some_and(|begun| begun != number) {
            return Err(vec![format!("another trial (generation {number}) has taken the place of this one")]);
        }
        let entry = Entry { before: json!({ "generation": number }), ..Entry::by(by, "trial end") };
        self.auditing.write([entry])?;
        self.datapath.end_trial(&self.token);
        Ok(())
    }
}

/// Who tries something, and the names of the devices in it.
#[derive(Default)]
pub(super) struct Trying {
    by: Option<Author>,
    pub(super) names: Shared<BTreeMap<u32, String>>,
}

/// What the files say.
struct Candidate {
    files: serde_json::Value,
    intent: Intent,
    numbers: Numbers,
}

/// How the trial goes, or went.
pub(super) fn status(running: &Running) -> Result<TrialStatus, Errors> {
    let readings = &running.readings;
    let until = readings.trial().map(|trial| trial.until);
    let left = until.map_or(0, |until| until.saturating_sub(boottime()));
    let counted = readings.differences().map_err(|error| vec![chain(&error)])?;
    let under =
        |key: Difference| counted.iter().find(|(found, _)| *found == key).map_or(0, |(_, frames)| *frames);
    let mut differences: Vec<_> = counted
        .iter()
        .filter(|(key, _)| ![Difference::default(), Difference::UNCOUNTED].contains(key))
        .map(|(key, frames)| shown_difference(running, key, *frames))
        .collect();
    differences.sort_by(|a, b| (b.frames, &a.device).cmp(&(a.frames, &b.device)));
    Ok(TrialStatus {
        running: until.is_some(),
        generation: readings.tried(),
        left_seconds: Duration::from_nanos(left).as_secs(),
        frames: under(Difference::default()),
        uncounted: under(Difference::UNCOUNTED),
        differences,
        ..TrialStatus::default()
    })
}

fn shown_difference(running: &Running, difference: &Difference, frames: u64) -> DifferenceStatus {
    let names = &running.intent.rows.names.devices;
    let device = names.get(&difference.device).or_else(|| running.tried_names.get(&difference.device));
    let verdict = |number: u8| {
        let found = Verdict::ALL.into_iter().find(|verdict| *verdict as u8 == number);
        found.map_or("pass", Verdict::name).to_owned()
    };
    let reason = |number| Reason::from_number(number).map_or("unknown", Reason::name).to_owned();
    DifferenceStatus {
        device: device.cloned(),
        verdict: verdict(difference.verdict),
        reason: reason(difference.reason),
        tried_verdict: verdict(difference.tried_verdict),
        tried_reason: reason(difference.tried_reason),
        frames,
    }
}
