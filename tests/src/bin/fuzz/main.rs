//! Random hospitals, conversations and frames through the program in the kernel and through the reference
//! model, until time is up, they differ, or the program's answers break an invariant.
//!
//! `cargo xtask fuzz [--minutes N] [--seed S] [--seeds COUNT] [--model]`. Needs root. Exit code 0 where all is well, 1
//! for a difference or a breach, 2 where the program could not be run. It sends nothing and touches no interface.

mod arguments;
mod report;

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use iomt_filter_tests::differential::{Seen, compare_script};
use iomt_filter_tests::generate::{Script, conversations, script};
use iomt_filter_tests::invariants::{Invariant, check};
use iomt_filter_tests::judge::Judge;
use iomt_filter_tests::kernel::Kernel;
use iomt_filter_tests::oracle::Oracle;
use iomt_filter_tests::world::World;

use arguments::{Arguments, USAGE};

/// Steps of a script of conversations.
const TURNS: usize = 250;
/// Steps of a script of loose frames.
const STEPS: usize = 80;
/// Time between two lines of progress.
const PAUSE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let mut output = std::io::stdout();
    match run() {
        Ok(Outcome { text, agree }) => {
            // Nothing is left to be done where standard output is closed.
            let _ = writeln!(output, "{text}");
            ExitCode::from(u8::from(!agree))
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

struct Outcome {
    text: String,
    agree: bool,
}

fn run() -> Result<Outcome> {
    let Some(arguments) = Arguments::read(std::env::args().skip(1))? else {
        return Ok(Outcome { text: USAGE.to_owned(), agree: true });
    };
    let kernel = Kernel::load();
    let mut program = |world: &World| -> Box<dyn Judge> { Box::new(kernel.judge(world)) };
    let mut oracle = |world: &World| -> Box<dyn Judge> { Box::new(Oracle::of(world)) };
    let begin = Instant::now();
    let (mut seen, mut scripts, mut said) = (Seen::new(), 0, begin);
    for seed in arguments.seeds() {
        if arguments.until.is_some_and(|until| begin.elapsed() >= until) {
            break;
        }
        // What a judge asserts is a finding too.
        let compared = catch_unwind(AssertUnwindSafe(|| {
            compare_script(seed, write(seed), &mut program, &mut oracle, &mut seen)
                .map_err(|difference| difference.to_string())?;
            let invariants = if arguments.model_only { &[][..] } else { &Invariant::ALL };
            check(seed, &write(seed), invariants, &mut program).map_err(|breach| breach.to_string())
        }));
        scripts += 1;
        let difference = match compared {
            Ok(Ok(())) => None,
            Ok(Err(shown)) => Some(shown),
            Err(_) => Some(format!("seed {seed}: a judge gave up, see above")),
        };
        if let Some(difference) = difference {
            let report = report::of(&seen, scripts, begin.elapsed());
            let again = format!("run it again: cargo xtask fuzz --seed {seed} --seeds 1");
            return Ok(Outcome { text: format!("{report}\n\n{difference}\n{again}"), agree: false });
        }
        if said.elapsed() >= PAUSE {
            said = Instant::now();
            let line = report::line(&seen, scripts, begin.elapsed());
            let _ = writeln!(std::io::stderr(), "{line}, seed {seed}");
        }
    }
    let report = report::of(&seen, scripts, begin.elapsed());
    let nothing = if arguments.model_only { "0 differences" } else { "0 differences, 0 breaches" };
    Ok(Outcome { text: format!("{report}\n{nothing}"), agree: true })
}

/// The script of a seed: mostly conversations.
fn write(seed: u64) -> Script {
    if seed.is_multiple_of(5) { script(seed, STEPS) } else { conversations(seed, TURNS) }
}
