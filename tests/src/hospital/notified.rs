//! What a service manager hears of the agent that it has started, by the protocol of `sd_notify(3)`.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::wait;

/// How long the manager waits for a sign of life.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Listens until this value goes.
#[derive(Debug)]
pub struct Manager {
    socket: PathBuf,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    /// Begins to listen on a socket in `folder`.
    ///
    /// # Errors
    /// When there can be none.
    pub fn listen(folder: &Path) -> Result<Self> {
        let path = folder.join("notify.sock");
        let socket = UnixDatagram::bind(&path).context("failed to listen as a service manager")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let heard = Arc::default();
        let for_thread = Arc::downgrade(&heard);
        thread::spawn(move || hear(&socket, &for_thread));
        Ok(Self { socket: path, heard })
    }

    /// What the agent has to have in its environment.
    #[must_use]
    pub fn environment(&self) -> [(String, String); 2] {
        [
            ("NOTIFY_SOCKET".to_owned(), self.socket.display().to_string()),
            ("WATCHDOG_USEC".to_owned(), PATIENCE.as_micros().to_string()),
        ]
    }

    /// Lines that were heard since the last time that somebody asked.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until a line is heard that begins so, and returns it. Those before it are forgotten.
    ///
    /// # Errors
    /// When it is not heard in time.
    pub fn wait_for(&self, begin: &str, limit: Duration) -> Result<String> {
        wait::until(&format!("the agent to say `{begin}`"), limit, || {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let at = heard.iter().position(|heard| heard.starts_with(begin));
            Ok(at.and_then(|at| heard.drain(..=at).next_back()))
        })
    }
}

fn hear(socket: &UnixDatagram, heard: &Weak<Mutex<Vec<String>>>) {
    let mut message = [0; 4096];
    loop {
        let received = socket.recv(&mut message);
        let Some(heard) = heard.upgrade() else { return };
        match received {
            Ok(length) => {
                let text = String::from_utf8_lossy(&message[..length]).into_owned();
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.extend(text.lines().map(str::to_owned));
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}
