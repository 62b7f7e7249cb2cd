//! `iomt-filter profile`: the profiles of devices that ship, and one of them for the policy. Nothing changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{joined, site};
use crate::cli::{FINDING, Output};
use crate::config::PROFILES;
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::nearest::did_you_mean;
use crate::output::Align::Left;
use crate::output::{self, Table};
use crate::policy::is_name;
use crate::profiles::{self, LARGEST, Shipped};

/// Options of `profile`.
#[derive(Debug, Args)]
pub struct Options {
    /// The folder of the profiles; left out: `profiles` in `[paths]` of the configuration
    #[arg(long, value_name = "FOLDER", global = true)]
    profiles: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the profiles
    List,
    /// Show a profile: what it allows, by which source, and what the site has to name
    Show {
        /// The profile, or a file of one: a path with a `/`
        name: String,
    },
    /// Print a profile for the policy, and what the site has to name for it
    Import(Import),
}

/// Options of `profile import`.
#[derive(Debug, Args)]
struct Import {
    /// The profile, or a file of one: a path with a `/`
    name: String,
    /// The name of the profile in the policy; left out: the same
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Who stands behind its far ends here, and at which ports
    #[arg(long, value_name = "FILE")]
    bindings: Option<PathBuf>,
}

/// A line of the list.
#[derive(Serialize)]
struct Line {
    name: String,
    title: String,
    rules: usize,
    file: PathBuf,
}

/// Lists, shows or imports.
///
/// # Errors
/// When a file cannot be read, is invalid, or is not there.
pub fn run(config: &Path, options: &Options, format: Output) -> Result<ExitCode> {
    let folder = match &options.profiles {
        Some(folder) => folder.clone(),
        // Whoever looks for the first time has no configuration yet.
        None => site::configured(config)?.map_or_else(|| PROFILES.into(), |config| config.paths.profiles),
    };
    match &options.verb {
        Verb::List => list(&folder, format),
        Verb::Show { name } => {
            let shipped = one(&folder, name)?;
            match format {
                Output::Json => output::document(&shipped)?,
                Output::Text => output::text(shipped.to_string().trim_end())?,
            }
            Ok(ExitCode::SUCCESS)
        }
        Verb::Import(options) => import(config, &folder, options, format),
    }
}

fn list(folder: &Path, format: Output) -> Result<ExitCode> {
    let (mut lines, mut found) = (Vec::new(), Vec::new());
    for (name, file) in files(folder)? {
        match read(&name, &file) {
            Ok(Ok(Shipped { name, title, rules, .. })) => {
                lines.push(Line { name, title, rules: rules.len(), file });
            }
            Ok(Err(wrong)) => found.push(joined(&wrong)),
            Err(error) => found.push(format!("error: {error:#}")),
        }
    }
    found.iter().for_each(output::note);
    match format {
        Output::Json => output::document(&lines)?,
        Output::Text => {
            let mut table = Table::new([("profile", Left), ("devices", Left)]);
            lines.into_iter().for_each(|line| table.row([line.name, line.title]));
            output::text(table)?;
        }
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

fn import(config: &Path, folder: &Path, options: &Import, format: Output) -> Result<ExitCode> {
    let shipped = one(folder, &options.name)?;
    let bindings = site::bindings(options.bindings.as_deref())?;
    let vocabulary = site::vocabulary(site::configured(config)?.as_ref());
    let profile = options.profile.as_deref().unwrap_or(&shipped.name);
    ensure!(is_name(profile), "`{profile}` is no name for a profile: use letters, digits, `-`, `_` and `.`");
    let imported = profiles::import(&shipped, profile, &bindings, &vocabulary);
    let imported = imported.map_err(|wrong| anyhow!(wrong.join("\n")))?;
    match format {
        Output::Json => output::document(&imported)?,
        Output::Text => output::text(format!("{}\n{imported}", imported.policy).trim_end())?,
    }
    Ok(if imported.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

/// Names and paths of the profiles of a folder, by name.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let failed = || {
        format!(
            "failed to read `{}`; name the folder of the profiles with `--profiles FOLDER`, or with `profiles` in `[paths]`",
            folder.display()
        )
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).filter(|name| is_name(name));
        if let Some(name) = name.filter(|_| path.extension().is_some_and(|end| end == "toml")) {
            files.push((name.to_owned(), path));
        }
    }
    files.sort();
    Ok(files)
}

/// The profile of that name, or in that file.
fn one(folder: &Path, name: &str) -> Result<Shipped> {
    let read = |name: &str, path: &Path| read(name, path)?.map_err(site::said);
    if name.contains('/') {
        let path = Path::new(name);
        let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_name(stem));
        return read(stem.unwrap_or("profile"), path);
    }
    let files = files(folder)?;
    match files.iter().find(|(known, _)| known == name) {
        Some((name, path)) => read(name, path),
        None => {
            let known = did_you_mean(name, files.iter().map(|(name, _)| name.as_str()));
            bail!("`{}` has no profile `{name}`; {known}", folder.display())
        }
    }
}

fn read(name: &str, path: &Path) -> Result<Result<Shipped, Vec<Diagnostic>>> {
    let bytes = site::read(path, LARGEST)?;
    ensure!(
        bytes.len() <= LARGEST,
        "`{}` has more than {LARGEST} bytes: no profile is that large",
        path.display()
    );
    let text = String::from_utf8(bytes).with_context(|| format!("failed to read `{}`", path.display()))?;
    Ok(Shipped::parse(name, &SourceFile::new(&path.display().to_string(), text)))
}
