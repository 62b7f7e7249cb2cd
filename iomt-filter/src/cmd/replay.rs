//! `iomt-filter replay`: a capture through the real program, without an interface and without an agent.
//!
//! Every frame gives one record, in the order of the capture and with its time; what the program takes for
//! the time is in [`clock`]. A frame that the capture holds only in part is judged as it was on the wire, as
//! far as that is known: see [`wire`].

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use iomt_filter_common::device::Port;

use super::sources::{SourceError, Sources};
use crate::capture::Capture;
use crate::cli::{FINDING, Output};
use crate::output::{self, Lines};

mod clock;
mod ports;
mod session;
mod summary;
mod wire;

use session::Session;
use summary::Summary;

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct Options {
    /// Capture of Ethernet frames, pcap or pcapng; `-` is stdin
    capture: PathBuf,
    /// Where the frames come in
    #[arg(long, value_enum, default_value_t)]
    port: PortChoice,
    #[command(flatten)]
    sources: Sources,
}

/// Where the frames of a capture come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum PortChoice {
    /// By frame: on a device port where its source is a device or in a segment, else on an uplink
    #[default]
    Auto,
    /// All on a port that faces devices
    Device,
    /// All on a port that faces the hospital network
    Uplink,
}

impl PortChoice {
    const fn fixed(self) -> Option<Port> {
        match self {
            Self::Auto => None,
            Self::Device => Some(Port::Device),
            Self::Uplink => Some(Port::Uplink),
        }
    }
}

/// Judges every frame of a capture. What is dropped is no finding: the answer is the data.
///
/// # Errors
/// When capture or policy cannot be read, or the program cannot be loaded. All frames before a damaged
/// record are judged and printed.
pub fn run(config: &Path, options: &Options, format: Output) -> Result<ExitCode> {
    let failed = || format!("failed to replay `{}`", options.capture.display());
    let mut capture = Capture::open(open(&options.capture)?).with_context(failed)?;
    let intent = match options.sources.read(config) {
        Ok(intent) => intent,
        Err(SourceError::Invalid(found)) => {
            found.iter().for_each(output::note);
            return Ok(ExitCode::from(FINDING));
        }
        Err(error) => return Err(error.into()),
    };
    intent.warnings.iter().for_each(output::note);
    let mut session = Session::begin(intent, options.port.fixed())?;
    let mut lines = Lines::new();
    let mut summary = Summary::default();
    let mut current = capture.next_frame();
    let end = loop {
        let frame = match current {
            Ok(Some(frame)) => frame,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        // One is read ahead: it tells whether the time of this one is to be believed.
        let next = capture.next_frame();
        let time_of_next = next.as_ref().ok().and_then(|next| next.as_ref()?.time);
        let record = session.judge(frame, time_of_next)?;
        current = next;
        summary.add(&record);
        match format {
            Output::Json => lines.json(&record)?,
            Output::Text => lines.line(&record)?,
        }
    };
    lines.flush()?;
    output::note(&summary);
    end.with_context(failed)?;
    Ok(ExitCode::SUCCESS)
}

fn open(path: &Path) -> Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file =
        File::open(path).with_context(|| format!("failed to open the capture `{}`", path.display()))?;
    Ok(Box::new(file))
}
