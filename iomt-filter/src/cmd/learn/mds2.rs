//! `iomt-filter learn mds2`: the table of ports that a maker discloses beside its MDS2, as rules of the policy.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand, ValueEnum};

use crate::cli::{FINDING, Output};
use crate::cmd::site;
use crate::contacts::Direction;
use crate::mds2::{self, Ground, LARGEST};
use crate::output;
use crate::policy::is_name;

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Print what a table of ports (CSV) allows as a profile for the policy, and which of its lines are not clear
    Import(Import),
}

/// Who opens, seen from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Others open to the device
    In,
    /// The device opens
    Out,
}

/// Options of `learn mds2 import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The table, as CSV
    file: PathBuf,
    /// The name of the profile
    #[arg(long, value_name = "NAME")]
    profile: String,
    /// Who stands behind the other ends that it names
    #[arg(long, value_name = "FILE")]
    bindings: Option<PathBuf>,
    /// The device whose lines count, where the table is about several
    #[arg(long)]
    model: Option<String>,
    /// Who opens by lines that do not say it
    #[arg(long, value_enum)]
    direction: Option<Way>,
    /// Pass over ports of who opens, and take `both` for both ways: such rules may allow more than is meant
    #[arg(long)]
    widen: bool,
}

/// Imports.
pub(super) fn run(config: &Path, Verb::Import(options): &Verb, format: Output) -> Result<ExitCode> {
    let profile = options.profile.as_str();
    ensure!(is_name(profile), "`{profile}` is no name for a profile: use letters, digits, `-`, `_` and `.`");
    let failed = || format!("failed to import `{}`", options.file.display());
    let table = mds2::read(&site::read(&options.file, LARGEST)?).with_context(failed)?;
    let bindings = site::bindings(options.bindings.as_deref())?;
    let vocabulary = site::vocabulary(site::configured(config)?.as_ref());
    let file = options.file.file_name().unwrap_or_default().to_string_lossy();
    let direction = options.direction.map(|way| match way {
        Way::In => Direction::ToDevice,
        Way::Out => Direction::FromDevice,
    });
    let ground = Ground {
        bindings: &bindings,
        vocabulary: &vocabulary,
        profile,
        file: &file,
        model: options.model.as_deref(),
        direction,
        widen: options.widen,
    };
    let imported = mds2::import(&table, &ground).with_context(failed)?;
    match format {
        Output::Json => output::document(&imported)?,
        Output::Text => output::text(format!("{}\n{imported}", imported.policy).trim_end())?,
    }
    Ok(if imported.left_out.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}
