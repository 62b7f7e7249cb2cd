//! NTP: `chronyd` of Debian as a server, and as a client that asks once. Neither touches a clock.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::{Station, Ward};
use crate::hospital::Version;
use crate::hospital::program::{self, Program};
use crate::hospital::wait;
use crate::tools;

const LIMIT: Duration = Duration::from_secs(15);
/// How long the client waits for an answer, in seconds.
const PATIENCE: &str = "6";

/// A server of the hospital's time.
#[derive(Debug)]
pub struct TimeServer {
    _program: Program,
}

impl TimeServer {
    /// Starts it on the ward's server. `tools` is a folder for programs.
    ///
    /// # Errors
    /// When it cannot be fetched, or does not start.
    pub fn start(ward: &Ward, tools: &Path) -> Result<Self> {
        let options = ["-x", "-d", "-u", "root", "local stratum 8", "allow"];
        let mut command = chronyd(ward, tools, Station::Server, &options)?;
        let log = ward.file("time.log");
        let mut program = Program::start(&ward[Station::Server], &mut command, &log)?;
        wait::until("a time server", LIMIT, || {
            program.check()?;
            Ok(program.tail().contains("Running with root privileges").then_some(()))
        })?;
        Ok(Self { _program: program })
    }
}

/// Whether the server says to a station what time it is.
///
/// # Errors
/// When `chronyd` cannot be fetched, or does not end.
pub fn ask(ward: &Ward, from: Station, tools: &Path) -> Result<bool> {
    let server = format!("server {} iburst maxsamples 1", ward.address(Station::Server, Version::V4));
    let mut command = chronyd(ward, tools, from, &["-Q", "-t", PATIENCE, "-u", "root", &server])?;
    let answer = program::run(&ward[from], &mut command, LIMIT)?;
    Ok(answer.status.success())
}

/// The program with its options, and what it is told in place of a file, a line each.
fn chronyd(ward: &Ward, tools: &Path, station: Station, told: &[&str]) -> Result<Command> {
    let mut command = Command::new(tools::debian(tools, "chrony")?.join("usr/sbin/chronyd"));
    let file = ward.file(&format!("time-{}.pid", station.name()));
    command.args(told).args(["bindcmdaddress /", "cmdport 0", &format!("pidfile {}", file.display())]);
    Ok(command)
}
