//! `iomt-filter plan --live`: what the files say judges the same packets as what holds, and where they differ is shown.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use crate::api::client;
use crate::api::messages::{DifferenceStatus, EndTrialRequest, Refused, TrialRequest, TrialStatus};
use crate::cli::{FINDING, Output};
use crate::cmd::socket;
use crate::config::parse_duration;
use crate::output::Align::{Left, Right};
use crate::output::{self, Table};

/// From one look at the trial to the next.
const PAUSE: Duration = Duration::from_millis(500);
/// The kernel ends a trial of a command that was killed.
const MORE: Duration = Duration::from_secs(10);
/// It costs every packet the long way, twice.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Has what the files say judge beside what holds for so long; ends with 1 where it would cut something, or cannot be
/// tried for what it says.
///
/// # Errors
/// When no agent answers, the caller may not change anything, a change is pending, the trial ends before its time, or
/// what it has shown is not all that there was.
pub(super) fn run(config: &Path, lasts: &str, output: Output) -> Result<ExitCode> {
    let duration =
        parse_duration(lasts).map_err(|error| anyhow!("`--live {lasts}`: {error}; {}", error.help()))?;
    if duration.is_zero() || duration > LONGEST {
        bail!("`--live {lasts}`: a trial lasts longer than 0 and at most `24h`");
    }
    let socket = socket(config)?;
    let request = TrialRequest { seconds: duration.saturating_add(MORE).as_secs() };
    let refused = |refused: Refused| anyhow!("{}", refused.errors.join("; "));
    let begun = client::post::<TrialStatus>(&socket, "/v1/trial", &request)?.map_err(refused)?;
    if !begun.errors.is_empty() {
        match output {
            Output::Json => output::document(&begun)?,
            Output::Text => begun.errors.iter().for_each(output::note),
        }
        return Ok(ExitCode::from(FINDING));
    }
    if output == Output::Text {
        begun.warnings.iter().for_each(output::note);
        output::note(format!("for {lasts}, packets are judged by what holds and by what the files say"));
    }
    let end = Instant::now() + duration;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        thread::sleep(left.min(PAUSE));
        let status: TrialStatus = client::get(&socket, "/v1/trial")?;
        if status.generation != begun.generation {
            bail!("somebody has begun another trial, which has ended this one");
        }
        if !status.running {
            bail!(
                "the trial has ended before its time: something else was applied, or the agent was restarted"
            );
        }
    }
    let end = EndTrialRequest { generation: begun.generation };
    let status = client::post::<TrialStatus>(&socket, "/v1/trial/end", &end)?.map_err(refused)?;
    let doubt = doubt(&status);
    match output {
        Output::Json => output::document(&status)?,
        Output::Text if !status.differences.is_empty() => {
            output::note(format!("{} frames; of these, by device and reason:", status.frames));
            output::text(table(&status.differences))?;
        }
        Output::Text if doubt.is_none() => {
            output::text(format!("{} frames, and both say the same of each", status.frames))?;
        }
        Output::Text => {}
    }
    let cuts = status.differences.iter().any(cuts);
    match doubt {
        Some(doubt) if cuts => output::note(doubt),
        Some(doubt) => bail!(doubt),
        None => {}
    }
    Ok(if cuts { ExitCode::from(FINDING) } else { ExitCode::SUCCESS })
}

/// Why what was counted does not say that nothing else would be cut.
fn doubt(status: &TrialStatus) -> Option<String> {
    if status.frames == 0 {
        return Some(
            "no packet came that both could judge: this says nothing of what the files say; try longer, and see \
             with `iomt-filter status` where the filter is attached"
                .to_owned(),
        );
    }
    (status.uncounted > 0).then(|| {
        format!(
            "there are more differences than can be told apart: {} frames that differ are in no line, and some may \
             be cut; mend those that are shown, then try again",
            status.uncounted
        )
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_not_taken_for_consent() {
        let counted = |frames, uncounted| TrialStatus { frames, uncounted, ..TrialStatus::default() };
        assert_eq!(doubt(&counted(5, 0)), None);
        assert!(doubt(&counted(0, 0)).unwrap().starts_with("no packet came"));
        assert!(doubt(&counted(5, 2)).unwrap().contains("2 frames that differ are in no line"));
    }
}
