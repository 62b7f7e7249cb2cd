//! `iomt-filter completions`: a script that completes the command line in a shell.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::output;

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Options {
    /// The shell to complete in
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// When stdout cannot be written to.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, name, &mut script);
    output::bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}
