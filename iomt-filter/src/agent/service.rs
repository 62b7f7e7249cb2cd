//! Tells a service manager how the agent stands, by the protocol of `sd_notify(3)`. Where none has asked for it, nothing
//! is said.
//!
//! That the agent lives is said by its heartbeat alone: one that is stuck is started anew by the manager, and what it
//! attached judges on meanwhile.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;

/// What the manager was told last, so that it is told news only.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<String>);

impl Told {
    /// The agent does its work.
    pub(super) fn ready(&self, status: &str) {
        self.keep(status);
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// What it does, where that has changed.
    pub(super) fn status(&self, status: &str) {
        if self.keep(status) {
            tell(&[NotifyState::Status(status)]);
        }
    }

    fn keep(&self, status: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *told != status;
        status.clone_into(&mut told);
        is_new
    }
}

/// It reads its files again; [`Told::ready`] ends that.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager is not told of a reload"),
    }
}

/// It ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopped; what is attached judges on")]);
}

/// It lives.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How long the manager waits for a sign of life, where it does.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(news: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(news) {
        tracing::warn!(%error, "the service manager does not listen");
    }
}
