//! Measures the filter: what one frame of every kind costs without network card and driver, what its tables
//! cost, and how many packets a second it drops and lets through between interfaces; beside it what one would
//! use instead, in the same run.
//!
//! `cargo xtask bench -- --help`. Needs root. Numbers of two machines, or of two hours on one that is shared, do
//! not compare; the rows of one run do.

mod arguments;
mod spread;
mod countries;
mod far_ends;
mod hospital;
mod frame;
mod traffic;
mod case;
mod driver;
mod contender;
mod filter;
mod variant;
mod xdp_filter;
mod sample;
mod measure;
mod figure;
mod lookups;
mod control;
mod live;
mod machine;
mod report;
mod check;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;

use arguments::{Arguments, Subject, USAGE};
use countries::Countries;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to be done where standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    if arguments.help {
        write!(std::io::stdout(), "{USAGE}")?;
        return Ok(ExitCode::SUCCESS);
    }
    iomt_filter_tests::netns::sweep("iomtb");
    let machine = machine::look();
    let countries = match &arguments.countries {
        Some(path) => Countries::read(path)?,
        None => Countries::made_up(),
    };
    let effort = arguments.effort;
    let mut regressions = Vec::new();
    let text = match arguments.subject {
        Subject::Frames => {
            let measured = measure::all(effort, &arguments.only, &countries)?;
            if arguments.record {
                check::record(&measured)?;
            }
            if arguments.check {
                let compared = check::compare_all(&measured)?;
                writeln!(std::io::stderr(), "{} ratios compared with the recorded ones", compared.count)?;
                regressions = compared.regressions;
            }
            match arguments.json {
                true => report::json(&machine, effort, &measured)?,
                false => report::table(&machine, effort, &measured),
            }
        }
        Subject::Lookups => {
            let figures = lookups::measure(&countries, effort.is_short)?;
            match arguments.json {
                true => figure::json(&machine, lookups::ABOUT, &figures)?,
                false => figure::table(&machine, lookups::ABOUT, &figures),
            }
        }
        Subject::Control => {
            let figures = control::measure(&countries, effort.is_short)?;
            match arguments.json {
                true => figure::json(&machine, control::ABOUT, &figures)?,
                false => figure::table(&machine, control::ABOUT, &figures),
            }
        }
        Subject::Live => {
            let (figures, missing) = live::measure(&countries, effort.is_short)?;
            let about = [&[live::ABOUT.to_owned()], missing.as_slice()].concat().join("\n");
            match arguments.json {
                true => figure::json(&machine, &about, &figures)?,
                false => figure::table(&machine, &about, &figures),
            }
        }
    };
    std::io::stdout().write_all(text.as_bytes())?;
    for regression in &regressions {
        writeln!(std::io::stderr(), "regression: {regression}")?;
    }
    Ok(if regressions.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
