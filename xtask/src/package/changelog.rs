//! The package's changelog: where its version, its maintainer and its time are from.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::process;

/// The newest entry of `packaging/debian/changelog`.
#[derive(Debug)]
pub(crate) struct Changelog {
    /// Cargo's version, and the package's revision of it.
    pub(crate) version: String,
    /// Name and address.
    pub(crate) maintainer: String,
    /// Seconds since 1970.
    pub(crate) timestamp: String,
}

impl Changelog {
    /// Reads it. `DEBFULLNAME` and `DEBEMAIL` name another maintainer, as for other tools of Debian.
    pub(crate) fn read() -> Result<Self> {
        let [version, maintainer, timestamp] = ["Version", "Maintainer", "Timestamp"].map(field);
        let (version, maintainer) = (version?, maintainer?);
        let ours = env!("CARGO_PKG_VERSION");
        ensure!(
            version.rsplit_once('-').is_some_and(|(upstream, _)| upstream == ours),
            "`{}` begins with version {version}, and `Cargo.toml` has {ours}: add an entry for {ours}-1",
            path().display()
        );
        let maintainer = match (std::env::var("DEBFULLNAME"), std::env::var("DEBEMAIL")) {
            (Ok(name), Ok(address)) => format!("{name} <{address}>"),
            _ => maintainer,
        };
        Ok(Self { version, maintainer, timestamp: timestamp? })
    }
}

/// Where it is.
pub(crate) fn path() -> PathBuf {
    process::workspace().join("packaging/debian/changelog")
}

fn field(name: &str) -> Result<String> {
    let mut parse = Command::new("dpkg-parsechangelog");
    let said = process::output(parse.arg("--file").arg(path()).args(["--show-field", name]))?;
    String::from_utf8(said).map(|said| said.trim().to_owned()).context("the changelog is no text")
}
