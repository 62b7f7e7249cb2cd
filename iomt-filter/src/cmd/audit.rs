//! `iomt-filter audit`: whether the log of changes is whole, and the log itself.
//!
//! It needs no agent, and writes nothing. Whoever may ask the agent and not read the file asks the agent.

use std::fs::File;
use std::io::{BufRead as _, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::api::client;
use crate::api::messages::Status;
use crate::audit::{self, AuditError, Broken, Check, Line, Mark, Verified};
use crate::cli::{FINDING, Output};
use crate::cmd::{joined, listening};
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
struct Found {
    file: PathBuf,
    /// Lines that are whole and follow on each other, from the first on.
    lines: u64,
    /// Hash of the last line; nothing where the log is broken.
    hash: Option<String>,
    /// The first thing that is wrong.
    broken: Option<Shown>,
    /// All that is.
    faults: Vec<Shown>,
}

#[derive(Clone, Debug, Serialize)]
struct Shown {
    line: u64,
    fault: String,
}

/// Where lines come from.
enum Source {
    File(PathBuf),
    /// The agent's, by its socket.
    Agent(PathBuf),
}

/// Does it. A log that is broken is a finding.
///
/// # Errors
/// When the log cannot be read.
pub fn run(config: &Path, verb: &Verb, output: Output) -> Result<ExitCode> {
    match verb {
        Verb::Verify(log) => verify(config, log, output),
        Verb::Export(options) => export(config, options, output),
    }
}

impl Log {
    fn source(&self, config: &Path) -> Result<Source> {
        if let Some(file) = &self.file {
            return Ok(Source::File(file.clone()));
        }
        let file = Config::load(config).map(|config| config.paths.state.join(audit::FILE));
        let is_closed =
            |file: &PathBuf| File::open(file).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
        if file.as_ref().is_ok_and(|file| !is_closed(file)) {
            return file.map(Source::File).map_err(|found| anyhow!(joined(&found)));
        }
        match (listening(config), file) {
            (Some(socket), _) => Ok(Source::Agent(socket)),
            (None, Ok(file)) => Ok(Source::File(file)),
            (None, Err(found)) => Err(anyhow!(joined(&found))),
        }
    }

    /// The last line that is known to have been written; of a log that was carried away nothing is known.
    fn written(&self, source: &Source) -> Result<Option<Mark>> {
        match source {
            Source::File(_) if self.file.is_some() => Ok(None),
            Source::File(file) => Ok(Mark::beside(file)),
            Source::Agent(socket) => Ok(client::get::<Status>(socket, "/v1/status")?.audit.last),
        }
    }
}

impl Source {
    /// As errors name it.
    fn path(&self) -> PathBuf {
        match self {
            Self::File(file) => file.clone(),
            Self::Agent(_) => PathBuf::from(audit::FILE),
        }
    }

    /// Hands on each line, without its end.
    fn each(&self, mut line: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        match self {
            Self::File(file) => {
                for text in audit::read(file)?.split(b'\n') {
                    line(&text.with_context(|| format!("failed to read `{}`", file.display()))?)?;
                }
                Ok(())
            }
            Self::Agent(socket) => client::lines(socket, "/v1/audit", |text| line(text).map(|()| true)),
        }
    }

    /// Looks at all of it.
    fn verify(&self, written: Option<Mark>) -> Result<Verified> {
        match self {
            Self::File(file) => match audit::read(file) {
                Ok(log) => Ok(audit::verify(log, written)),
                // It was there, and is gone: that is a finding.
                Err(AuditError::Read(_, error))
                    if error.kind() == ErrorKind::NotFound && written.is_some() =>
                {
                    Ok(Check::begin(written).done())
                }
                Err(error) => Err(error.into()),
            },
            Self::Agent(_) => {
                let mut check = Check::begin(written);
                self.each(|text| {
                    check.line(text);
                    Ok(())
                })?;
                Ok(check.done())
            }
        }
    }
}

fn verify(config: &Path, log: &Log, output: Output) -> Result<ExitCode> {
    let source = log.source(config)?;
    // Before the log is read: it only grows.
    let written = log.written(&source)?;
    let Verified { lines, last, broken } = source.verify(written)?;
    let (file, is_whole) = (source.path(), broken.is_empty());
    let shown = file.display();
    match output {
        Output::Text if is_whole => {
            output::text(format!("{lines} lines of `{shown}` are whole, the last has hash {}", last.hash))?;
        }
        Output::Text => {
            for Broken { line, fault } in &broken {
                output::note(match fault.is_of_all() {
                    true => format!("the audit log `{shown}` {fault}"),
                    false => format!("line {line} of the audit log `{shown}` {fault}"),
                });
            }
        }
        Output::Json => {
            let faults: Vec<_> = broken
                .iter()
                .map(|Broken { line, fault }| Shown { line: *line, fault: fault.to_string() })
                .collect();
            let (hash, broken) = (is_whole.then_some(last.hash), faults.first().cloned());
            output::document(&Found { file, lines, hash, broken, faults })?;
        }
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(FINDING) })
}

/// As JSON lines are printed as they are. A line that is none is printed too, whatever its time was, and is a finding.
fn export(config: &Path, options: &Export, output: Output) -> Result<ExitCode> {
    let source = options.log.source(config)?;
    let since = options.since.as_deref().map(|since| time(since, Timestamp::now())).transpose()?;
    let (mut lines, mut raw, mut number) = (output::Lines::new(), Vec::new(), 0_u64);
    let mut code = ExitCode::SUCCESS;
    source.each(|text| {
        number = number.saturating_add(1);
        let line: Option<Line> = serde_json::from_slice(text).ok();
        let is_old = |line: &Line| since.is_some_and(|since| line.time < since);
        if line.as_ref().is_some_and(is_old) {
            return Ok(());
        }
        if line.is_none() {
            output::note(format!("line {number} of the audit log `{}` is no entry", source.path().display()));
            code = ExitCode::from(FINDING);
        }
        match (output, line) {
            (Output::Text, Some(line)) => lines.line(shown(&line))?,
            (Output::Text, None) => lines.line(String::from_utf8_lossy(text))?,
            (Output::Json, _) => {
                raw.extend(text);
                raw.push(b'\n');
            }
        }
        if raw.len() > AT_ONCE {
            output::bytes(&std::mem::take(&mut raw))?;
        }
        Ok(())
    })?;
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
        entry.at.map(|at| format!(", done at {at:.0} and written down late")),
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
