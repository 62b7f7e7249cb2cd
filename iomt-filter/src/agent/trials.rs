//! A candidate beside what holds: the kernel judges the same packets by both, and counts where they differ.

use std::time::Duration;

use iomt_filter_common::trial::Difference;
use iomt_filter_common::{Reason, Verdict};

use super::Errors;
use super::core::{Core, chain, shown};
use crate::api::messages::{DifferenceStatus, TrialStatus};
use crate::clock::boottime;
use crate::config::Config;
use crate::host::HostNetworks;
use crate::intent::{self, Overrides};

/// A trial costs every packet the long way, twice.
const LONGEST: Duration = Duration::from_secs(86_400);

impl Core {
    /// Puts what the files say on trial. Nothing is kept of it, and nothing changes for any packet.
    pub(super) fn begin_trial(&mut self, lasts: Duration) -> Result<TrialStatus, Errors> {
        self.refuse_while_pending()?;
        if lasts.is_zero() || lasts > LONGEST {
            return Err(vec!["a trial lasts longer than 0 and at most `24h`".to_owned()]);
        }
        let config = Config::load(&self.config.paths.config).map_err(shown)?;
        let sources = intent::sources(&config, &Overrides::default()).map_err(shown)?;
        let host = HostNetworks::read()
            .map_err(|error| vec![format!("failed to read the host's addresses: {error}")])?;
        let (intent, numbers) = self.read_again(&config, &sources, &host, &self.blocks.list(), false)?;
        // Differences go by number.
        self.keep_numbers(&numbers).map_err(Errors::from)?;
        self.numbers = numbers.into();
        let until = boottime().saturating_add(u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX));
        self.datapath
            .begin_trial(intent.rows.clone(), until, &self.token)
            .map_err(|error| vec![chain(&error)])?;
        self.tried_names = intent.rows.names.devices.clone();
        let warnings = intent.warnings.iter().map(ToString::to_string).collect();
        Ok(TrialStatus { warnings, ..self.trial()? })
    }

    /// How the trial goes, or went.
    pub(super) fn trial(&self) -> Result<TrialStatus, Errors> {
        let until = self.datapath.trial().map(|trial| trial.until);
        let left = until.map_or(0, |until| until.saturating_sub(boottime()));
        let counted = self.datapath.differences().map_err(|error| vec![chain(&error)])?;
        let all = |(difference, _): &&(Difference, u64)| *difference == Difference::default();
        let frames = counted.iter().find(all).map_or(0, |(_, frames)| *frames);
        let mut differences: Vec<_> = counted
            .iter()
            .filter(|(difference, _)| *difference != Difference::default())
            .map(|(difference, frames)| self.difference(difference, *frames))
            .collect();
        differences.sort_by(|a, b| (b.frames, &a.device).cmp(&(a.frames, &b.device)));
        let left_seconds = Duration::from_nanos(left).as_secs();
        Ok(TrialStatus { running: until.is_some(), left_seconds, frames, differences, warnings: Vec::new() })
    }

    fn difference(&self, difference: &Difference, frames: u64) -> DifferenceStatus {
        let names = &self.intent.rows.names.devices;
        let device = names.get(&difference.device).or_else(|| self.tried_names.get(&difference.device));
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

    /// Ends the trial.
    pub(super) fn end_trial(&mut self) -> Result<TrialStatus, Errors> {
        let status = self.trial()?;
        self.datapath.end_trial(&self.token);
        Ok(TrialStatus { running: false, left_seconds: 0, ..status })
    }
}
