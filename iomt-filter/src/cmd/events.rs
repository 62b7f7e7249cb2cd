//! `iomt-filter events`: what was dropped, and why, and what devices did that they never did.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use iomt_filter_common::Reason;
use jiff::Timestamp;

use crate::api::client::{self, escaped};
use crate::api::messages::EventQuery;
use crate::cli::Printed;
use crate::cmd::socket;
use crate::config::parse_duration;
use crate::events::{DRIFT, Format, Notice, Record};
use crate::output;
use crate::policy::peer;

/// Options of `events`.
#[derive(Debug, Args)]
pub struct Options {
    /// Go on with new events as they come
    #[arg(long, short, conflicts_with = "until")]
    follow: bool,
    /// Only of this long ago or later, as `1h` or `30m`, or of a time, as `2026-11-23T14:00:00Z`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only of this long ago or earlier, or of a time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only of this device
    #[arg(long)]
    device: Option<String>,
    /// Only for this reason
    #[arg(long)]
    reason: Option<String>,
    /// Only with this address at the far end, or one of this prefix
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<String>,
    /// The latest this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Prints events, oldest first.
///
/// # Errors
/// When no agent answers or an option makes no sense.
pub fn run(config: &Path, options: &Options, printed: Printed) -> Result<ExitCode> {
    let path = format!("/v1/events?{}", query_string(&query(options, Timestamp::now())?));
    client::lines(&socket(config)?, &path, |line| {
        let text = || String::from_utf8_lossy(line);
        match (printed.format(), serde_json::from_slice::<Record>(line)) {
            (Some(Format::Json), _) | (None, Err(_)) => output::text(text())?,
            (None, Ok(record)) => output::text(record)?,
            (Some(format), Ok(record)) => output::text(format.line(&record))?,
            // No event: how many were missed. A reader of events would not understand it.
            (Some(_), Err(_)) => output::note(text()),
        }
        Ok(true)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn query(options: &Options, now: Timestamp) -> Result<EventQuery> {
    if let Some(reason) = &options.reason {
        let of_frames = Reason::ALL.iter().map(|known| known.name());
        let of_agent = Notice::ALL.iter().map(|known| known.name()).chain([DRIFT]);
        let known: Vec<_> = of_frames.chain(of_agent).collect();
        if !known.contains(&reason.as_str()) {
            return Err(anyhow!("no reason `{reason}`; there are {}", known.join(", ")));
        }
    }
    let peer = options.peer.as_deref().map(peer::network).transpose();
    Ok(EventQuery {
        follow: options.follow,
        since: moment("since", options.since.as_deref(), now)?,
        until: moment("until", options.until.as_deref(), now)?,
        device: options.device.clone(),
        reason: options.reason.clone(),
        peer: peer.map_err(|error| anyhow!("`--peer`: {error}; {}", error.help()))?,
        limit: options.limit,
    })
}

/// A time, or how long ago it was.
fn moment(option: &str, text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>> {
    let Some(text) = text else { return Ok(None) };
    if let Ok(time) = text.parse() {
        return Ok(Some(time));
    }
    let ago = parse_duration(text).map_err(|error| {
        anyhow!("`--{option} {text}`: {error}; write `1h` for an hour ago, or `2026-11-23T14:00:00Z`")
    })?;
    now.checked_sub(ago).map(Some).with_context(|| format!("`--{option}` reaches too far back"))
}

fn query_string(query: &EventQuery) -> String {
    let mut parts = vec![format!("follow={}", query.follow)];
    parts.extend(query.since.map(|since| format!("since={}", escaped(&since.to_string()))));
    parts.extend(query.until.map(|until| format!("until={}", escaped(&until.to_string()))));
    parts.extend(query.device.as_ref().map(|device| format!("device={}", escaped(device))));
    parts.extend(query.reason.as_ref().map(|reason| format!("reason={}", escaped(reason))));
    parts.extend(query.peer.map(|peer| format!("peer={}", escaped(&peer.to_string()))));
    parts.extend(query.limit.map(|limit| format!("limit={limit}")));
    parts.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_any_name() {
        let query = EventQuery { device: Some("ct 3&é".into()), limit: Some(5), ..EventQuery::default() };
        assert_eq!(query_string(&query), "follow=false&device=ct%203%26%C3%A9&limit=5");
    }

    #[test]
    fn a_time_is_one_or_a_while_ago() {
        let now: Timestamp = "2026-11-23T14:00:00Z".parse().unwrap();
        let moment = |text| moment("since", Some(text), now).map(|time| time.unwrap().to_string());
        assert_eq!(moment("1h30m").unwrap(), "2026-11-23T12:30:00Z");
        assert_eq!(moment("2026-11-20T01:02:03+01:00").unwrap(), "2026-11-20T00:02:03Z");
        assert!(moment("yesterday").unwrap_err().to_string().starts_with("`--since yesterday`: "));
    }
}
