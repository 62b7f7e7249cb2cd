//! What the user sees: data on stdout, errors and notes on stderr.
//!
//! Values that can be displayed or serialised come in, bytes on the two streams go out. The only module
//! that writes to them, but for the live screen (`top`); it never decides what is said, and uses no colour.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

use serde::Serialize;
use thiserror::Error;

mod table;

pub use table::{Align, Table};

/// Why data did not reach its reader.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The reader of a pipe went away, as `head` does: nothing is left to say.
    #[error("nobody reads the output any more")]
    Closed,
    /// The stream cannot be written to.
    #[error("failed to write the output")]
    Write(#[source] io::Error),
    /// A value has no JSON form.
    #[error("failed to write the output as JSON")]
    Json(#[source] serde_json::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::Closed } else { Self::Write(error) }
    }
}

impl From<serde_json::Error> for OutputError {
    fn from(error: serde_json::Error) -> Self {
        match error.io_error_kind() {
            Some(ErrorKind::BrokenPipe) => Self::Closed,
            _ => Self::Json(error),
        }
    }
}

/// Prints an error and what caused it, each once.
pub fn error(error: &anyhow::Error) {
    let mut shown = error.to_string();
    // A diagnostic says what it is by itself.
    let mut text = if shown.starts_with("error: ") { shown.clone() } else { format!("error: {shown}") };
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !shown.ends_with(&cause) {
            text += &format!("\n  caused by: {cause}");
        }
        shown = cause;
    }
    note(text);
}

/// Whether an error only says that the reader of stdout went away.
#[must_use]
pub fn is_closed(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OutputError::Closed))
}

/// Prints a line for people to stderr. Where even that is impossible, nobody is left to be told.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(&text.to_string()));
}

/// A text that leaves a terminal as it is: what files and frames bring with them may hold its control sequences.
fn printable(text: &str) -> Cow<'_, str> {
    let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if is_control(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// Prints a text to stdout, with a line end.
///
/// # Errors
/// When stdout is closed or cannot be written to.
pub fn text(text: impl Display) -> Result<(), OutputError> {
    let mut lines = Lines::new();
    lines.line(text)?;
    lines.flush()
}

/// Prints bytes to stdout as they are.
///
/// # Errors
/// When stdout is closed or cannot be written to.
pub fn bytes(bytes: &[u8]) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

/// Prints one JSON document to stdout.
///
/// # Errors
/// When stdout is closed or cannot be written to.
pub fn document(value: &impl Serialize) -> Result<(), OutputError> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    bytes(&text)
}

/// A stream of lines to stdout, buffered: whoever lets a reader wait calls [`flush`](Self::flush).
pub struct Lines {
    stdout: BufWriter<StdoutLock<'static>>,
}

impl Lines {
    /// Takes stdout for this stream.
    #[must_use]
    pub fn new() -> Self {
        Self { stdout: BufWriter::with_capacity(64 << 10, io::stdout().lock()) }
    }

    /// One line.
    ///
    /// # Errors
    /// When stdout is closed or cannot be written to.
    pub fn line(&mut self, text: impl Display) -> Result<(), OutputError> {
        Ok(writeln!(self.stdout, "{}", printable(&text.to_string()))?)
    }

    /// One JSON object on a line of its own.
    ///
    /// # Errors
    /// When stdout is closed or cannot be written to.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), OutputError> {
        serde_json::to_writer(&mut self.stdout, value)?;
        Ok(self.stdout.write_all(b"\n")?)
    }

    /// Hands everything to the reader.
    ///
    /// # Errors
    /// When stdout is closed or cannot be written to.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        Ok(self.stdout.flush()?)
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_do_not_reach_a_terminal() {
        assert_eq!(printable("one\ttwo\nthree: é"), "one\ttwo\nthree: é");
        assert_eq!(printable("\u{1b}]0;title\u{7}\r"), r"\u{1b}]0;title\u{7}\r");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let pipe = || io::Error::from(ErrorKind::BrokenPipe);
        assert!(is_closed(&OutputError::from(pipe()).into()));
        assert!(!is_closed(&OutputError::from(io::Error::from(ErrorKind::StorageFull)).into()));
        assert!(!is_closed(&anyhow::Error::from(pipe()).context("failed to reach the agent")));
        let closed = anyhow::Error::from(OutputError::from(pipe())).context("failed to print");
        assert!(is_closed(&closed), "the context does not hide it");
    }
}
