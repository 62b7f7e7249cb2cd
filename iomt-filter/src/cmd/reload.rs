//! `iomt-filter reload`: policy, inventory, feeds and geo are read again, all or nothing.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::api::client;
use crate::api::messages::{Changed, ReloadRequest};
use crate::cli::{FINDING, Output};
use crate::cmd::apply::is_remote;
use crate::cmd::socket;
use crate::output;

/// Options of `reload`.
#[derive(Debug, Args)]
pub struct Options {
    /// Why, for the audit log
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
}

/// Asks the agent to read everything again.
///
/// # Errors
/// When no agent answers, or the caller may not change anything.
pub fn run(config: &Path, options: &Options, output: Output) -> Result<ExitCode> {
    let request = ReloadRequest { note: options.note.clone() };
    let answer = client::post::<Changed>(&socket(config)?, "/v1/reload", &request)?;
    match (answer, output) {
        (Ok(changed), Output::Json) => output::document(&changed)?,
        (Ok(changed), Output::Text) => {
            for warning in &changed.warnings {
                output::note(warning);
            }
            output::text(format!("generation {}, {} rows changed", changed.generation, changed.changed))?;
            if is_remote() {
                output::note("it holds at once; over a network `iomt-filter apply` goes back by itself");
            }
        }
        (Err(refused), Output::Json) => {
            output::document(&refused)?;
            return Ok(ExitCode::from(FINDING));
        }
        (Err(refused), Output::Text) => {
            refused.errors.iter().for_each(output::note);
            output::note("refused: what runs stays as it is");
            return Ok(ExitCode::from(FINDING));
        }
    }
    Ok(ExitCode::SUCCESS)
}
