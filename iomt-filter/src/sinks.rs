//! Where events go: a file, a syslog server, the journal.
//!
//! [`Record`]s come in and go on in their order; how many did comes out, and what keeps the next. An outlet may block
//! for some seconds, opens what it needs by itself, and opens it anew after a failure. None counts or retries.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

mod file;
mod journal;
mod stream;
mod syslog;
mod tls;

use crate::config::{Sink, Target};
use crate::events::Record;

/// What keeps events from going on.
#[derive(Debug, Error)]
pub enum SinkError {
    /// A file cannot be opened, written or moved.
    #[error("failed to {what} `{path}`: {error}")]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// A file is not what it has to be.
    #[error("`{path}` {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// No server is there, or it went away.
    #[error("{place}: {reason}")]
    Unreachable {
        /// The server.
        place: String,
        /// Why.
        reason: String,
    },
    /// It is not who it should be, or does not take us for who we are.
    #[error("{place}: no secure connection: {reason}")]
    Insecure {
        /// The server.
        place: String,
        /// Why.
        reason: String,
    },
    /// An event does not fit into a datagram.
    #[error("an event is too long for a datagram")]
    TooLong,
}

impl SinkError {
    fn file(what: &'static str, path: &Path, error: io::Error) -> Self {
        Self::File { what, path: path.to_owned(), error }
    }
}

/// How many events went on, and what keeps the others.
pub type Sent = (usize, Result<(), SinkError>);

/// Where events go.
pub trait Outlet: Send {
    /// Opens what is needed, or looks whether it is still there.
    ///
    /// # Errors
    /// When it is not.
    fn open(&mut self) -> Result<(), SinkError>;

    /// Hands events on; those that went are a first part of them. Where the receiver tells nothing, one went when the
    /// host has it.
    fn send(&mut self, records: &[Arc<Record>]) -> Sent;
}

/// The outlet of a sink. Nothing is opened yet.
#[must_use]
pub fn outlet(sink: &Sink) -> Box<dyn Outlet> {
    match &sink.target {
        Target::File(target) => Box::new(file::FileOutlet::new(target, sink.format)),
        Target::Syslog(target) => Box::new(syslog::SyslogOutlet::new(target, sink.format)),
        Target::Journal(socket) => Box::new(journal::JournalOutlet::new(socket)),
    }
}
