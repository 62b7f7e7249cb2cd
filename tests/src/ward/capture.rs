//! What arrives at an interface, as `tcpdump` has seen it: tags that the kernel strips are put back.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use pcap_file::pcap::PcapReader;

use super::Station;
use super::Ward;
use crate::hospital::program::Program;
use crate::hospital::wait;

const LIMIT: Duration = Duration::from_secs(10);

/// `tcpdump` at work; it ends when this value goes.
#[derive(Debug)]
pub struct Capture {
    program: Program,
    file: PathBuf,
}

impl Capture {
    /// Starts to listen at an interface of a station, and returns when it does. What leaves the station
    /// is not captured.
    ///
    /// # Errors
    /// When `tcpdump` does not start.
    pub fn start(ward: &Ward, station: Station, interface: &str) -> Result<Self> {
        let file = ward.file(&format!("{}-{interface}.pcap", station.name()));
        let log = ward.file(&format!("tcpdump-{}-{interface}.log", station.name()));
        let mut command = Command::new("tcpdump");
        command.args(["--immediate-mode", "-U", "-n", "-Q", "in", "-Z", "root", "-i", interface, "-w"]);
        let mut program = Program::start(&ward[station], command.arg(&file), &log)?;
        wait::until("`tcpdump` to listen", LIMIT, || {
            program.check()?;
            let said = fs::read_to_string(&log).unwrap_or_default();
            Ok(said.contains("listening on").then_some(()))
        })?;
        Ok(Self { program, file })
    }

    /// The frames so far.
    ///
    /// # Errors
    /// When the capture is gone.
    pub fn frames(&mut self) -> Result<Vec<Vec<u8>>> {
        self.program.check()?;
        let file = File::open(&self.file).context("failed to open a capture")?;
        // The last one may not be whole yet.
        let Ok(mut reader) = PcapReader::new(file) else { return Ok(Vec::new()) };
        let mut frames = Vec::new();
        while let Some(Ok(packet)) = reader.next_packet() {
            frames.push(packet.data.into_owned());
        }
        Ok(frames)
    }

    /// Waits for a frame.
    ///
    /// # Errors
    /// When it does not arrive.
    pub fn wait_for(&mut self, what: &str, frame: &[u8]) -> Result<()> {
        wait::until(what, LIMIT, || Ok(self.frames()?.iter().any(|seen| seen == frame).then_some(())))
    }
}
