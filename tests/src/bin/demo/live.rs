//! The agent's events on the screen as they come, in the words of `iomt-filter events`.

use std::io::{BufRead, BufReader};
use std::process::ChildStdout;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use anyhow::Result;
use iomt_filter_tests::hospital::events::Events;
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::program::Program;
use iomt_filter_tests::hospital::wait;

use crate::say::Say;

/// How long the text of an event may come after its JSON.
const LIMIT: Duration = Duration::from_millis(500);

/// The lines that were shown.
#[derive(Debug, Default)]
pub(crate) struct Live {
    shown: AtomicUsize,
}

impl Live {
    /// Shows events until the program that tells them ends.
    pub(crate) fn show<'s, 'e: 's>(
        &'e self,
        scope: &'s Scope<'s, 'e>,
        output: ChildStdout,
        say: &'e Say,
    ) -> ScopedJoinHandle<'s, ()> {
        scope.spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                say.event(&line);
                self.shown.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// Lets the text of what has been seen come, so that it stands where it belongs.
    pub(crate) fn settle(&self, events: &Events) {
        let seen = events.count();
        // Where it does not come, the order of lines suffers and nothing else.
        let _ = wait::until("events to be shown", LIMIT, || {
            Ok((self.shown.load(Ordering::Relaxed) >= seen).then_some(()))
        });
    }
}

/// Starts the program that tells events.
pub(crate) fn follow(filter: &Filter<'_>) -> Result<(Program, ChildStdout)> {
    let mut command = filter.command(&["events", "--follow"]);
    Program::with_output(filter.host(), &mut command, &filter.folder().join("events-text.log"))
}
