//! The filter's events as they come, by `iomt-filter events --follow`.

use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;

use super::filter::Filter;
use super::host::{Host, Version};
use super::program::Program;
use super::wait;

/// How long an event may take from the packet to here.
const LIMIT: Duration = Duration::from_secs(5);

/// Reads events from the agent's first one on.
#[derive(Debug)]
pub struct Events {
    program: Option<Program>,
    thread: Option<JoinHandle<()>>,
    seen: Arc<Mutex<Vec<Value>>>,
}

/// A drop that is expected.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Who sends.
    pub from: Host,
    /// To whom.
    pub to: Host,
    /// By which protocol.
    pub version: Version,
    /// Why it is dropped.
    pub reason: &'static str,
}

impl Events {
    /// Follows the events of an agent that runs.
    ///
    /// # Errors
    /// When the command does not start.
    pub fn follow(filter: &Filter<'_>) -> Result<Self> {
        let mut command = filter.command(&["events", "--follow", "--output", "json"]);
        let log = filter.folder().join("events.log");
        let (program, output) = Program::with_output(filter.host(), &mut command, &log)?;
        let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
        let keeper = Arc::clone(&seen);
        let thread = thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for event in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                keeper.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            }
        });
        Ok(Self { program: Some(program), thread: Some(thread), seen })
    }

    /// Waits for an event, past ones among them.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn wait(&self, what: &str, mut is_it: impl FnMut(&Value) -> bool) -> Result<Value> {
        wait::until(&format!("an event: {what}"), LIMIT, || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(seen.iter().find(|event| is_it(event)).cloned())
        })
    }

    /// Waits for the event of an expected drop.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn wait_for(&self, expected: Expected) -> Result<Value> {
        self.wait(&expected.to_string(), |event| expected.is_in(event))
    }

    /// Events so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // The output ends with the program, and the thread with the output.
        drop(self.program.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Expected {
    /// Whether an event says so.
    #[must_use]
    pub fn is_in(self, event: &Value) -> bool {
        event["verdict"] == "drop"
            && event["reason"] == self.reason
            && event["source"] == self.from.address(self.version).to_string()
            && event["destination"] == self.to.address(self.version).to_string()
            && event["device"].as_str() == self.from.device()
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, version, reason } = self;
        write!(f, "{} to {} over {} dropped as `{reason}`", from.name(), to.name(), version.name())
    }
}

/// When the packet of an event was judged: the kernel program's clock, told as time of day by the agent.
///
/// # Errors
/// When the event has no time.
pub fn time_of(event: &Value) -> Result<Timestamp> {
    let time = event["time"].as_str().context("the event has no time")?;
    time.parse().with_context(|| format!("`{time}` is no time"))
}
