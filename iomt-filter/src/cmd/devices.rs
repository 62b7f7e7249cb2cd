//! `iomt-filter devices`: the inventory with its counters.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::api::messages::DeviceStatus;
use crate::cli::Output;
use crate::cmd::asked;
use crate::output::Align::{Left, Right};
use crate::output::{self, Table};

/// Lists devices.
///
/// # Errors
/// When no agent answers.
pub fn run(config: &Path, output: Output) -> Result<ExitCode> {
    let devices: Vec<DeviceStatus> = asked(config, "/v1/devices")?;
    match output {
        Output::Json => output::document(&devices)?,
        Output::Text => {
            let mut table = Table::new([
                ("device", Left),
                ("profile", Left),
                ("mode", Left),
                ("addresses", Left),
                ("allowed", Right),
                ("dropped", Right),
                ("would drop", Right),
                ("reasons", Left),
            ]);
            devices.iter().for_each(|device| table.row(row(device)));
            output::text(table)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(device: &DeviceStatus) -> [String; 8] {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let refused = device.reasons.iter().filter(|(verdict, _)| verdict.as_str() != "pass");
    let reasons: Vec<_> = refused
        .flat_map(|(_, reasons)| reasons.iter().map(|(reason, frames)| format!("{reason} {frames}")))
        .collect();
    [
        device.name.clone().unwrap_or_else(|| "(no device)".to_owned()),
        text(&device.profile),
        text(&device.mode),
        addresses(device),
        device.allowed.to_string(),
        device.dropped.to_string(),
        device.would_dropped.to_string(),
        reasons.join(", "),
    ]
}

/// Those of the inventory, then those from DHCP with the time of day at which they end.
fn addresses(device: &DeviceStatus) -> String {
    let leased = device.leases.iter().flatten().map(|lease| match lease.until {
        Some(until) => format!("{} (dhcp until {})", lease.address, until.strftime("%F %TZ")),
        None => format!("{} (dhcp without end)", lease.address),
    });
    let all: Vec<_> = device.addresses.iter().cloned().chain(leased).collect();
    match (all.is_empty(), &device.leases) {
        (false, _) => all.join(" "),
        (true, Some(_)) => "(dhcp, none yet)".to_owned(),
        (true, None) => "-".to_owned(),
    }
}
