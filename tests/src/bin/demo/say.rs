//! What the demo prints: headings, what is tried, what came of it, and the agent's events between.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;

/// Lines of events that one step shows.
const SHOWN: usize = 6;

/// The demo's voice. Lines are whole, whichever thread prints them.
#[derive(Debug)]
pub(crate) struct Say {
    signs: Signs,
    colour: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    step: usize,
    events: usize,
    unlimited: bool,
    failures: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Signs {
    good: &'static str,
    bad: &'static str,
    event: &'static str,
}

const UNICODE: Signs = Signs { good: "✓", bad: "✗", event: "│" };
const ASCII: Signs = Signs { good: "ok", bad: "FAILED:", event: "|" };

impl Say {
    /// For the terminal and the language of the environment.
    pub(crate) fn new() -> Self {
        let colour = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
        Self { signs: if speaks_unicode() { UNICODE } else { ASCII }, colour, state: Mutex::default() }
    }

    /// Begins a step.
    pub(crate) fn step(&self, heading: &str) {
        self.end_step();
        let mut state = self.state();
        state.step += 1;
        let line = self.painted("1", &format!("{}. {heading}", state.step));
        print(&format!("\n{line}"));
    }

    /// Something that is about to be done.
    pub(crate) fn tried(&self, what: &str) {
        let _state = self.state();
        print(&format!("   {what}"));
    }

    /// A result: what happened, or what was expected and did not. Only an interruption is an error.
    pub(crate) fn check(&self, expected: &str, result: Result<impl Display>) -> Result<()> {
        match result {
            Ok(happened) => {
                let _state = self.state();
                print(&format!("   {} {happened}", self.painted("32", self.signs.good)));
                Ok(())
            }
            Err(error) if iomt_filter_tests::hospital::wait::is_interrupted() => Err(error),
            Err(error) => {
                let mut state = self.state();
                print(&format!("   {} {expected}: {error:#}", self.painted("31", self.signs.bad)));
                state.failures.push(expected.to_owned());
                Ok(())
            }
        }
    }

    /// A line of `iomt-filter events`.
    pub(crate) fn event(&self, line: &str) {
        let mut state = self.state();
        state.events += 1;
        if state.events <= SHOWN || state.unlimited {
            print(&self.painted("2", &format!("     {} {line}", self.signs.event)));
        }
    }

    /// Shows every event from now on.
    pub(crate) fn all_events(&self) {
        self.end_step();
        self.state().unlimited = true;
    }

    /// A line as it is.
    pub(crate) fn line(&self, line: &str) {
        let _state = self.state();
        print(line);
    }

    /// An error.
    pub(crate) fn error(&self, error: &str) {
        let _state = self.state();
        // Nobody is left to tell.
        let _ = writeln!(io::stderr(), "{}: {error}", self.painted("31", "error"));
    }

    /// What was not as expected.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.state().failures.clone()
    }

    fn end_step(&self) {
        let mut state = self.state();
        let more = state.events.saturating_sub(SHOWN);
        if more > 0 && !state.unlimited {
            print(&self.painted("2", &format!("     {} and {more} more like these", self.signs.event)));
        }
        state.events = 0;
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn print(line: &str) {
    let mut output = io::stdout().lock();
    // A reader who has gone away does not end the demo: it still has to clean up.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// The first of these variables that is set decides, as in `setlocale`.
fn speaks_unicode() -> bool {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    let set = names.iter().filter_map(env::var_os).find(|value| !value.is_empty());
    set.is_some_and(|value| {
        let value = value.to_string_lossy().to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}
