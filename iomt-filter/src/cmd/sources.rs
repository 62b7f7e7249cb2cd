//! Configuration, policy and inventory for verbs that need no agent: `check`, `plan`, `replay` and `explain`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use thiserror::Error;

use crate::config::Config;
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::host::HostNetworks;
use crate::intent::{self, Given, Intent, Overrides};
use crate::numbers::Numbers;

/// What is read in place of what the configuration names.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Sources {
    /// Policy to use in place of the configuration's
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Device inventory to use in place of the configuration's
    #[arg(long, value_name = "FILE")]
    devices: Option<PathBuf>,
}

/// Why there is nothing to work with.
#[derive(Debug, Error)]
pub(super) enum SourceError {
    /// Neither a configuration nor what stands in for it.
    #[error(
        "there is no configuration `{0}`; name one with `--config FILE`, or give both `--policy FILE` and `--devices FILE`"
    )]
    NoConfiguration(PathBuf),
    /// A file cannot be read.
    #[error("failed to read `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        error: std::io::Error,
    },
    /// The host's own addresses cannot be read.
    #[error("failed to read the addresses of this host")]
    Host(#[source] std::io::Error),
    /// Something in the files is wrong.
    #[error("the files are invalid")]
    Invalid(Vec<Diagnostic>),
}

impl Sources {
    /// Whether something else is to be read than what the configuration names.
    pub(super) const fn are_given(&self) -> bool {
        self.policy.is_some() || self.devices.is_some()
    }

    /// Reads everything that the configuration at `path` and these options name. Without a configuration
    /// its defaults hold, if policy and inventory are given.
    ///
    /// # Errors
    /// When a file cannot be read, or is invalid.
    pub(super) fn read(&self, path: &Path) -> Result<Intent, SourceError> {
        let config = self.config(path)?;
        let host = HostNetworks::read().map_err(SourceError::Host)?;
        intent::read(&config, &self.overrides(), &host, &mut Numbers::default(), &[], Vec::new())
            .map_err(SourceError::Invalid)
    }

    /// What is given, for whoever reads it.
    pub(super) fn overrides(&self) -> Overrides {
        let given = |path: &Option<PathBuf>| path.clone().map(Given::File);
        Overrides { policy: given(&self.policy), devices: given(&self.devices) }
    }

    /// The policy and the inventory that are given, read.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn texts(&self) -> Result<[Option<SourceFile>; 2], SourceError> {
        let read = |path: &Option<PathBuf>| match path {
            Some(path) => Ok(Some(SourceFile::new(&path.display().to_string(), text(path)?))),
            None => Ok(None),
        };
        Ok([read(&self.policy)?, read(&self.devices)?])
    }

    /// The configuration at `path`, whose policy and inventory, or what is given in their place, can be read.
    ///
    /// # Errors
    /// When one of the files cannot be read, or the configuration is invalid.
    pub(super) fn config(&self, path: &Path) -> Result<Config, SourceError> {
        let config = match text(path) {
            Ok(_) => Config::load(path).map_err(SourceError::Invalid)?,
            Err(SourceError::Unreadable { error, .. }) if error.kind() == ErrorKind::NotFound => {
                if self.policy.is_none() || self.devices.is_none() {
                    return Err(SourceError::NoConfiguration(path.to_owned()));
                }
                Config::defaults(path)
            }
            Err(error) => return Err(error),
        };
        text(self.policy.as_ref().unwrap_or(&config.paths.policy))?;
        text(self.devices.as_ref().unwrap_or(&config.paths.devices))?;
        Ok(config)
    }
}

/// The text of a file: one that cannot be read is told from one whose content is wrong.
fn text(path: &Path) -> Result<String, SourceError> {
    fs::read_to_string(path).map_err(|error| SourceError::Unreadable { path: path.to_owned(), error })
}
