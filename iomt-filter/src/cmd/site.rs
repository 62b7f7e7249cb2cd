//! What makes rules of others' files needs of a site: its configuration, the names of its policy, its bindings.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use super::joined;
use crate::bindings::Bindings;
use crate::config::{self, Config};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::output;
use crate::policy::{Policy, Vocabulary};

/// Who stands behind the names of others; nobody where no file is named.
pub(super) fn bindings(path: Option<&Path>) -> Result<Bindings> {
    path.map_or_else(|| Ok(Bindings::default()), |path| Bindings::parse(&source_file(path)?).map_err(said))
}

/// The configuration; nothing where there is none and nobody named one.
pub(super) fn configured(path: &Path) -> Result<Option<Config>> {
    match Config::load(path) {
        Ok(config) => Ok(Some(config)),
        Err(_) if path == Path::new(config::PATH) && !path.exists() => Ok(None),
        Err(found) => Err(said(found)),
    }
}

/// The names that the policy gives; none where it cannot be read.
pub(super) fn vocabulary(config: Option<&Config>) -> Vocabulary {
    let Some(config) = config else {
        output::note("there is no configuration: names of endpoints mean nothing, and no addresses are kept");
        return Vocabulary::default();
    };
    let policy = source_file(&config.paths.policy).and_then(|file| Policy::parse(&file).map_err(said));
    policy.map(|(policy, _)| policy.vocabulary).unwrap_or_else(|error| {
        output::note(format!(
            "names of endpoints mean nothing, because the policy cannot be read: {error:#}"
        ));
        Vocabulary::default()
    })
}

/// A file that people write.
pub(super) fn source_file(path: &Path) -> Result<SourceFile> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("failed to read `{name}`"))?;
    Ok(SourceFile::new(&name, text))
}

/// What is wrong with a file.
pub(super) fn said(found: Vec<Diagnostic>) -> anyhow::Error {
    anyhow!(joined(&found))
}

/// A file, one byte further than `largest` at most.
pub(super) fn read(path: &Path, largest: usize) -> Result<Vec<u8>> {
    let failed = || format!("failed to read `{}`", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(failed)?;
    file.take(largest as u64 + 1).read_to_end(&mut bytes).with_context(failed)?;
    Ok(bytes)
}
