//! `iomt-filter plan --live`: what the files say judges the same packets as what holds, and where they differ is shown.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use crate::api::client;
use crate::api::messages::{DifferenceStatus, TrialRequest, TrialStatus};
use crate::cli::{FINDING, Output};
use crate::cmd::socket;
use crate::config::parse_duration;
use crate::output::Align::{Left, Right};
use crate::output::{self, Table};

/// From one look at the trial to the next.
const PAUSE: Duration = Duration::from_millis(500);
/// The kernel ends a trial of a command that was killed.
const MORE: Duration = Duration::from_secs(10);

/// Has what the files say judge beside what holds for so long; ends with 1 where it would cut something.
///
/// # Errors
/// When no agent answers, the caller may not change anything, or the trial ends before its time.
pub(super) fn run(config: &Path, lasts: &str, output: Output) -> Result<ExitCode> {
    let duration =
        parse_duration(lasts).map_err(|error| anyhow!("`--live {lasts}`: {error}; {}", error.help()))?;
    let socket = socket(config)?;
    let request = TrialRequest { seconds: duration.saturating_add(MORE).as_secs() };
    let begun = match client::post::<TrialStatus>(&socket, "/v1/trial", &request)? {
        Ok(begun) => begun,
        Err(refused) => {
            match output {
                Output::Json => output::document(&refused)?,
                Output::Text => refused.errors.iter().for_each(output::note),
            }
            return Ok(ExitCode::from(FINDING));
        }
    };
    if output == Output::Text {
        begun.warnings.iter().for_each(output::note);
        output::note(format!("for {lasts}, packets are judged by what holds and by what the files say"));
    }
    let end = Instant::now() + duration;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        thread::sleep(left.min(PAUSE));
        let status: TrialStatus = client::get(&socket, "/v1/trial")?;
        if !status.running {
            bail!(
                "the trial has ended before its time: something else was applied, or the agent was restarted"
            );
        }
    }
    let ended = client::post::<TrialStatus>(&socket, "/v1/trial/end", &())?;
    let status = ended.map_err(|refused| anyhow!("{}", refused.errors.join("; ")))?;
    let cuts = status.differences.iter().any(cuts);
    match output {
        Output::Json => output::document(&status)?,
        Output::Text if status.differences.is_empty() => {
            output::text(format!("{} frames, and both say the same of each", status.frames))?;
        }
        Output::Text => {
            output::note(format!("{} frames; of these, by device and reason:", status.frames));
            output::text(table(&status.differences))?;
        }
    }
    Ok(if cuts { ExitCode::from(FINDING) } else { ExitCode::SUCCESS })
}

/// Whether frames that pass would not any more.
fn cuts(difference: &DifferenceStatus) -> bool {
    let ends = |verdict: &str| matches!(verdict, "drop" | "reset");
    !ends(&difference.verdict) && ends(&difference.tried_verdict)
}

fn table(differences: &[DifferenceStatus]) -> Table<5> {
    let mut table =
        Table::new([("frames", Right), ("device", Left), ("now", Left), ("then", Left), ("which", Left)]);
    for difference in differences {
        let DifferenceStatus { device, verdict, reason, tried_verdict, tried_reason, frames } = difference;
        table.row([
            frames.to_string(),
            device.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{verdict} ({reason})"),
            format!("{tried_verdict} ({tried_reason})"),
            if cuts(difference) { "is cut" } else { "passes, or is reported" }.to_owned(),
        ]);
    }
    table
}
