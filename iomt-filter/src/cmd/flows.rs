//! `iomt-filter flows`: what is remembered of conversations.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;
use jiff::Timestamp;

use crate::api::client::{self, escaped};
use crate::api::messages::{FlowStatus, HistoryStatus, MOST_TALKED};
use crate::cli::Output;
use crate::cmd::socket;
use crate::config::parse_duration;
use crate::output::Align::{Left, Right};
use crate::output::{self, Table};
use crate::policy::peer::network;

/// Options of `flows`.
#[derive(Debug, Args)]
pub struct Options {
    /// Only of this device
    #[arg(long)]
    device: Option<String>,
    /// What was, and not what is remembered now: contacts by device, far end and service, the latest first
    #[arg(long)]
    history: bool,
    /// Only with far ends in this network
    #[arg(long, value_name = "ADDRESS|PREFIX", requires = "history")]
    peer: Option<String>,
    /// Only of what was seen in this time, as `7d`
    #[arg(long, value_name = "DURATION", requires = "history")]
    since: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = MOST_TALKED, requires = "history")]
    limit: usize,
}

/// Lists remembered flows, or who talked to whom.
///
/// # Errors
/// When no agent answers, or a time or network cannot be read.
pub fn run(config: &Path, options: &Options, output: Output) -> Result<ExitCode> {
    if options.history {
        return history(config, options, output);
    }
    let device = options.device.as_ref().map(|device| format!("?device={}", escaped(device)));
    let path = format!("/v1/flows{}", device.unwrap_or_default());
    let flows: Vec<FlowStatus> = client::get(&socket(config)?, &path)?;
    match output {
        Output::Json => output::document(&flows)?,
        Output::Text => {
            let mut table = Table::new([
                ("device", Left),
                ("opened by", Left),
                ("to", Left),
                ("protocol", Left),
                ("state", Left),
                ("packets", Right),
                ("bytes", Right),
                ("idle", Right),
                ("rule", Left),
            ]);
            flows.iter().for_each(|flow| table.row(row(flow)));
            output::text(table)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn history(config: &Path, options: &Options, output: Output) -> Result<ExitCode> {
    let mut parts = vec![format!("limit={}", options.limit)];
    parts.extend(options.device.as_ref().map(|device| format!("device={}", escaped(device))));
    if let Some(peer) = &options.peer {
        let network = network(peer).map_err(|error| anyhow!("`--peer`: {error}; {}", error.help()))?;
        parts.push(format!("peer={}", escaped(&network.to_string())));
    }
    if let Some(since) = &options.since {
        let span =
            parse_duration(since).map_err(|error| anyhow!("`--since {since}`: {error}; {}", error.help()))?;
        let since = Timestamp::now().checked_sub(span).unwrap_or(Timestamp::MIN);
        parts.push(format!("since={}", escaped(&since.to_string())));
    }
    let path = format!("/v1/flows/history?{}", parts.join("&"));
    let talked: Vec<HistoryStatus> = client::get(&socket(config)?, &path)?;
    match output {
        Output::Json => output::document(&talked)?,
        Output::Text => {
            let mut table = Table::new([
                ("device", Left),
                ("opened", Left),
                ("far end", Left),
                ("name", Left),
                ("service", Left),
                ("packets", Right),
                ("bytes", Right),
                ("first seen", Left),
                ("last seen", Left),
                ("country", Left),
                ("remarks", Left),
            ]);
            talked.iter().for_each(|one| table.row(talked_row(one)));
            output::text(table)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn talked_row(one: &HistoryStatus) -> [String; 11] {
    let HistoryStatus { talked, name, country, listed, outside, .. } = one;
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let listed = listed.as_ref().map(|listed| {
        format!("listed by `{}` with score {}", listed.feed.as_deref().unwrap_or("?"), listed.score)
    });
    let outside = (*outside > 0).then(|| format!("{outside} packets without a rule"));
    let remarks: Vec<String> = listed.into_iter().chain(outside).collect();
    [
        talked.device.clone(),
        if talked.direction == "to-device" { "in" } else { "out" }.to_owned(),
        talked.peer.clone(),
        or_none(name),
        talked.service.clone(),
        talked.packets.to_string(),
        talked.bytes.to_string(),
        format!("{:.0}", talked.first_seen),
        format!("{:.0}", talked.last_seen),
        or_none(country),
        remarks.join(", "),
    ]
}

fn row(flow: &FlowStatus) -> [String; 9] {
    let state =
        if flow.current { flow.progress.clone() } else { format!("{}, to be judged again", flow.progress) };
    [
        flow.device.clone().unwrap_or_else(|| "-".to_owned()),
        endpoint(&flow.source, flow.source_port),
        endpoint(&flow.destination, flow.destination_port),
        flow.protocol.clone(),
        state,
        flow.packets.to_string(),
        flow.bytes.to_string(),
        format!("{} s", flow.idle_seconds),
        flow.rule.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

/// An address, with its port where there is one; IPv6 then stands in brackets (RFC 5952 §6).
fn endpoint(address: &str, port: Option<u16>) -> String {
    match port {
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address.to_owned(),
    }
}
