//! `iomt-filter doctor`: whether this host is fit for the filter, before it is put on.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::cli::{FINDING, Output};
use crate::{doctor, output};

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct Options {
    /// The same as `--output json`
    #[arg(long)]
    json: bool,
}

/// Says what is well and what is not, with what mends it. A problem is a finding.
///
/// # Errors
/// When the kernel does not say what there is.
pub fn run(config: &Path, options: &Options, format: Output) -> Result<ExitCode> {
    let report = doctor::examine(config).context("failed to ask the kernel what there is")?;
    match format {
        Output::Text if !options.json => output::text(&report)?,
        Output::Json | Output::Text => output::document(&report)?,
    }
    Ok(if report.is_fit() { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}
