//! `iomt-filter audit`: whether the log of changes is whole, and the log itself.
//!
//! It needs no agent, and writes nothing.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::audit::{self, Broken, Line};
use crate::cli::{FINDING, Output};
use crate::cmd::joined;
use crate::config::{Config, parse_duration};
use crate::output;

/// Bytes that are printed at once.
const AT_ONCE: usize = 64 << 10;

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Look whether every line is as it was written, and none is missing in between
    Verify(Log),
    /// Print the log, oldest first
    Export(Export),
}

/// Which log.
#[derive(Debug, Args)]
pub struct Log {
    /// Another log than that in the state folder, such as one that was carried away
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Options of `audit export`.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    log: Log,
    /// Only of this long ago or later, as `7d`, or of this time or later, as `2026-11-01T00:00:00Z`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

/// What `verify` found.
#[derive(Debug, Serialize)]
struct Verified {
    file: PathBuf,
    /// Lines that are whole and follow on each other, from the first on.
    lines: u64,
    /// Hash of the last line; nothing where the log is broken.
    hash: Option<String>,
    broken: Option<Fault>,
}

#[derive(Debug, Serialize)]
struct Fault {
    line: u64,
    fault: &'static str,
}

/// Does it. A log that is broken is a finding.
///
/// # Errors
/// When the log cannot be read.
pub fn run(config: &Path, verb: &Verb, output: Output) -> Result<ExitCode> {
    match verb {
        Verb::Verify(log) => verify(log.path(config)?, output),
        Verb::Export(options) => export(config, options, output),
    }
}

impl Log {
    fn path(&self, config: &Path) -> Result<PathBuf> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let config = Config::load(config).map_err(|found| anyhow!(joined(&found)))?;
        Ok(config.paths.state.join(audit::FILE))
    }
}

fn verify(file: PathBuf, output: Output) -> Result<ExitCode> {
    let shown = file.display().to_string();
    let verified = match audit::verify(audit::read(&file)?) {
        Ok((lines, hash)) => Verified { file, lines, hash: Some(hash), broken: None },
        Err(Broken { line, fault }) => {
            Verified { file, lines: line.saturating_sub(1), hash: None, broken: Some(Fault { line, fault }) }
        }
    };
    match (output, &verified.broken, &verified.hash) {
        (Output::Json, ..) => output::document(&verified)?,
        (Output::Text, Some(Fault { line, fault }), _) => {
            output::note(format!("line {line} of the audit log `{shown}` {fault}"));
        }
        (Output::Text, None, hash) => {
            let (lines, hash) = (verified.lines, hash.as_deref().unwrap_or_default());
            output::text(format!("{lines} lines of `{shown}` are whole, the last has hash {hash}"))?;
        }
    }
    Ok(if verified.broken.is_some() { ExitCode::from(FINDING) } else { ExitCode::SUCCESS })
}

/// As JSON lines are printed as they are. A line that is none is printed too, whatever its time was, and is a finding.
fn export(config: &Path, options: &Export, output: Output) -> Result<ExitCode> {
    let file = options.log.path(config)?;
    let since = options.since.as_deref().map(|since| time(since, Timestamp::now())).transpose()?;
    let (mut lines, mut raw) = (output::Lines::new(), Vec::new());
    let mut code = ExitCode::SUCCESS;
    for (number, text) in (1..).zip(audit::read(&file)?.split(b'\n')) {
        let text = text.with_context(|| format!("failed to read `{}`", file.display()))?;
        let line: Option<Line> = serde_json::from_slice(&text).ok();
        let is_old = |line: &Line| since.is_some_and(|since| line.time < since);
        if line.as_ref().is_some_and(is_old) {
            continue;
        }
        if line.is_none() {
            output::note(format!("line {number} of the audit log `{}` is no entry", file.display()));
            code = ExitCode::from(FINDING);
        }
        match (output, line) {
            (Output::Text, Some(line)) => lines.line(shown(&line))?,
            (Output::Text, None) => lines.line(String::from_utf8_lossy(&text))?,
            (Output::Json, _) => {
                raw.extend(text);
                raw.push(b'\n');
            }
        }
        if raw.len() > AT_ONCE {
            output::bytes(&std::mem::take(&mut raw))?;
        }
    }
    lines.flush()?;
    output::bytes(&raw)?;
    Ok(code)
}

/// `12 2026-11-01T00:00:00Z root: feed release threats (the publisher has confirmed it)`
fn shown(line: &Line) -> String {
    let entry = &line.entry;
    let mut text = format!("{} {:.0} {}: {}", line.sequence, line.time, entry.who, entry.what);
    for more in [
        entry.about.as_ref().map(|about| format!(" {about}")),
        entry.note.as_ref().map(|note| format!(" ({note})")),
    ] {
        text.push_str(&more.unwrap_or_default());
    }
    for (word, value) in [("before", &entry.before), ("after", &entry.after)] {
        if !value.is_null() {
            text.push_str(&format!(", {word} {value}"));
        }
    }
    text
}

/// A time, or how long ago it was at `now`.
fn time(text: &str, now: Timestamp) -> Result<Timestamp> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = parse_duration(text).with_context(|| {
        format!("`{text}` is neither a time, as `2026-11-01T00:00:00Z`, nor how long ago that is, as `7d`")
    })?;
    let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX);
    Ok(now.checked_sub(ago).unwrap_or(Timestamp::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_one_or_how_long_ago_it_was() {
        let now: Timestamp = "2026-11-08T00:00:00Z".parse().unwrap();
        let week_ago = "2026-11-01T00:00:00Z";
        for text in [week_ago, "7d", "2026-11-01T01:00:00+01:00"] {
            assert_eq!(time(text, now).unwrap(), week_ago.parse().unwrap(), "{text}");
        }
        assert_eq!(time("99999999d", now).unwrap(), Timestamp::MIN);
        assert!(time("yesterday", now).unwrap_err().to_string().contains("is neither a time"));
    }
}
