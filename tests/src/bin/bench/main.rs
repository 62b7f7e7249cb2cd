//! Measures the kernel program: what one frame of every kind costs, without network card and driver.
//!
//! `cargo xtask bench [-- [--short] [--json] [--only TEXT]]`. Needs root. Numbers of two machines, or of two hours on
//! one that is shared, do not compare; the rows of one run do.

mod hospital;
mod frame;
mod case;
mod driver;
mod measure;
mod machine;
mod report;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use measure::Effort;

const USAGE: &str = "usage: bench [--short] [--json] [--only TEXT]

  --short  fewer frames: done in seconds, less exact
  --json   one JSON document instead of a table
  --only   cases whose name contains TEXT
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to be done where standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    let (mut effort, mut json, mut only) = (Effort::FULL, false, String::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--short" => effort = Effort::SHORT,
            "--json" => json = true,
            "--only" => only = arguments.next().context("`--only` takes a text")?,
            "--help" | "-h" => return Ok(write!(std::io::stdout(), "{USAGE}")?),
            other => bail!("unknown argument `{other}`\n{USAGE}"),
        }
    }
    let machine = machine::look();
    let measured = measure::all(effort, &only)?;
    let text = if json {
        report::json(&machine, effort, &measured)?
    } else {
        report::table(&machine, effort, &measured)
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
