//! `iomt-filter flows`: what is remembered of conversations.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::api::client;
use crate::api::types::FlowStatus;
use crate::cli::Output;
use crate::cmd::socket;
use crate::output;

/// Options of `flows`.
#[derive(Debug, Args)]
pub struct Options {
    /// Only of this device
    #[arg(long)]
    device: Option<String>,
}

/// Lists remembered flows.
///
/// # Errors
/// When no agent answers.
pub fn run(config: &Path, options: &Options, output: Output) -> Result<ExitCode> {
    let mut flows: Vec<FlowStatus> = client::get(&socket(config)?, "/v1/flows")?;
    flows.retain(|flow| options.device.is_none() || flow.device == options.device);
    match output {
        Output::Json => output::json(&flows)?,
        Output::Text => {
            let header = ["DEVICE", "OPENED BY", "TO", "PROTOCOL", "STATE", "PACKETS", "BYTES", "IDLE", "RULE"];
            output::table(&header, flows.iter().map(row))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(flow: &FlowStatus) -> Vec<String> {
    let state = if flow.current { flow.progress.clone() } else { format!("{}, to be judged again", flow.progress) };
    vec![
        flow.device.clone().unwrap_or_else(|| "-".to_owned()),
        output::endpoint(&flow.source, flow.source_port),
        output::endpoint(&flow.destination, flow.destination_port),
        flow.protocol.clone(),
        state,
        flow.packets.to_string(),
        flow.bytes.to_string(),
        format!("{} s", flow.idle_seconds),
        flow.rule.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}
