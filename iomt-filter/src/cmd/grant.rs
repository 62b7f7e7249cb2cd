//! `iomt-filter grant`: access of one device that ends by itself.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use clap::{ArgGroup, Args, Subcommand};

use crate::api::client;
use crate::api::messages::{Changed, Grant, GrantRequest, Granted, RevokeRequest};
use crate::cli::Output;
use crate::cmd::{socket, told};
use crate::config::parse_duration;
use crate::output::Align::{Left, Right};
use crate::output::{self, Table};

/// Options of `grant`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Options {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    new: New,
}

/// What to do with grants.
#[derive(Debug, Subcommand)]
enum Verb {
    /// End a grant: a session under it is cut with its next packet
    Revoke(Revoke),
    /// List the grants that hold
    List,
}

/// Options of `grant revoke`.
#[derive(Debug, Args)]
struct Revoke {
    /// Its number, as `grant list` shows it
    id: u32,
    /// Why, for the audit log
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
}

/// A new grant.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("peer").required(true).args(["to", "from"]))]
struct New {
    /// The device, as the inventory calls it
    #[arg(required = true)]
    device: Option<String>,
    /// What the device may open to: an endpoint, an address, a prefix, `gateway`, `profile:NAME` or `any`
    #[arg(long, value_name = "PEER")]
    to: Vec<String>,
    /// What may open to the device
    #[arg(long, value_name = "PEER")]
    from: Vec<String>,
    /// The service, as rules name it
    #[arg(long, value_name = "SERVICE", required = true)]
    service: Vec<String>,
    /// How long it holds, as `4h`; 30 days at most
    #[arg(long = "for", value_name = "DURATION", required = true)]
    duration: Option<String>,
    /// Why
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
}

/// Does it.
///
/// # Errors
/// When no agent answers, or the caller may not change anything.
pub fn run(config: &Path, options: &Options, output: Output) -> Result<ExitCode> {
    match &options.verb {
        None => grant(config, &options.new, output),
        Some(Verb::Revoke(revoke)) => {
            let request = RevokeRequest { id: revoke.id, note: revoke.note.clone() };
            let answer = client::post(&socket(config)?, "/v1/grants/revoke", &request)?;
            told(answer, output, |changed: &Changed| {
                format!("grant {} revoked, generation {}", revoke.id, changed.generation)
            })
        }
        Some(Verb::List) => {
            let grants: Vec<Grant> = client::get(&socket(config)?, "/v1/grants")?;
            match output {
                Output::Json => output::document(&grants)?,
                Output::Text => output::text(table(&grants))?,
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn grant(config: &Path, new: &New, output: Output) -> Result<ExitCode> {
    let (Some(device), Some(duration)) = (&new.device, &new.duration) else {
        bail!("a grant needs a device and `--for`");
    };
    let lasts =
        parse_duration(duration).map_err(|error| anyhow!("`--for {duration}`: {error}; {}", error.help()))?;
    let request = GrantRequest {
        device: device.clone(),
        to: new.to.clone(),
        from: new.from.clone(),
        services: new.service.clone(),
        seconds: lasts.as_secs(),
        note: new.note.clone(),
    };
    let answer = client::post::<Granted>(&socket(config)?, "/v1/grants", &request)?;
    if let (Ok(granted), Output::Text) = (&answer, output) {
        granted.warnings.iter().for_each(|warning| output::note(format!("warning: {warning}")));
    }
    told(answer, output, |granted| {
        let Granted { grant, generation, .. } = granted;
        format!("grant {} for `{}` until {:.0}, generation {generation}", grant.id, grant.device, grant.until)
    })
}

fn table(grants: &[Grant]) -> Table<8> {
    let mut table = Table::new([
        ("number", Right),
        ("device", Left),
        ("peer", Left),
        ("service", Left),
        ("until", Left),
        ("added", Left),
        ("by", Left),
        ("note", Left),
    ]);
    for grant in grants {
        let peer = match grant.to.is_empty() {
            false => format!("to {}", grant.to.join(",")),
            true => format!("from {}", grant.from.join(",")),
        };
        table.row([
            grant.id.to_string(),
            grant.device.clone(),
            peer,
            grant.services.join(","),
            format!("{:.0}", grant.until),
            format!("{:.0}", grant.added),
            grant.by.clone(),
            grant.note.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table
}
