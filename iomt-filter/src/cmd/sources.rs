//! Configuration, policy and inventory for verbs that need no agent: `check`, `replay` and `explain`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use thiserror::Error;

use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::host::HostNetworks;
use crate::intent::{self, Intent, Overrides};
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
        let policy = self.policy.as_ref().unwrap_or(&config.paths.policy);
        let devices = self.devices.as_ref().unwrap_or(&config.paths.devices);
        readable(policy)?;
        readable(devices)?;
        let host = HostNetworks::read().map_err(SourceError::Host)?;
        let overrides = Overrides { policy: self.policy.clone(), devices: self.devices.clone() };
        intent::read(&config, &overrides, &host, &mut Numbers::default(), &[], Vec::new())
            .map_err(SourceError::Invalid)
    }

    fn config(&self, path: &Path) -> Result<Config, SourceError> {
        match readable(path) {
            Ok(()) => Config::load(path).map_err(SourceError::Invalid),
            Err(SourceError::Unreadable { error, .. }) if error.kind() == ErrorKind::NotFound => {
                if self.policy.is_none() || self.devices.is_none() {
                    return Err(SourceError::NoConfiguration(path.to_owned()));
                }
                Ok(Config::defaults(path))
            }
            Err(error) => Err(error),
        }
    }
}

/// Tells a file that cannot be read from one whose content is wrong.
fn readable(path: &Path) -> Result<(), SourceError> {
    match fs::read_to_string(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(SourceError::Unreadable { path: path.to_owned(), error }),
    }
}
