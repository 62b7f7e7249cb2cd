//! `iomt-filter events`: what was dropped, and why.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use iomt_filter_common::Reason;
use jiff::Timestamp;

use crate::api::client;
use crate::api::messages::EventQuery;
use crate::cli::Output;
use crate::cmd::socket;
use crate::config::parse_duration;
use crate::events::{Notice, Record};
use crate::output;

/// Options of `events`.
#[derive(Debug, Args)]
pub struct Options {
    /// Go on with new events as they come
    #[arg(long, short)]
    follow: bool,
    /// Only of this long ago or later, as `1h` or `30m`
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
    /// Only of this device
    #[arg(long)]
    device: Option<String>,
    /// Only for this reason
    #[arg(long)]
    reason: Option<String>,
    /// The latest this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Prints events, oldest first.
///
/// # Errors
/// When no agent answers or an option makes no sense.
pub fn run(config: &Path, options: &Options, output: Output) -> Result<ExitCode> {
    let path = format!("/v1/events?{}", query_string(&query(options)?));
    client::lines(&socket(config)?, &path, |line| {
        let text = String::from_utf8_lossy(line);
        match (output, serde_json::from_slice::<Record>(line)) {
            (Output::Text, Ok(record)) => output::text(record)?,
            (Output::Text, Err(_)) | (Output::Json, _) => output::text(text)?,
        }
        Ok(true)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn query(options: &Options) -> Result<EventQuery> {
    if let Some(reason) = &options.reason {
        let of_frames = Reason::ALL.iter().map(|known| known.name());
        let known: Vec<_> = of_frames.chain(Notice::ALL.iter().map(|known| known.name())).collect();
        if !known.contains(&reason.as_str()) {
            return Err(anyhow!("no reason `{reason}`; there are {}", known.join(", ")));
        }
    }
    let since = match &options.since {
        None => None,
        Some(text) => {
            let ago = parse_duration(text).map_err(|error| anyhow!("`--since {text}`: {error}"))?;
            Some(Timestamp::now().checked_sub(ago).context("`--since` reaches too far back")?)
        }
    };
    Ok(EventQuery {
        follow: options.follow,
        since,
        device: options.device.clone(),
        reason: options.reason.clone(),
        limit: options.limit,
    })
}

fn query_string(query: &EventQuery) -> String {
    let mut parts = vec![format!("follow={}", query.follow)];
    parts.extend(query.since.map(|since| format!("since={}", escaped(&since.to_string()))));
    parts.extend(query.device.as_ref().map(|device| format!("device={}", escaped(device))));
    parts.extend(query.reason.as_ref().map(|reason| format!("reason={}", escaped(reason))));
    parts.extend(query.limit.map(|limit| format!("limit={limit}")));
    parts.join("&")
}

/// Percent-encoding of everything but unreserved characters (RFC 3986 §2.3).
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_any_name() {
        let query = EventQuery { device: Some("ct 3&é".into()), limit: Some(5), ..EventQuery::default() };
        assert_eq!(query_string(&query), "follow=false&device=ct%203%26%C3%A9&limit=5");
    }
}
