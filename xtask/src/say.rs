//! The only place that prints: results on standard output, everything else on standard error.
#![allow(clippy::print_stdout, clippy::print_stderr)]

/// One line of progress.
pub(crate) fn progress(line: &str) {
    eprintln!("xtask: {line}");
}

/// The answer that the command was asked for.
pub(crate) fn result(line: &str) {
    println!("{line}");
}

/// Why the command stops, with its causes.
pub(crate) fn failure(error: &anyhow::Error) {
    eprintln!("xtask: error: {error:#}");
}
