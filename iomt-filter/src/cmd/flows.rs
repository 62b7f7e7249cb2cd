//! `iomt-filter flows`: what is remembered of conversations.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::api::client;
use crate::api::messages::FlowStatus;
use crate::cli::Output;
use crate::cmd::socket;
use crate::output::Align::{Left, Right};
use crate::output::{self, Table};

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
