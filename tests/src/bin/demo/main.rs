//! `demo`: a small hospital in network namespaces, before and after the filter.
//!
//! What is shown is what happens: real programs, real packets, the agent's own events. Exit code 0 when
//! everything was as expected, 1 when something was not, 2 when the demo could not go on, 130 when it was
//! interrupted.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use iomt_filter_tests::hospital::{Hospital, dicom, wait};
use nix::unistd::Uid;

mod say;
mod live;
mod story;
mod attempts;
mod cut;
mod table;
mod keep;

use say::Say;

/// What the namespaces of every demo begin with.
const PREFIX: &str = "iomt-demo";
const USAGE: &str =
    "usage: demo [--keep]\n\n  --keep  leave it running until Ctrl-C, to try the command line against it";

const UNEXPECTED: u8 = 1;
const FAILURE: u8 = 2;
/// As of a program that SIGINT has ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let say = Say::new();
    match run(&say) {
        Ok(()) if say.failures().is_empty() => ExitCode::SUCCESS,
        Ok(()) => {
            say.error(&format!("not as expected: {}", say.failures().join("; ")));
            ExitCode::from(UNEXPECTED)
        }
        Err(_) if wait::is_interrupted() => {
            say.error("interrupted");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            say.error(&format!("{error:#}"));
            ExitCode::from(FAILURE)
        }
    }
}

fn run(say: &Say) -> Result<()> {
    let mut keep = false;
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--keep" => keep = true,
            "--help" | "-h" => {
                say.line(USAGE);
                return Ok(());
            }
            other => bail!("no option `{other}`\n{USAGE}"),
        }
    }
    ensure!(
        Uid::effective().is_root(),
        "the demo needs root for network namespaces and BPF: run `sudo -E cargo xtask demo`"
    );
    let binary = env::var_os("IOMT_FILTER_BIN").map(PathBuf::from);
    let binary = binary.context("`IOMT_FILTER_BIN` names no agent: run `cargo xtask demo`")?;
    check_programs()?;
    wait::watch_signals()?;
    Hospital::sweep(PREFIX);
    story::tell(say, &binary, keep)
}

fn check_programs() -> Result<()> {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &str| env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing: Vec<_> = dicom::PROGRAMS.into_iter().filter(|program| !is_there(program)).collect();
    ensure!(missing.is_empty(), "`{}` not found: install the package `dcmtk`", missing.join("`, `"));
    ensure!(is_there("ip"), "`ip` not found: install the package `iproute2`");
    ensure!(Path::new("/sys/fs/bpf").is_dir(), "no BPF file system: run `mount -t bpf bpf /sys/fs/bpf`");
    Ok(())
}
