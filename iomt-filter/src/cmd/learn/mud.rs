//! `iomt-filter learn mud`: makers' usage descriptions (RFC 8520) as rules of the policy, and a profile as such a file.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::{Args, Subcommand, value_parser};
use jiff::Timestamp;

use super::{Scope, names};
use crate::agent;
use crate::api::messages::Learned;
use crate::cli::{FINDING, Output};
use crate::cmd::{joined, site};
use crate::config::Config;
use crate::diagnostic::SourceFile;
use crate::mud::{self, Exporting, Ground, LARGEST};
use crate::nearest::did_you_mean;
use crate::output;
use crate::policy::{Policy, is_name, source};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Print what a MUD file allows as a profile for the policy, and what of it no rule can say
    Import(Import),
    /// Print a profile as a MUD file
    Export(Export),
}

/// Options of `learn mud import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The MUD file
    file: PathBuf,
    /// The name of the profile; left out: that of the model
    #[arg(long)]
    profile: Option<String>,
    /// Who stands behind controllers, makers, models and local networks here
    #[arg(long, value_name = "FILE")]
    bindings: Option<PathBuf>,
    /// Pass over source ports and types of ICMP, which rules cannot say: such rules allow more than the file
    #[arg(long)]
    widen: bool,
    /// Ask no name server: take the addresses that were kept
    #[arg(long)]
    offline: bool,
}

/// Options of `learn mud export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The profile
    profile: String,
    /// The URL that the file will be found under
    #[arg(long)]
    url: String,
    /// With the rules that `learn propose` has for it
    #[arg(long)]
    learned: bool,
    /// How far back what devices did counts, as `30d`
    #[arg(long, value_name = "DURATION", requires = "learned")]
    since: Option<String>,
    /// Ask no agent, answer from the files and the state folder
    #[arg(long, requires = "learned")]
    offline: bool,
    /// Write who stands behind the file's controllers and models into this new file
    #[arg(long, value_name = "FILE")]
    bindings: Option<PathBuf>,
    /// What the device is, for people
    #[arg(long, value_name = "TEXT")]
    systeminfo: Option<String>,
    /// How many hours the file is good for
    #[arg(long, value_name = "HOURS", default_value_t = 48, value_parser = value_parser!(u8).range(1..=168))]
    cache_validity: u8,
    /// Say that the maker does not support the device any more
    #[arg(long)]
    unsupported: bool,
}

/// Imports or exports.
pub(super) fn run(config: &Path, verb: &Verb, output: Output) -> Result<ExitCode> {
    match verb {
        Verb::Import(options) => import(config, options, output),
        Verb::Export(options) => export(config, options, output),
    }
}

fn import(config: &Path, options: &Import, format: Output) -> Result<ExitCode> {
    let bytes = site::read(&options.file, LARGEST)?;
    let mud = mud::read(&bytes).with_context(|| format!("failed to import `{}`", options.file.display()))?;
    let bindings = site::bindings(options.bindings.as_deref())?;
    let config = site::configured(config)?;
    let vocabulary = site::vocabulary(config.as_ref());
    let profile = options.profile.clone().unwrap_or_else(|| mud.profile_name());
    ensure!(is_name(&profile), "`{profile}` is no name for a profile: use letters, digits, `-`, `_` and `.`");
    let state = config.as_ref().map(|config| config.paths.state.as_path());
    let answers = names::resolve(&mud.names(), state, options.offline);
    let ground = Ground {
        bindings: &bindings,
        answers: &answers,
        vocabulary: &vocabulary,
        profile: &profile,
        widen: options.widen,
    };
    let imported = mud::import(&mud, &ground);
    match format {
        Output::Json => output::document(&imported)?,
        Output::Text => output::text(format!("{}\n{imported}", imported.policy))?,
    }
    Ok(if imported.left_out.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

fn export(config: &Path, options: &Export, format: Output) -> Result<ExitCode> {
    let loaded = Config::load(config).map_err(|found| anyhow!(joined(&found)))?;
    let file = site::source_file(&loaded.paths.policy)?;
    let (policy, _) = Policy::parse(&file).map_err(site::said)?;
    let known = policy.profiles.iter().map(|profile| profile.name.as_str());
    if policy.profile(&options.profile).is_none() {
        bail!("the policy has no profile `{}`; {}", options.profile, did_you_mean(&options.profile, known));
    }
    let learned = if options.learned { learned(config, options)? } else { String::new() };
    // Nothing is proposed where nothing is lacking.
    let file = if learned.is_empty() { file } else { SourceFile::new("the proposal", learned) };
    let (source, found) = source::parse(&file);
    let profile = source.profiles.iter().find(|profile| profile.name.value == options.profile);
    let profile = profile.ok_or_else(|| site::said(found))?;
    let systeminfo = format!("devices of the profile {}", options.profile);
    let exported = mud::export(&Exporting {
        profile,
        vocabulary: &policy.vocabulary,
        url: &options.url,
        systeminfo: options.systeminfo.as_deref().unwrap_or(&systeminfo),
        last_update: Timestamp::now(),
        cache_validity: options.cache_validity,
        is_supported: !options.unsupported,
    })?;
    if let Some(breach) = mud::validate(&exported.mud).first() {
        bail!("what came of it is no valid MUD file, which is a mistake of this program: {breach}");
    }
    match &options.bindings {
        Some(path) => write_new(path, &exported.bindings)?,
        None if exported.bindings.is_empty() => {}
        None => output::note("`--bindings FILE` writes down who stands behind its controllers and models"),
    }
    match format {
        Output::Json => output::document(&exported)?,
        Output::Text => {
            output::text(&exported.text)?;
            exported.left_out.iter().for_each(|what| output::note(format!("left out: {what}")));
            exported.notes.iter().for_each(|what| output::note(format!("note: {what}")));
        }
    }
    Ok(if exported.left_out.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

/// The profile with what is proposed for it, as a policy of its own; empty where nothing is.
fn learned(config: &Path, options: &Export) -> Result<String> {
    let scope = Scope {
        device: None,
        profile: Some(options.profile.clone()),
        since: options.since.clone(),
        offline: options.offline,
    };
    let learned: Learned = scope.ask(config, "/v1/learn", agent::propose_from_files)?;
    learned.proposal.warnings.iter().for_each(output::note);
    Ok(if learned.policy.is_empty() { String::new() } else { format!("version = 1\n{}", learned.policy) })
}

/// Bindings that somebody has written by hand are not written over.
fn write_new(path: &Path, text: &str) -> Result<()> {
    let failed =
        || format!("failed to write `{}`; move away what is there, or name another file", path.display());
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)
}
