//! `iomt-filter plan`: what would change, and what devices do that it would cut. Nothing changes.
//!
//! A running agent plans beside what it has loaded; without one, the files of the configuration and what is kept in the
//! state folder have to do.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;

use super::sources::{SourceError, Sources};
use crate::agent;
use crate::api::client;
use crate::api::messages::{FileText, PlanRequest};
use crate::cli::{FINDING, Output};
use crate::cmd::listening;
use crate::config::parse_duration;
use crate::output;
use crate::plan::Plan;

mod live;

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    sources: Sources,
    /// How far back what devices did is looked at, as `30d` or `12h`
    #[arg(long, value_name = "DURATION", default_value = "30d")]
    since: String,
    /// Ask no agent, plan from the files and the state folder
    #[arg(long)]
    offline: bool,
    /// Have the kernel judge the packets of this time by what the files say too, as `10m`, and show where that differs
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["policy", "devices", "since", "offline"])]
    live: Option<String>,
}

/// Plans. That something would be cut, does not fit, or is invalid is a finding.
///
/// # Errors
/// When a file cannot be read, or the agent does not answer.
pub fn run(config: &Path, options: &Options, format: Output) -> Result<ExitCode> {
    if let Some(lasts) = &options.live {
        return live::run(config, lasts, format);
    }
    let span = parse_duration(&options.since)
        .map_err(|error| anyhow!("`--since {}`: {error}; {}", options.since, error.help()))?;
    let agent = if options.offline { None } else { listening(config) };
    let plan = match &agent {
        Some(socket) => {
            output::note(format!("answered by the agent on `{}`", socket.display()));
            of_agent(socket, &options.sources, span)?
        }
        None => from_files(config, options, span)?,
    };
    match format {
        Output::Json => output::document(&plan)?,
        Output::Text => {
            plan.errors.iter().chain(&plan.warnings).for_each(output::note);
            output::text(&plan)?;
        }
    }
    Ok(if plan.is_finding() { ExitCode::from(FINDING) } else { ExitCode::SUCCESS })
}

/// What is given is read here: who asks need not be allowed to have the agent read any file.
fn of_agent(socket: &Path, sources: &Sources, span: Duration) -> Result<Plan> {
    let texts = sources.texts()?;
    if texts.iter().all(Option::is_none) {
        return client::get(socket, &format!("/v1/plan?seconds={}", span.as_secs()));
    }
    let [policy, devices] = texts
        .map(|file| file.map(|file| FileText { name: file.name().to_owned(), text: file.text().to_owned() }));
    let request = PlanRequest { policy, devices, seconds: Some(span.as_secs()) };
    let answer = client::post(socket, "/v1/plan", &request)?;
    answer.map_err(|refused| anyhow!(refused.errors.join("; ")))
}

fn from_files(config: &Path, options: &Options, span: Duration) -> Result<Plan> {
    let config = match options.sources.config(config) {
        Ok(config) => config,
        Err(SourceError::Invalid(found)) => return Ok(Plan::invalid(found)),
        Err(error) => return Err(error.into()),
    };
    let why = if options.offline { "no agent was asked" } else { "no agent answers" };
    let state = config.paths.state.display();
    output::note(format!("planned from the files and from what is kept in `{state}`, {why}"));
    agent::from_files(&config, &options.sources.overrides(), agent::since(Some(span)))
        .with_context(|| format!("failed to plan from what is kept in `{state}`"))
}
