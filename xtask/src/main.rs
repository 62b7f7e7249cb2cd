//! Development commands: `cargo xtask <verb>`.

mod say;
mod process;
mod packages;
mod setup;
mod compile;
mod deny;
mod lint;
mod test;
mod bench;
mod demo;
mod fuzz;
mod prove;
mod package;
mod ci;
mod kernels;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Development commands of iomt-filter.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what build, tests, demo and bench need, as far as it is missing.
    Setup,
    /// Build the agent with its kernel program, and print the binary's path.
    Build,
    /// Show the filter at work between simulated devices (needs root).
    Demo {
        /// Leave the demo's network namespaces and the running filter in place.
        #[arg(long)]
        keep: bool,
        /// Handed to the demo as they are.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run all tests, of which some load the kernel program (needs root).
    Test {
        /// Handed to `cargo test` as they are: a name, or `-- --nocapture`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Compare the kernel program with the reference model on random conversations (needs root).
    Fuzz {
        /// `--minutes N`, `--seed S`, `--seeds COUNT`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Count every packet while agents are killed, replaced and told new things, a thousand times (needs root).
    Prove {
        /// Everything a few times only.
        #[arg(long)]
        few: bool,
    },
    /// Check the format, all lints, and the licences, sources and known holes of dependencies.
    Lint,
    /// Make the Debian package, and print its path.
    Package {
        /// Where to; the build folder where nothing is said.
        #[arg(long, value_name = "FOLDER", conflicts_with = "test")]
        folder: Option<PathBuf>,
        /// Install, upgrade, remove and purge it in a bare Debian, with the debug build inside (needs root).
        #[arg(long)]
        test: bool,
    },
    /// Everything that a change has to pass: lint, test, a short proof, the package and a short bench (needs root).
    Ci,
    /// Load and test the kernel program under Debian's kernels, old and new, in an emulator.
    Kernels {
        /// Releases or series, such as `6.1`; without any, the newest of each series that is offered.
        releases: Vec<String>,
    },
    /// Measure the kernel program (needs root).
    Bench {
        /// Handed to the bench as they are.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Setup => setup::run(),
        Verb::Build => compile::run(),
        Verb::Demo { keep, arguments } => demo::run(keep, &arguments),
        Verb::Test { arguments } => test::run(&arguments),
        Verb::Fuzz { arguments } => fuzz::run(&arguments),
        Verb::Prove { few } => prove::run(few),
        Verb::Lint => lint::run(),
        Verb::Package { test: true, .. } => package::test(),
        Verb::Package { folder, .. } => package::run(folder),
        Verb::Ci => ci::run(),
        Verb::Kernels { releases } => return exit(kernels::run(&releases)),
        Verb::Bench { arguments } => bench::run(&arguments),
    };
    exit(done.map(|()| ExitCode::SUCCESS))
}

fn exit(done: Result<ExitCode>) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(error) => {
            say::failure(&error);
            ExitCode::from(2)
        }
    }
}
