//! Why a source cannot be fetched, and what to do then. No message holds a secret: places come in as they may be
//! shown, reasons are words of this program, of the system or of the TLS library, never of a server.

use std::path::Path;
use std::time::Duration;

use thiserror::Error;

/// A source that could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FetchError {
    /// It cannot be used as it is configured.
    #[error("`{place}` cannot be fetched: {reason}")]
    Setting {
        /// Where.
        place: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A file cannot be read: of the feed itself, of a key, of certificates.
    #[error("failed to read {what} `{path}`: {reason}")]
    File {
        /// What it is.
        what: &'static str,
        /// Where it is.
        path: String,
        /// Why, and what to do.
        reason: String,
    },
    /// There is no connection.
    #[error("failed to reach `{place}`: {reason}")]
    Unreachable {
        /// Where.
        place: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The server's certificate is refused.
    #[error(
        "the certificate of `{place}` is refused: {reason}; if the hospital has an authority of its own, name its \
         certificate with `ca`, or add it to the host's trust store"
    )]
    Certificate {
        /// Where.
        place: String,
        /// Why.
        reason: String,
    },
    /// The time was up before the last byte.
    #[error("`{place}` took longer than {seconds} s; try again later, or raise `timeout`")]
    Timeout {
        /// Where.
        place: String,
        /// How long it may take.
        seconds: u64,
    },
    /// It ended before its end.
    #[error("`{place}` was cut off before its end; try again later")]
    Truncated {
        /// Where.
        place: String,
    },
    /// It is not packed as it says.
    #[error("`{place}` cannot be unpacked: {reason}; tell its publisher, or try again later")]
    Packing {
        /// Where.
        place: String,
        /// Why.
        reason: String,
    },
    /// It is larger than it may be.
    #[error("`{place}` is larger than {max_bytes} bytes; raise `max_size` if that is right")]
    TooLarge {
        /// Where.
        place: String,
        /// The most that is taken.
        max_bytes: u64,
    },
    /// It leads elsewhere, where this program does not go.
    #[error("`{place}` redirects {reason}")]
    Redirect {
        /// Where.
        place: String,
        /// Where to, and what to do.
        reason: String,
    },
    /// The server does not let us in: 401, 403 or 407.
    #[error("`{place}` answers {status}: {reason}")]
    Denied {
        /// Where.
        place: String,
        /// The status.
        status: u16,
        /// What to do.
        reason: String,
    },
    /// There is nothing there: 404 or 410.
    #[error("`{place}` answers {status}: there is nothing under this address; look up where the list is now")]
    Missing {
        /// Where.
        place: String,
        /// The status.
        status: u16,
    },
    /// We ask too often: 429.
    #[error("`{place}` answers 429: it is asked too often; raise `refresh`{}", again(.retry_after))]
    TooOften {
        /// Where.
        place: String,
        /// How long the server wants to be left alone, where it says so.
        retry_after: Option<Duration>,
    },
    /// The server has a failure: 5xx.
    #[error("`{place}` answers {status}: the server has a failure; it will be asked again{}", again(.retry_after))]
    Failing {
        /// Where.
        place: String,
        /// The status.
        status: u16,
        /// How long the server wants to be left alone, where it says so.
        retry_after: Option<Duration>,
    },
    /// Another status that is no list.
    #[error("`{place}` answers {status}, which is no list; check its address")]
    Status {
        /// Where.
        place: String,
        /// The status.
        status: u16,
    },
    /// What comes does not follow the protocol.
    #[error("`{place}` does not answer as {protocol} does: {reason}")]
    Protocol {
        /// Where.
        place: String,
        /// What it should speak.
        protocol: &'static str,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// It is not signed by whom it must be signed.
    #[error("`{place}` is not used: {reason}")]
    Signature {
        /// Where.
        place: String,
        /// Why, and what to do.
        reason: String,
    },
}

impl FetchError {
    /// How long the server wants to be left alone, where it says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooOften { retry_after, .. } | Self::Failing { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(super) fn setting(place: &str, reason: &str) -> Self {
        Self::Setting { place: place.to_owned(), reason: reason.to_owned() }
    }

    pub(super) fn file(what: &'static str, path: &Path, reason: impl ToString) -> Self {
        Self::File { what, path: path.display().to_string(), reason: reason.to_string() }
    }

    pub(super) fn protocol(place: &str, protocol: &'static str, reason: impl Into<String>) -> Self {
        Self::Protocol { place: place.to_owned(), protocol, reason: reason.into() }
    }

    pub(super) fn signature(place: &str, reason: impl Into<String>) -> Self {
        Self::Signature { place: place.to_owned(), reason: reason.into() }
    }
}

fn again(retry_after: &Option<Duration>) -> String {
    retry_after
        .map_or_else(String::new, |wait| format!("; it wants to be left alone for {} s", wait.as_secs()))
}
