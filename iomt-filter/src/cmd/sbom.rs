//! `iomt-filter sbom`: what devices are made of, as their makers say.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, Subcommand};

use crate::agent::{self, Import, Importing};
use crate::api::client;
use crate::api::client::escaped;
use crate::api::messages::{Refused, SbomImported, SbomQuery, SbomRemoval, SbomRemoved, Sboms};
use crate::audit::Author;
use crate::cli::Output;
use crate::cmd::{joined, listening, told};
use crate::config::Config;
use crate::host::HostNetworks;
use crate::intent::{self, Overrides};
use crate::numbers::Numbers;
use crate::output::Align::{Left, Right};
use crate::output::{self, Table};
use crate::sbom::{Imported, LARGEST};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Take in an SBOM or a VEX document: CycloneDX 1.4 to 1.7, SPDX 2.2, 2.3 and 3.0, or OpenVEX, as JSON
    Import(ImportOptions),
    /// List what was imported, for whom, when and by whom
    List(ListOptions),
    /// Let go what was imported
    Remove(RemoveOptions),
}

/// Options of `sbom import`.
#[derive(Debug, Args)]
pub struct ImportOptions {
    /// A device, those that a pattern matches, as `ct-*`, or `profile:NAME`
    device: String,
    /// The file
    file: PathBuf,
    /// Keep the SBOM that was imported before beside it: the device is made of both
    #[arg(long)]
    add: bool,
    /// Why, for the audit log
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
    /// Ask no agent, write into the state folder
    #[arg(long)]
    offline: bool,
}

/// Options of `sbom list`.
#[derive(Debug, Args)]
pub struct ListOptions {
    /// Ask no agent, look into the state folder
    #[arg(long)]
    offline: bool,
}

/// Options of `sbom remove`.
#[derive(Debug, Args)]
pub struct RemoveOptions {
    /// Whom it was imported for, as `sbom list` shows it
    device: String,
    /// Only the file of this name
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
    /// Why, for the audit log
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
    /// Ask no agent, write into the state folder
    #[arg(long)]
    offline: bool,
}

/// Does it.
///
/// # Errors
/// When files cannot be read or kept, or the caller may not change anything.
pub fn run(config: &Path, verb: &Verb, output: Output) -> Result<ExitCode> {
    match verb {
        Verb::Import(options) => import(config, options, output),
        Verb::List(options) => list(config, options, output),
        Verb::Remove(options) => remove(config, options, output),
    }
}

fn import(config: &Path, options: &ImportOptions, format: Output) -> Result<ExitCode> {
    let bytes = read(&options.file)?;
    let name = options.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let ImportOptions { device, add, note, .. } = options;
    let query = SbomQuery { device: device.clone(), file: name, add: *add, note: note.clone() };
    let answer = match asked(config, options.offline) {
        Some(socket) => client::send::<SbomImported>(&socket, &format!("/v1/sbom?{}", text(&query)), bytes)?,
        None => {
            let config = load(config)?;
            let by = Author::of_this_process();
            Importing::read(Import { query: &query, bytes: &bytes, by: &by })
                .and_then(|importing| {
                    let host = HostNetworks::read().unwrap_or_default();
                    let mut numbers = Numbers::default();
                    let intent =
                        intent::read(&config, &Overrides::default(), &host, &mut numbers, &[], Vec::new());
                    let intent = intent.map_err(|found| vec![joined(&found)])?;
                    agent::import_into(&config.paths.state, &intent.rows, importing)
                })
                .map_err(|errors| Refused { errors })
        }
    };
    if let (Ok(imported), Output::Text) = (&answer, format) {
        imported.warnings.iter().for_each(|warning| output::note(format!("warning: {warning}")));
    }
    told(answer, format, said)
}

fn said(done: &SbomImported) -> String {
    let Imported { device, file, format, components, vulnerabilities, .. } = &done.imported;
    let replaces = done.replaces.iter();
    let replaces =
        replaces.map(|old| format!("`{}` of {:.0} ({} components)", old.file, old.imported, old.components));
    let replaces = replaces.collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "`{}` ({format}) is imported for `{device}`, {}: {components} components, {vulnerabilities} statements about vulnerabilities",
        crate::foreign::shown(file),
        if done.devices == 1 { "a device".to_owned() } else { format!("{} devices", done.devices) }
    );
    if !replaces.is_empty() {
        text.push_str(&format!("; it takes the place of {replaces}"));
    }
    text
}

fn list(config: &Path, options: &ListOptions, format: Output) -> Result<ExitCode> {
    let sboms: Sboms = match asked(config, options.offline) {
        Some(socket) => client::get(&socket, "/v1/sbom")?,
        None => agent::sboms_of(&load(config)?.paths.state),
    };
    match format {
        Output::Json => output::document(&sboms)?,
        Output::Text => {
            sboms.warnings.iter().for_each(|warning| output::note(format!("warning: {warning}")));
            let mut table = Table::new([
                ("device", Left),
                ("file", Left),
                ("format", Left),
                ("product", Left),
                ("components", Right),
                ("vulnerabilities", Right),
                ("imported", Left),
                ("by", Left),
                ("sha256", Left),
            ]);
            sboms.imported.iter().for_each(|one| table.row(row(one)));
            output::text(table)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(one: &Imported) -> [String; 9] {
    [
        one.device.to_string(),
        crate::foreign::shown(&one.file),
        one.format.clone(),
        one.product.as_deref().map_or_else(|| "-".to_owned(), crate::foreign::shown),
        one.components.to_string(),
        one.vulnerabilities.to_string(),
        format!("{:.0}", one.imported),
        one.by.clone(),
        one.digest.get(..12).unwrap_or(&one.digest).to_owned(),
    ]
}

fn remove(config: &Path, options: &RemoveOptions, format: Output) -> Result<ExitCode> {
    let RemoveOptions { device, file, note, offline } = options;
    let request = SbomRemoval { device: device.clone(), file: file.clone(), note: note.clone() };
    let answer = match asked(config, *offline) {
        Some(socket) => client::post::<SbomRemoved>(&socket, "/v1/sbom/remove", &request)?,
        None => {
            let state = load(config)?.paths.state;
            agent::remove_from(&state, &request, &Author::of_this_process())
                .map_err(|errors| Refused { errors })
        }
    };
    told(answer, format, |done| {
        let files = done.removed.iter().map(|one| format!("`{}`", crate::foreign::shown(&one.file)));
        format!("removed {} of `{device}`", files.collect::<Vec<_>>().join(", "))
    })
}

/// The agent, where one is to be asked and answers.
fn asked(config: &Path, offline: bool) -> Option<PathBuf> {
    if offline { None } else { listening(config) }
}

fn load(path: &Path) -> Result<Config> {
    Config::load(path).map_err(|found| anyhow!(joined(&found)))
}

fn text(query: &SbomQuery) -> String {
    let SbomQuery { device, file, add, note } = query;
    let note = note.as_ref().map(|note| format!("&note={}", escaped(note))).unwrap_or_default();
    format!("device={}&file={}&add={add}{note}", escaped(device), escaped(file))
}

/// A file, no further than one that is too large shows it.
fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = || format!("failed to read `{}`", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(failed)?;
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes).with_context(failed)?;
    anyhow::ensure!(
        bytes.len() <= LARGEST,
        "`{}` has more than {LARGEST} bytes; take out what no vulnerability is about, as files and licence texts",
        path.display()
    );
    Ok(bytes)
}
