//! `iomt-filter explain`: the real program's answer to a question, stage by stage.
//!
//! A running agent answers from what it has loaded now; without one, the files of the configuration are judged
//! with, as `replay` does. Nothing that runs is touched either way.

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{ArgGroup, Args};

use super::sources::{SourceError, Sources};
use crate::api::client;
use crate::cli::{FAILURE, FINDING, Output};
use crate::clock::boottime;
use crate::cmd::listening;
use crate::datapath::Learned;
use crate::explain::{Explanation, Question, Setting, Surroundings};
use crate::output;

/// Options of `explain`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("peer").required(true).args(["to", "from"]))]
pub struct Options {
    /// The device that the question is about
    #[arg(long, value_name = "DEVICE")]
    device: String,
    /// Whom the device opens to: an address, a device, or an endpoint of the policy
    #[arg(long, value_name = "PEER")]
    to: Option<String>,
    /// Who opens to the device
    #[arg(long, value_name = "PEER")]
    from: Option<String>,
    /// What is opened: a service by name, as `443/tcp`, `icmp`, `icmpv6` or `proto/47`
    #[arg(long)]
    service: String,
    /// The port of whoever opens
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    source_port: Option<u16>,
    /// Which of the device's addresses; the first of the peer's family where nothing is said
    #[arg(long, value_name = "ADDR")]
    address: Option<IpAddr>,
    /// Flags of the TCP packet, as events show them: `S`, `SA`, `A`, …
    #[arg(long)]
    flags: Option<String>,
    /// Ask no agent, judge with the files of the configuration
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    sources: Sources,
}

impl Options {
    fn question(&self) -> Question {
        Question {
            device: self.device.clone(),
            peer: self.to.as_ref().or(self.from.as_ref()).cloned().unwrap_or_default(),
            is_from: self.from.is_some(),
            service: self.service.clone(),
            source_port: self.source_port,
            address: self.address,
            flags: self.flags.clone(),
        }
    }
}

/// Asks. That the packet, or the answer to it, would be dropped is a finding.
///
/// # Errors
/// When the question cannot be understood, or the program not be loaded.
pub fn run(config: &Path, options: &Options, format: Output) -> Result<ExitCode> {
    let question = options.question();
    let is_offline = options.offline || options.sources.are_given();
    let agent = if is_offline { None } else { listening(config) };
    let explanation = match &agent {
        Some(socket) => {
            output::note(format!("answered by the agent on `{}`", socket.display()));
            client::explanation(socket, &question)?
        }
        None => match from_files(config, options, &question, is_offline)? {
            Some(explanation) => explanation,
            None => return Ok(ExitCode::from(FAILURE)),
        },
    };
    match format {
        Output::Json => output::document(&explanation)?,
        Output::Text => output::text(&explanation)?,
    }
    Ok(if explanation.is_cut() { ExitCode::from(FINDING) } else { ExitCode::SUCCESS })
}

/// The answer of the files; nothing where they are invalid, which has been said then.
fn from_files(
    config: &Path,
    options: &Options,
    question: &Question,
    is_offline: bool,
) -> Result<Option<Explanation>> {
    let intent = match options.sources.read(config) {
        Ok(intent) => intent,
        Err(SourceError::Invalid(found)) => {
            found.iter().for_each(output::note);
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let why = if is_offline { "no agent was asked" } else { "no agent answers" };
    output::note(format!("answered from files, {why}"));
    let surroundings =
        Surroundings { rows: &intent.rows, vocabulary: &intent.vocabulary, segments: &intent.segments };
    let scene = surroundings.understand(question, &[])?;
    let setting = Setting {
        source: "files",
        rows: intent.rows.about(&scene.addresses()),
        countries: intent.countries.clone(),
        learned: Learned::default(),
        generation: 1,
        now: boottime(),
    };
    Ok(Some(scene.play(setting).context("failed to have the packet judged")?))
}
