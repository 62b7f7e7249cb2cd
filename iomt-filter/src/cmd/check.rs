//! `iomt-filter check`: validates configuration, policy, inventory, feeds and geo, and touches nothing.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::sources::{SourceError, Sources};
use crate::cli::{FINDING, Output};
use crate::diagnostic::Diagnostic;
use crate::intent::Intent;
use crate::output;

/// Options of `check`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    sources: Sources,
}

/// What a check found.
#[derive(Debug, Serialize)]
struct Report {
    valid: bool,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    counts: Option<Counts>,
}

/// What would be loaded.
#[derive(Debug, Serialize)]
struct Counts {
    devices: usize,
    profiles: usize,
    rules: usize,
    feeds: usize,
    entries: usize,
    countries: usize,
}

/// Validates, and says what would be loaded. An invalid file is a finding.
///
/// # Errors
/// When a file cannot be read.
pub fn run(config: &Path, options: &Options, format: Output) -> Result<ExitCode> {
    let report = match options.sources.read(config) {
        Ok(intent) => Report::of(intent),
        Err(SourceError::Invalid(found)) => Report::invalid(found),
        Err(error) => return Err(error.into()),
    };
    match format {
        Output::Json => output::document(&report)?,
        Output::Text => {
            report.errors.iter().chain(&report.warnings).for_each(output::note);
            output::text(report.summary())?;
        }
    }
    Ok(if report.valid { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

impl Report {
    fn of(intent: Intent) -> Self {
        let counts = Counts {
            devices: intent.devices,
            profiles: intent.rows.profiles.len(),
            rules: intent.rules,
            feeds: intent.feeds.len().saturating_sub(1), // the last are the blocks by hand
            entries: intent.rows.listings.len(),
            countries: intent.rows.countries.len(),
        };
        Self { valid: true, errors: Vec::new(), warnings: intent.warnings, counts: Some(counts) }
    }

    fn invalid(found: Vec<Diagnostic>) -> Self {
        let (errors, warnings) = found.into_iter().partition(Diagnostic::is_error);
        Self { valid: false, errors, warnings, counts: None }
    }

    fn summary(&self) -> String {
        let warnings = number(self.warnings.len(), "warning");
        match &self.counts {
            None => format!("invalid: {}, {warnings}", number(self.errors.len(), "error")),
            Some(counts) => format!(
                "valid: {}, {}, {}, {} with {}; {warnings}",
                number(counts.devices, "device"),
                number(counts.profiles, "profile"),
                number(counts.rules, "rule"),
                number(counts.feeds, "feed"),
                if counts.entries == 1 {
                    "1 entry".to_owned()
                } else {
                    format!("{} entries", counts.entries)
                },
            ),
        }
    }
}

fn number(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}
