//! SDC (IEEE 11073-20701): a patient monitor that can be found and reports, and a workstation that subscribes to it, by
//! the library sdc11073. Both listen on ports of chance: the monitor for questions, the workstation for reports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Station, Ward};
use crate::hospital::Version;
use crate::hospital::program::Program;
use crate::hospital::wait;
use crate::tools;

/// The version of the library.
pub const VERSION: &str = "3.0.0";
const PROVIDER: &str = include_str!("files/sdc_provider.py");
const CONSUMER: &str = include_str!("files/sdc_consumer.py");
const MDIB: &str = include_str!("files/monitor.mdib.xml");
/// How long Python, discovery and subscription may take.
const LIMIT: Duration = Duration::from_secs(40);

/// A monitor and who watches it; gone when this value is.
#[derive(Debug)]
pub struct Watched {
    provider: Program,
    consumer: Program,
    reports: PathBuf,
}

impl Watched {
    /// Starts both, and waits for the first report. `tools` is a folder for programs.
    ///
    /// # Errors
    /// When the library cannot be fetched, or the two do not find each other.
    pub fn start(ward: &Ward, monitor: Station, workstation: Station, tools: &Path) -> Result<Self> {
        let python = tools::python(tools, "sdc11073", VERSION)?;
        let mdib = written(ward, "monitor.mdib.xml", MDIB)?;
        let start = |station: Station, name: &str, text: &str, more: &[&Path]| -> Result<_> {
            let mut command = Command::new(&python);
            command.arg(written(ward, &format!("{name}.py"), text)?);
            command.arg(ward.address(station, Version::V4).to_string()).args(more);
            let log = ward.file(&format!("{name}.log"));
            Ok((Program::start(&ward[station], &mut command, &log)?, log))
        };
        let (mut provider, said) = start(monitor, "sdc-provider", PROVIDER, &[&mdib])?;
        wait::until("a monitor that speaks SDC", LIMIT, || {
            provider.check()?;
            Ok(fs::read_to_string(&said)?.contains("ready").then_some(()))
        })?;
        let (consumer, reports) = start(workstation, "sdc-consumer", CONSUMER, &[])?;
        let mut watched = Self { provider, consumer, reports };
        watched.wait_for_more()?;
        Ok(watched)
    }

    /// Waits for more reports than there were.
    ///
    /// # Errors
    /// When none come.
    pub fn wait_for_more(&mut self) -> Result<()> {
        let before = self.reports()?;
        wait::until("reports of a monitor", LIMIT, || {
            self.provider.check()?;
            self.consumer.check()?;
            Ok((self.reports()? > before).then_some(()))
        })
    }

    fn reports(&self) -> Result<usize> {
        let said = fs::read_to_string(&self.reports).context("no log of the workstation")?;
        Ok(said.lines().filter(|line| line.starts_with("rate ")).count())
    }
}

fn written(ward: &Ward, name: &str, text: &str) -> Result<PathBuf> {
    let file = ward.file(name);
    fs::write(&file, text).context("failed to write a file of a program")?;
    Ok(file)
}
