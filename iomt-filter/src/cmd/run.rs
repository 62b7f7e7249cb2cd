//! `iomt-filter run`: the agent, in the foreground.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tracing_subscriber::EnvFilter;

use crate::agent::startup;

/// Options of `run`.
#[derive(Debug, Args)]
pub struct Options {
    /// What is logged to stderr, as `error`, `warn`, `info`, `debug` or a tracing filter
    #[arg(long, env = "IOMT_FILTER_LOG", default_value = "info")]
    log: String,
}

/// Runs the agent until SIGTERM or SIGINT; SIGHUP reloads.
///
/// # Errors
/// When the filter cannot be made to run.
pub fn run(config: &Path, options: &Options) -> Result<ExitCode> {
    let filter = EnvFilter::try_new(&options.log)?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .init();
    startup::run(config)
}
