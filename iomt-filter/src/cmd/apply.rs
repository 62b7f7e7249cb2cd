//! `iomt-filter apply`, `confirm`, `rollback`: changes that go back by themselves unless somebody confirms them.

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;

use crate::api::client;
use crate::api::messages::{Applied, ApplyRequest, RollbackRequest};
use crate::cli::Output;
use crate::cmd::{socket, told};
use crate::config::parse_duration;
use crate::output;

/// How long a change over a remote session waits for its confirmation, where nothing is said.
const REMOTE: &str = "5m";
/// Processes above this one that are asked whether they are a remote session.
const ANCESTORS: usize = 32;

/// Options of `apply`.
#[derive(Debug, Args)]
pub struct Options {
    /// Go back by itself after this time unless `iomt-filter confirm` is said, as `5m`; over a remote session that is the
    /// default
    #[arg(long, value_name = "DURATION", conflicts_with = "now")]
    confirm_within: Option<String>,
    /// Make it hold at once, over a remote session too
    #[arg(long)]
    now: bool,
    /// Why
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
}

/// Options of `rollback`.
#[derive(Debug, Args)]
pub struct RollbackOptions {
    /// The generation to go back to, as `iomt-filter generations` numbers them; the one before where nothing is said
    number: Option<u32>,
    /// Go forward again by itself after this time unless `iomt-filter confirm` is said
    #[arg(long, value_name = "DURATION")]
    confirm_within: Option<String>,
    /// Why
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
}

/// Makes what the files say hold.
///
/// # Errors
/// When no agent answers, or the caller may not change anything.
pub fn run(config: &Path, options: &Options, output: Output) -> Result<ExitCode> {
    let default = || (!options.now && is_remote()).then(|| REMOTE.to_owned());
    let within = options.confirm_within.clone().or_else(default);
    let seconds = within.as_deref().map(seconds).transpose()?;
    let request = ApplyRequest { seconds, note: options.note.clone() };
    let answer = client::post::<Applied>(&socket(config)?, "/v1/apply", &request)?;
    if let (Ok(applied), Output::Text) = (&answer, output) {
        applied.changed.warnings.iter().for_each(output::note);
    }
    told(answer, output, |applied| said("applied", applied))
}

/// Makes the pending change hold for good.
///
/// # Errors
/// When no agent answers, or the caller may not change anything.
pub fn confirm(config: &Path, output: Output) -> Result<ExitCode> {
    let answer = client::post::<Applied>(&socket(config)?, "/v1/confirm", &())?;
    told(answer, output, |applied| said("confirmed", applied))
}

/// Takes the pending change back, or goes back to an earlier generation.
///
/// # Errors
/// When no agent answers, or the caller may not change anything.
pub fn roll_back(config: &Path, options: &RollbackOptions, output: Output) -> Result<ExitCode> {
    let seconds = options.confirm_within.as_deref().map(seconds).transpose()?;
    let request = RollbackRequest { number: options.number, seconds, note: options.note.clone() };
    let answer = client::post::<Applied>(&socket(config)?, "/v1/rollback", &request)?;
    told(answer, output, |applied| said("rolled back", applied))
}

fn said(what: &str, applied: &Applied) -> String {
    let number =
        applied.number.map_or_else(|| "what is not kept".to_owned(), |number| format!("generation {number}"));
    let Applied { confirm_by, changed, .. } = applied;
    match confirm_by {
        Some(by) => format!(
            "{what} {number} (kernel generation {}), {} rows changed\npending: it goes back by itself at {by:.0}; \
             `iomt-filter confirm` keeps it, `iomt-filter rollback` takes it back at once",
            changed.generation, changed.changed
        ),
        None => {
            format!(
                "{what}: {number} holds (kernel generation {}), {} rows changed",
                changed.generation, changed.changed
            )
        }
    }
}

fn seconds(text: &str) -> Result<u64> {
    let lasts = parse_duration(text)
        .map_err(|error| anyhow!("`--confirm-within {text}`: {error}; {}", error.help()))?;
    Ok(lasts.as_secs())
}

/// Whether somebody sits at the other end of a network: `sudo` takes the variables of a session away, not the process.
pub(super) fn is_remote() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    if ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"].into_iter().any(is_set) {
        return true;
    }
    if is_session_remote() {
        return true;
    }
    let mut process = std::process::id();
    for _ in 0..ANCESTORS {
        let Some((name, parent)) = process_at(process) else { return false };
        if matches!(
            name.as_str(),
            "sshd" | "sshd-session" | "telnetd" | "in.telnetd" | "mosh-server" | "dropbear"
        ) {
            return true;
        }
        process = parent;
    }
    false
}

/// Whether the login that this process belongs to came over a network, as `logind` says (`sd_session_is_remote(3)`): in
/// tmux or screen neither variables nor ancestors tell.
fn is_session_remote() -> bool {
    let session = fs::read_to_string("/proc/self/sessionid").unwrap_or_default();
    let session = session.trim();
    !session.is_empty()
        && session.bytes().all(|byte| byte.is_ascii_digit())
        && fs::read_to_string(Path::new("/run/systemd/sessions").join(session))
            .is_ok_and(|text| text.lines().any(|line| line == "REMOTE=1"))
}

/// Name and parent of a process (`proc_pid_stat(5)`); nothing above the first.
fn process_at(process: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold anything, parentheses too.
    let (before, behind) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let parent: u32 = behind.split_whitespace().nth(1)?.parse().ok()?;
    (parent != 0).then_some((name, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_name_and_a_parent() {
        let (name, parent) = process_at(std::process::id()).unwrap();
        assert!(!name.is_empty() && parent > 0, "{name} {parent}");
        assert_eq!(parent, std::os::unix::process::parent_id());
    }
}
