//! The verbs of the command line, a file each.

pub mod apply;
pub mod audit;
pub mod block;
pub mod bundle;
pub mod check;
pub mod completions;
pub mod detach;
pub mod devices;
pub mod doctor;
pub mod events;
pub mod exceptions;
pub mod explain;
pub mod feed;
pub mod flows;
pub mod generations;
pub mod grant;
pub mod learn;
pub mod lookup;
pub mod man;
pub mod plan;
pub mod profile;
pub mod reload;
pub mod replay;
pub mod risk;
pub mod run;
mod site;
pub mod sbom;
mod sources;
pub mod status;
pub mod top;

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::client;
use crate::api::messages::Refused;
use crate::cli::{FINDING, Output};
use crate::config::{self, Config};
use crate::datapath::attach;
use crate::diagnostic::Diagnostic;
use crate::output;

/// The control socket of the agent that `config` configures; the default one where the default
/// configuration cannot be read, so that members of the group need not be able to.
fn socket(path: &Path) -> Result<PathBuf> {
    match Config::load(path) {
        Ok(config) => Ok(config.paths.socket),
        Err(_) if path == Path::new(config::PATH) => Ok(PathBuf::from(config::SOCKET)),
        // Whoever has to block something now does not have to mend a typing error first.
        Err(found) if path.exists() => {
            let (config, _) = Config::load_what_can_be_read(path);
            let first = found.iter().find(|it| it.is_error()).map(ToString::to_string).unwrap_or_default();
            output::note(format!(
                "the configuration has errors, the agent that runs is asked all the same: {first}"
            ));
            Ok(config.paths.socket)
        }
        Err(found) => Err(anyhow!(joined(&found))),
    }
}

/// The agent's socket, unless nobody listens there.
fn listening(config: &Path) -> Option<PathBuf> {
    let socket = socket(config).ok()?;
    match UnixStream::connect(&socket) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => None,
        // What else is wrong with it, the request says.
        Ok(_) | Err(_) => Some(socket),
    }
}

/// Reads a document of the agent; where none answers, what judges on without it is in the error.
fn asked<T: DeserializeOwned>(config: &Path, path: &str) -> Result<T> {
    let socket = socket(config)?;
    client::get(&socket, path).map_err(|error| {
        let (read, _) = Config::load_what_can_be_read(config);
        match listening(config).is_none().then(|| attach::attached_interfaces(&read.paths.pins)) {
            Some(judged) if !judged.is_empty() => error.context(format!(
                "the filter judges on without an agent on `{}`, by what was loaded last: lists are not renewed and \
                 nothing is recorded until a new start (`iomt-filter run`, or that of the service) takes it over",
                judged.join("`, `")
            )),
            _ => error,
        }
    })
}

/// A note on the command line, which has to say something.
fn note(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("a note has to say something") } else { Ok(text.to_owned()) }
}

/// Says what a change came to; one that was refused is a finding.
fn told<T: Serialize>(
    answer: Result<T, Refused>,
    output: Output,
    said: impl Fn(&T) -> String,
) -> Result<ExitCode> {
    match (answer, output) {
        (Ok(done), Output::Json) => output::document(&done)?,
        (Ok(done), Output::Text) => output::text(said(&done))?,
        (Err(refused), Output::Json) => {
            output::document(&refused)?;
            return Ok(ExitCode::from(FINDING));
        }
        (Err(refused), Output::Text) => {
            output::note(format!("refused, nothing was changed: {}", refused.errors.join("; ")));
            return Ok(ExitCode::from(FINDING));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Diagnostics as one text.
fn joined(found: &[Diagnostic]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
