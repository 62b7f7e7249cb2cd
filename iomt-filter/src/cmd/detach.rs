//! `iomt-filter detach`: the one way to stop filtering.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;

use crate::config::Config;
use crate::datapath::{WriterToken, attach};
use crate::output;

/// Options of `detach`.
#[derive(Debug, Args)]
pub struct Options {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Takes the program off every interface and removes tables, flows and counters from the kernel.
///
/// # Errors
/// When an agent runs, nobody confirms, or the kernel refuses.
pub fn run(config: &Path, options: &Options) -> Result<ExitCode> {
    let config = Config::load(config).map_err(|found| anyhow!(crate::cmd::joined(&found)))?;
    let pins = &config.paths.pins;
    let interfaces = attach::attached_interfaces(pins);
    if interfaces.is_empty() && !pins.exists() {
        output::text("nothing is attached")?;
        return Ok(ExitCode::SUCCESS);
    }
    // Without a state folder there was never an agent to be in the way of.
    let token = match config.paths.state.exists() {
        true => WriterToken::take(&config.paths.state).and_then(|token| token.and_pins(pins)),
        false => WriterToken::of_pins(pins),
    };
    let _token = token.context("an agent would go on without its tables")?;
    if !options.yes && !confirmed(&interfaces)? {
        bail!("not confirmed, nothing was changed");
    }
    let detached =
        attach::detach(pins).with_context(|| format!("failed to remove the pins in `{}`", pins.display()))?;
    output::text(format!("filtering has ended on {}", named(&detached)))?;
    Ok(ExitCode::SUCCESS)
}

fn confirmed(interfaces: &[String]) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("this ends filtering on {}; say `--yes` where nobody can be asked", named(interfaces));
    }
    output::note(format!("this ends filtering on {}; type `yes` to go on:", named(interfaces)));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("failed to read the answer")?;
    Ok(answer.trim() == "yes")
}

fn named(interfaces: &[String]) -> String {
    if interfaces.is_empty() { "no interface".to_owned() } else { format!("`{}`", interfaces.join("`, `")) }
}
