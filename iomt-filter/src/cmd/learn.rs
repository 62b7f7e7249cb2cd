//! `iomt-filter learn`: what devices did, as rules that can be read and put into the policy. Nothing changes.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};

use crate::agent;
use crate::api::client::{self, escaped};
use crate::api::messages::{LearnQuery, Learned};
use crate::baseline::Readiness;
use crate::cli::Output;
use crate::cmd::{joined, listening};
use crate::config::{Config, parse_duration};
use crate::output::Align::{Left, Right};
use crate::output::{self, Table};

mod mds2;
mod mud;
mod names;

/// What to say of what devices did.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Print the rules that would cover what devices did and no rule allows, ready for the policy
    Propose(Propose),
    /// How long each device was watched, what would have been dropped, what it never did before, and whether it can be
    /// enforced
    Status(Scope),
    /// What makers say that their devices need (MUD, RFC 8520), as rules, and rules as such a file
    Mud(MudArgs),
    /// What makers disclose of the ports of their devices (beside an MDS2), as rules
    Mds2(Mds2Args),
}

/// Tables of ports.
#[derive(Debug, Args)]
pub struct Mds2Args {
    /// What to do
    #[command(subcommand)]
    verb: mds2::Verb,
}

/// Usage descriptions.
#[derive(Debug, Args)]
pub struct MudArgs {
    /// What to do
    #[command(subcommand)]
    verb: mud::Verb,
}

/// Whose doings count.
#[derive(Debug, Args)]
pub struct Scope {
    /// Only of this device, or of those that a pattern matches, as `ct-*`
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Only of devices of this profile
    #[arg(long)]
    profile: Option<String>,
    /// How far back what they did counts, as `30d`; what has no rule keeps a device from being ready for 7d
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
    /// Ask no agent, answer from the files and the state folder
    #[arg(long)]
    offline: bool,
}

/// Options of `learn propose`.
#[derive(Debug, Args)]
pub struct Propose {
    #[command(flatten)]
    scope: Scope,
    /// Show what changes in the policy file, as `patch` takes it
    #[arg(long)]
    diff: bool,
}

/// Proposes, says how far devices are, or goes by what makers say.
///
/// # Errors
/// When files cannot be read, what is asked about is unknown, or the agent does not answer.
pub fn run(config: &Path, verb: &Verb, output: Output) -> Result<ExitCode> {
    match verb {
        Verb::Propose(options) => propose(config, options, output),
        Verb::Status(scope) => status(config, scope, output),
        Verb::Mud(mud) => mud::run(config, &mud.verb, output),
        Verb::Mds2(table) => mds2::run(config, &table.verb, output),
    }
}

fn propose(config: &Path, options: &Propose, format: Output) -> Result<ExitCode> {
    let learned: Learned = options.scope.ask(config, "/v1/learn", agent::propose_from_files)?;
    match format {
        Output::Json => output::document(&learned)?,
        Output::Text if options.diff => {
            learned.proposal.warnings.iter().for_each(output::note);
            output::text(&learned.diff)?;
        }
        Output::Text if learned.policy.is_empty() => output::text(&learned.proposal)?,
        Output::Text => output::text(format!("{}\n{}", learned.policy, learned.proposal))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn status(config: &Path, scope: &Scope, format: Output) -> Result<ExitCode> {
    let all: Vec<Readiness> = scope.ask(config, "/v1/learn/status", agent::readiness_from_files)?;
    match format {
        Output::Json => output::document(&all)?,
        Output::Text => {
            let mut table = Table::new([
                ("device", Left),
                ("profile", Left),
                ("mode", Left),
                ("days", Right),
                ("without rule", Right),
                ("would drop", Right),
                ("ready", Left),
                ("why", Left),
                ("last drift", Left),
            ]);
            all.iter().for_each(|one| table.row(row(one)));
            output::text(table)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(one: &Readiness) -> [String; 9] {
    let why = match one.examples.as_slice() {
        [] => one.why.clone(),
        examples => format!("{}: {}", one.why, examples.join(", ")),
    };
    [
        one.device.clone(),
        one.profile.clone(),
        one.mode.clone(),
        one.days_watched.to_string(),
        one.lacking.to_string(),
        one.would_drops.to_string(),
        if one.ready { "yes" } else { "no" }.to_owned(),
        why,
        one.last_drift.as_ref().map_or("-".to_owned(), |drift| format!("{} {}", drift.at, drift.note)),
    ]
}

impl Scope {
    fn query(&self) -> Result<LearnQuery> {
        let seconds = self.since.as_deref().map(|since| {
            let span = parse_duration(since);
            span.map_err(|error| anyhow!("`--since {since}`: {error}; {}", error.help()))
        });
        let seconds = seconds.transpose()?.map(|span| span.as_secs());
        Ok(LearnQuery { device: self.device.clone(), profile: self.profile.clone(), seconds })
    }

    /// Asks the agent, or answers from the files where none runs.
    fn ask<T: serde::de::DeserializeOwned>(
        &self,
        config: &Path,
        path: &str,
        from_files: impl Fn(&Config, &LearnQuery) -> Result<T>,
    ) -> Result<T> {
        let query = self.query()?;
        let agent = if self.offline { None } else { listening(config) };
        if let Some(socket) = agent {
            return client::get(&socket, &format!("{path}?{}", query_string(&query)));
        }
        let config = Config::load(config).map_err(|found| anyhow!(joined(&found)))?;
        let why = if self.offline { "no agent was asked" } else { "no agent answers" };
        output::note(format!("answered from the files and from `{}`, {why}", config.paths.state.display()));
        from_files(&config, &query)
    }
}

fn query_string(query: &LearnQuery) -> String {
    let LearnQuery { device, profile, seconds } = query;
    let named = [("device", device), ("profile", profile)].into_iter();
    let mut parts: Vec<String> =
        named.filter_map(|(name, text)| Some(format!("{name}={}", escaped(text.as_ref()?)))).collect();
    parts.extend(seconds.map(|seconds| format!("seconds={seconds}")));
    parts.join("&")
}
