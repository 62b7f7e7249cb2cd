//! `iomt-filter top`: a live screen of what runs.

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use clap::Args;

use crate::api::messages::Status;
use crate::cli::Output;
use crate::cmd::{socket, status};
use crate::config::{Config, parse_duration};
use crate::datapath::attach;
use crate::top::asking::{Asking, SHORTEST, Source};
use crate::top::model::Model;
use crate::top::screen::Screen;

/// What may have been told and not been taken in: whoever tells more waits.
const TOLD: usize = 1_024;

/// The longest time between two rounds.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Options of `top`.
#[derive(Debug, Args)]
pub struct Options {
    /// How often the agent is asked, from `1s` to `1h`
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    interval: String,
}

/// Shows the screen until a key ends it. Where no agent answers, it waits for one.
///
/// # Errors
/// When there is no terminal, or no such interval.
pub fn run(config: &Path, options: &Options, output: Output) -> Result<ExitCode> {
    if output == Output::Json {
        bail!(
            "`top` is a screen for people; ask `status`, `devices` or `events --follow` with `--output json` instead"
        );
    }
    let text = &options.interval;
    let interval =
        parse_duration(text).map_err(|error| anyhow!("`--interval {text}`: {error}; {}", error.help()))?;
    if !(SHORTEST..=LONGEST).contains(&interval) {
        bail!("`--interval {text}`: the agent is asked once a second at most, and once an hour at least");
    }
    let source = Source {
        socket: socket(config)?,
        loud,
        judged: attach::attached_interfaces,
        pins: Config::load_what_can_be_read(config).0.paths.pins,
        interval,
        begun: Instant::now(),
    };
    let screen = Screen::open()?;
    let (sender, told) = sync_channel(TOLD);
    let asking = Asking::start(&source, &sender)?;
    screen.show(Model::new(interval), &told, &asking, source.begun)?;
    Ok(ExitCode::SUCCESS)
}

/// What `status` begins with; the screen says itself how long a change is pending.
fn loud(status: &Status) -> Vec<String> {
    let mut status = status.clone();
    status.change.pending = None;
    status::loud(&status)
}
