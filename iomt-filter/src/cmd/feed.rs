//! `iomt-filter feed`: what threat lists come to.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use jiff::Timestamp;
use url::Url;

use crate::cli::Output;
use crate::feeds::fetch::{self, Fetched, Origin, Protocol, Resume, Server, Source};

pub mod check;
pub mod manage;

/// The largest list that is read.
const MAX_BYTES: u64 = 256 << 20;

/// How long a fetch may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What to do with feeds.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Look at a list as the gate would, without an agent; load nothing
    Check(check::Options),
    /// List feeds, how they stand and when they are fetched next
    List,
    /// Show all that is known of a feed, and why a list of it is held
    Show(manage::Show),
    /// Fetch feeds now
    Refresh(manage::Refresh),
    /// Let a list through that is held
    Release(manage::Release),
}

/// Does it.
///
/// # Errors
/// When a list cannot be read, or stdout not be written to.
pub fn run(config: &Path, verb: &Verb, output: Output) -> Result<ExitCode> {
    match verb {
        Verb::Check(options) => check::run(config, options, output, bytes_of),
        Verb::List => manage::list(config, output),
        Verb::Show(options) => manage::show(config, options, output),
        Verb::Refresh(options) => manage::refresh(config, options, output),
        Verb::Release(options) => manage::release(config, options, output),
    }
}

/// What a server has under an address, as the agent would fetch it without a key.
fn fetched(address: &str) -> Result<Vec<u8>> {
    let url = Url::parse(address).with_context(|| format!("`{address}` is no address"))?;
    let server = Server { protocol: Protocol::Http, url, auth: None, ca: None, timeout: TIMEOUT };
    let source = Source { origin: Origin::Server(server), max_bytes: MAX_BYTES, signature: None };
    match fetch::fetch(&source, &Resume::default(), None, Timestamp::now())? {
        Fetched::New { parts, .. } => Ok(parts.into_iter().next().map(|part| part.bytes).unwrap_or_default()),
        Fetched::Unchanged { .. } => {
            bail!("`{address}` says that nothing has changed, and was not asked that")
        }
    }
}

/// The content of a file; `-` is standard input.
fn bytes_of(source: &str) -> Result<Vec<u8>> {
    if source.starts_with("http://") || source.starts_with("https://") {
        return fetched(source);
    }
    let mut bytes = Vec::new();
    let (name, read) = if source == "-" {
        ("standard input".to_owned(), std::io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes))
    } else {
        let file = fs::File::open(source).with_context(|| format!("failed to read `{source}`"))?;
        (format!("`{source}`"), file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("failed to read {name}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("{name} is larger than {} MiB, more than a list may have", MAX_BYTES >> 20);
    }
    Ok(bytes)
}
