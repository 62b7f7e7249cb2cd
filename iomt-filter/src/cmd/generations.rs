//! `iomt-filter generations`: what was made to hold, by whom, and what became of it.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::api::client;
use crate::api::messages::GenerationStatus;
use crate::cli::Output;
use crate::cmd::socket;
use crate::output::Align::{Left, Right};
use crate::output::{self, Table};

/// Lists them, the latest first.
///
/// # Errors
/// When no agent answers.
pub fn run(config: &Path, output: Output) -> Result<ExitCode> {
    let generations: Vec<GenerationStatus> = client::get(&socket(config)?, "/v1/generations")?;
    match output {
        Output::Json => output::document(&generations)?,
        Output::Text => output::text(table(&generations))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(generations: &[GenerationStatus]) -> Table<9> {
    let mut table = Table::new([
        ("number", Right),
        ("state", Left),
        ("applied", Left),
        ("by", Left),
        ("devices", Right),
        ("rules", Right),
        ("bytes", Right),
        ("decided by", Left),
        ("note", Left),
    ]);
    for generation in generations.iter().rev() {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let state =
            if generation.holds { format!("{}, holds", generation.state) } else { generation.state.clone() };
        table.row([
            generation.number.to_string(),
            state,
            format!("{:.0}", generation.at),
            generation.by.clone(),
            generation.devices.to_string(),
            generation.rules.to_string(),
            generation.bytes.to_string(),
            or_dash(&generation.decided_by),
            or_dash(&generation.note),
        ]);
    }
    table
}
