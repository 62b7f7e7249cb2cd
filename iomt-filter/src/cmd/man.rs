//! `iomt-filter man`: manual pages of the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;

use crate::cli::Cli;
use crate::nearest::did_you_mean;
use crate::output;

/// Options of `man`.
#[derive(Debug, Args)]
pub struct Options {
    /// The command, as `block add`; the whole program where nothing is said
    command: Vec<String>,
    /// Write the pages of all commands into this folder, as a package installs them
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    folder: Option<PathBuf>,
}

/// Prints a page in roff, which `man -l -` shows.
///
/// # Errors
/// When there is no such command, or the pages cannot be written.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut program = Cli::command();
    if let Some(folder) = &options.folder {
        clap_mangen::generate_to(program, folder)
            .with_context(|| format!("failed to write manual pages to `{}`", folder.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    // Every command then knows its whole name.
    program.build();
    let mut page = Vec::new();
    Man::new(named(program, &options.command)?).render(&mut page)?;
    output::bytes(&page)?;
    Ok(ExitCode::SUCCESS)
}

fn named(mut command: Command, names: &[String]) -> Result<Command> {
    for name in names {
        let Some(found) = command.find_subcommand(name) else {
            let known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            bail!("`{}` has no command `{name}`; {}", command.get_name(), did_you_mean(name, known));
        };
        command = found.clone();
    }
    Ok(command)
}
