//! The verbs of the command line, a file each.

pub mod block;
pub mod check;
pub mod completions;
pub mod detach;
pub mod devices;
pub mod events;
pub mod explain;
pub mod flows;
pub mod grant;
pub mod reload;
pub mod replay;
pub mod run;
mod sources;
pub mod status;

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use crate::config::{self, Config};
use crate::diagnostic::Diagnostic;

/// The control socket of the agent that `config` configures; the default one where the default
/// configuration cannot be read, so that members of the group need not be able to.
fn socket(path: &Path) -> Result<PathBuf> {
    match Config::load(path) {
        Ok(config) => Ok(config.paths.socket),
        Err(_) if path == Path::new(config::PATH) => Ok(PathBuf::from(config::SOCKET)),
        Err(found) => Err(anyhow!(joined(&found))),
    }
}

/// Diagnostics as one text.
fn joined(found: &[Diagnostic]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
