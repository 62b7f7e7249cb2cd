//! `iomt-filter detach`: the one way to stop filtering.

use std::fs;
use std::io::{BufRead as _, ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::audit::{self, Audit, Author, Entry};
use crate::config::Config;
use crate::datapath::{WriterToken, attach};
use crate::output;

/// Options of `detach`.
#[derive(Debug, Args)]
pub struct Options {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// The pin folder, where the configuration cannot be read
    #[arg(long, value_name = "DIR")]
    pins: Option<PathBuf>,
    /// Take the program off this interface alone; the tables stay
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// Only say where filtering would end, and end with 1 where it would
    #[arg(long, conflicts_with_all = ["yes", "interface"])]
    dry_run: bool,
    /// Why, for the audit log
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
}

/// Takes the program off every interface and removes tables, flows and counters from the kernel.
///
/// # Errors
/// When an agent runs, nobody confirms, or the kernel refuses.
pub fn run(config: &Path, options: &Options) -> Result<ExitCode> {
    // This is the emergency exit: a mistake elsewhere in the configuration does not shut it.
    let (config, found) = Config::load_what_can_be_read(config);
    if options.pins.is_none() {
        found.iter().for_each(output::note);
    }
    let pins = options.pins.as_ref().unwrap_or(&config.paths.pins);
    let interfaces = attach::attached_interfaces(pins);
    if options.dry_run {
        return would_detach(pins, &interfaces);
    }
    if let Some(interface) = &options.interface {
        return detach_one(pins, interface, &interfaces, &config, options);
    }
    if interfaces.is_empty() && !pins.exists() {
        output::text(format!("nothing is attached by pins in `{}`", pins.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    // Without a state folder there was never an agent to be in the way of.
    let token = match options.pins.is_none() && config.paths.state.exists() {
        true => WriterToken::take(&config.paths.state).and_then(|token| token.and_pins(pins)),
        false => WriterToken::of_pins(pins),
    };
    let _token = token.context("an agent would go on without its tables")?;
    if !options.yes && !confirmed(&interfaces)? {
        bail!("not confirmed, nothing was changed");
    }
    noted(&config, options, &interfaces);
    let detached =
        attach::detach(pins).with_context(|| format!("failed to remove the pins in `{}`", pins.display()))?;
    output::text(format!("filtering has ended on {}", named(&detached)))?;
    Ok(ExitCode::SUCCESS)
}

/// For scripts that must not end filtering by the way: those of a package that is removed.
fn would_detach(pins: &Path, interfaces: &[String]) -> Result<ExitCode> {
    // Whoever may not look must not hear that there is nothing.
    match fs::read_dir(pins) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("failed to look into `{}`", pins.display()));
        }
        _ => {}
    }
    if interfaces.is_empty() {
        output::text(format!("nothing is attached by pins in `{}`", pins.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::text(format!("filtering would end on {}", named(interfaces)))?;
    Ok(ExitCode::from(1))
}

/// Beside a running agent too, as long as that does not attach to the interface again.
fn detach_one(
    pins: &Path,
    interface: &str,
    attached: &[String],
    config: &Config,
    options: &Options,
) -> Result<ExitCode> {
    if !attached.iter().any(|name| name == interface) {
        bail!("`{interface}` has no link in `{}`; those that have: {}", pins.display(), named(attached));
    }
    let is_configured = config
        .interfaces
        .device
        .iter()
        .chain(&config.interfaces.uplink)
        .any(|place| place.interface == interface);
    let _token = match WriterToken::of_pins(pins) {
        Err(error) if is_configured => {
            return Err(error).context("the agent would attach to the interface again");
        }
        token => token,
    };
    if !options.yes && !confirmed(&[interface.to_owned()])? {
        bail!("not confirmed, nothing was changed");
    }
    noted(config, options, &[interface.to_owned()]);
    attach::detach_interface(pins, interface)
        .with_context(|| format!("failed to remove the pin of `{interface}`"))?;
    output::text(format!("filtering has ended on `{interface}`"))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes down in the audit log that filtering ends. This is the emergency exit: a log that cannot be written does not
/// shut it.
fn noted(config: &Config, options: &Options, interfaces: &[String]) {
    let state = &config.paths.state;
    if options.pins.is_some() || !state.exists() {
        return;
    }
    let entry = Entry {
        about: options.interface.clone(),
        before: json!({ "interfaces": interfaces }),
        note: options.note.clone(),
        ..Entry::by(&Author::of_this_process(), "detach")
    };
    let now = Timestamp::now();
    let written = Audit::open(&state.join(audit::FILE), now).and_then(|mut audit| audit.append(entry, now));
    if let Err(error) = written {
        output::note(format!("warning: this is not in the audit log: {:#}", anyhow::Error::new(error)));
    }
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
