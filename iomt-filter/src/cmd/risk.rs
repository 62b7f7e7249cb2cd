//! `iomt-filter risk`: what devices are exposed to by what they are made of, ranked, with rules that would do. Nothing
//! changes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;

use crate::agent::{self, Given};
use crate::api::client;
use crate::api::client::escaped;
use crate::api::messages::RiskQuery;
use crate::cli::Output;
use crate::cmd::{joined, listening};
use crate::config::{Config, parse_duration};
use crate::output;
use crate::risk::Risk;

/// Options of `risk`.
#[derive(Debug, Args)]
pub struct Options {
    /// Only of this device, or of those that a pattern matches, as `ct-*`
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Only of devices of this profile
    #[arg(long)]
    profile: Option<String>,
    /// List what is closed, and what is unlikely exploited, too
    #[arg(long)]
    all: bool,
    /// How far back what devices did counts, as `90d`; 30 days where nothing is said
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
    /// From this probability on something counts as likely exploited, in place of `epss_threshold` of `[risk]`
    #[arg(long, value_name = "PROBABILITY", value_parser = probability)]
    epss_threshold: Option<f64>,
    /// CISA's catalog of known exploited vulnerabilities (JSON or CSV), in place of `kev` of `[risk]`; no agent is asked
    #[arg(long, value_name = "FILE")]
    kev: Option<PathBuf>,
    /// FIRST's scores (CSV, packed or not), in place of `epss` of `[risk]`; no agent is asked
    #[arg(long, value_name = "FILE")]
    epss: Option<PathBuf>,
    /// Show what would change in the policy file, as `patch` takes it
    #[arg(long)]
    diff: bool,
    /// Ask no agent, answer from the files and the state folder
    #[arg(long)]
    offline: bool,
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "it is a probability between 0 and 1, as `0.1`".to_owned())
}

/// Says it.
///
/// # Errors
/// When files cannot be read, what is asked about is unknown, or the agent does not answer.
pub fn run(config: &Path, options: &Options, format: Output) -> Result<ExitCode> {
    let risk = ask(config, options)?;
    match format {
        Output::Json => output::document(&risk)?,
        Output::Text => {
            risk.warnings.iter().for_each(|warning| output::note(format!("warning: {warning}")));
            for source in risk.sources.iter().filter(|source| source.problem.is_some()) {
                output::note(format!("warning: {source}"));
            }
            if options.diff { output::text(&risk.diff)? } else { output::text(&risk)? }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(config: &Path, options: &Options) -> Result<Risk> {
    let seconds = options.since.as_deref().map(|since| {
        let span = parse_duration(since);
        span.map_err(|error| anyhow!("`--since {since}`: {error}; {}", error.help()))
    });
    let query = RiskQuery {
        device: options.device.clone(),
        profile: options.profile.clone(),
        seconds: seconds.transpose()?.map(|span| span.as_secs()),
        all: options.all,
        likely: options.epss_threshold,
    };
    // An agent reads the files of its configuration, and none that somebody names.
    let is_given = options.kev.is_some() || options.epss.is_some();
    let agent = if options.offline || is_given { None } else { listening(config) };
    if let Some(socket) = agent {
        return client::get(&socket, &format!("/v1/risk?{}", query_string(&query)));
    }
    let config = Config::load(config).map_err(|found| anyhow!(joined(&found)))?;
    let why = if options.offline || is_given { "no agent was asked" } else { "no agent answers" };
    output::note(format!("answered from the files and from `{}`, {why}", config.paths.state.display()));
    let given = Given { kev: options.kev.clone(), epss: options.epss.clone() };
    agent::risk_from_files(&config, &query, &given)
}

fn query_string(query: &RiskQuery) -> String {
    let RiskQuery { device, profile, seconds, all, likely } = query;
    let mut parts = vec![format!("all={all}")];
    for (name, text) in [("device", device), ("profile", profile)] {
        parts.extend(text.as_ref().map(|text| format!("{name}={}", escaped(text))));
    }
    parts.extend(seconds.map(|seconds| format!("seconds={seconds}")));
    parts.extend(likely.map(|likely| format!("likely={likely}")));
    parts.join("&")
}
