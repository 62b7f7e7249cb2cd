//! `iomt-filter quarantine`, `bypass`, `release`: what holds of devices by hand, for a time.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{ArgGroup, Args};

use crate::api::client;
use crate::api::messages::{
    Excepted, ExceptionKind, ExceptionRequest, ExceptionStatus, Refused, ReleaseExceptionRequest, Scope,
};
use crate::cli::Output;
use crate::cmd::{socket, told};
use crate::config::parse_duration;
use crate::output;

/// Options of `quarantine`.
#[derive(Debug, Args)]
pub struct Quarantine {
    /// The device, as the inventory calls it
    device: String,
    /// How long, as `2h`; until `iomt-filter release` where nothing is said
    #[arg(long = "for", value_name = "DURATION")]
    duration: Option<String>,
    /// Why
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
}

/// Options of `bypass`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("scope").required(true).args(["device", "profile", "all"]))]
pub struct Bypass {
    /// Let one device through
    #[arg(long)]
    device: Option<String>,
    /// Let all devices of a profile through
    #[arg(long)]
    profile: Option<String>,
    /// Let everything through
    #[arg(long)]
    all: bool,
    /// How long, as `30m`; 7 days at most
    #[arg(long = "for", value_name = "DURATION")]
    duration: String,
    /// Why
    #[arg(long, value_parser = crate::cmd::note)]
    note: String,
}

/// Options of `release`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("scope").required(true).args(["device", "profile", "all"]))]
pub struct Release {
    /// The device, as the inventory calls it
    device: Option<String>,
    /// What holds of all devices of a profile
    #[arg(long)]
    profile: Option<String>,
    /// What holds of everything
    #[arg(long)]
    all: bool,
    /// Why
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
}

/// Cuts a device off.
///
/// # Errors
/// When no agent answers, or the caller may not change anything.
pub fn quarantine(config: &Path, options: &Quarantine, output: Output) -> Result<ExitCode> {
    let request = ExceptionRequest {
        kind: ExceptionKind::Quarantine,
        scope: Scope::Device(options.device.clone()),
        seconds: options.duration.as_deref().map(seconds).transpose()?,
        note: options.note.clone(),
    };
    except(config, &request, output)
}

/// Lets devices through, whatever policy and lists say.
///
/// # Errors
/// When no agent answers, or the caller may not change anything.
pub fn bypass(config: &Path, options: &Bypass, output: Output) -> Result<ExitCode> {
    let request = ExceptionRequest {
        kind: ExceptionKind::Bypass,
        scope: scope(options.device.as_ref(), options.profile.as_ref()),
        seconds: Some(seconds(&options.duration)?),
        note: Some(options.note.clone()),
    };
    except(config, &request, output)
}

/// Lets policy hold again.
///
/// # Errors
/// When no agent answers, or the caller may not change anything.
pub fn release(config: &Path, options: &Release, output: Output) -> Result<ExitCode> {
    let scope = scope(options.device.as_ref(), options.profile.as_ref());
    let request = ReleaseExceptionRequest { scope: scope.clone(), note: options.note.clone() };
    let answer = client::post::<Excepted>(&socket(config)?, "/v1/exceptions/release", &request)?;
    warned(&answer, output);
    told(answer, output, |done| format!("policy holds again of {scope}, {} devices", done.devices))
}

fn except(config: &Path, request: &ExceptionRequest, output: Output) -> Result<ExitCode> {
    let answer = client::post::<Excepted>(&socket(config)?, "/v1/exceptions", request)?;
    warned(&answer, output);
    told(answer, output, |done| {
        let made =
            done.exceptions.iter().rfind(|made| made.scope == request.scope && made.kind == request.kind);
        let made = made.map_or_else(String::new, shown);
        format!("{made}; {} devices", done.devices)
    })
}

/// Says what else there is to know; in a document it is anyway.
fn warned(answer: &std::result::Result<Excepted, Refused>, output: Output) {
    if let (Ok(done), Output::Text) = (answer, output) {
        done.warnings.iter().for_each(|warning| output::note(format!("warning: {warning}")));
    }
}

/// As `status` shows it.
pub(super) fn shown(exception: &ExceptionStatus) -> String {
    let ExceptionStatus { kind, scope, until, note, by, .. } = exception;
    let until = until.map_or_else(|| "until it is released".to_owned(), |until| format!("until {until:.0}"));
    let note = note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    format!("{} of {scope} {until}, by {by}{note}", kind.name())
}

fn scope(device: Option<&String>, profile: Option<&String>) -> Scope {
    match (device, profile) {
        (Some(device), _) => Scope::Device(device.clone()),
        (None, Some(profile)) => Scope::Profile(profile.clone()),
        (None, None) => Scope::All,
    }
}

fn seconds(text: &str) -> Result<u64> {
    let lasts = parse_duration(text).map_err(|error| anyhow!("`--for {text}`: {error}; {}", error.help()))?;
    Ok(lasts.as_secs())
}
