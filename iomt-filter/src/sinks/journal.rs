//! systemd's journal, by its native protocol: a datagram for each event.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Outlet, Sent, SinkError};
use crate::events::Record;
use crate::events::format::journal;

/// How long the journal may take for one.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct JournalOutlet {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl JournalOutlet {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), socket: None }
    }

    fn ready(&mut self) -> io::Result<&UnixDatagram> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(PATIENCE))?;
                socket.connect(&self.path)?;
                socket
            }
        };
        Ok(self.socket.insert(socket))
    }
}

impl Outlet for JournalOutlet {
    fn open(&mut self) -> Result<(), SinkError> {
        self.ready().map(drop).map_err(|error| SinkError::file("connect to", &self.path, error))
    }

    fn send(&mut self, records: &[Arc<Record>]) -> Sent {
        for (sent, record) in records.iter().enumerate() {
            let entry = journal::entry(record);
            if let Err(error) = self.ready().and_then(|socket| socket.send(&entry)) {
                if error.raw_os_error() == Some(libc::EMSGSIZE) {
                    return (sent, Err(SinkError::TooLong));
                }
                // It may have been started anew, with another socket.
                self.socket = None;
                return (sent, Err(SinkError::file("write to", &self.path, error)));
            }
        }
        (records.len(), Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_datagram_and_a_journal_that_comes_back_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut outlet = JournalOutlet::new(&path);
        let events = [Arc::new(Record { reason: "geo".into(), ..Record::default() })];
        assert!(outlet.open().unwrap_err().to_string().starts_with("failed to connect to `/"));
        for _ in 0..2 {
            let _ = std::fs::remove_file(&path);
            let journal = UnixDatagram::bind(&path).unwrap();
            while outlet.send(&events).1.is_err() {}
            let mut entry = [0; 4_096];
            let length = journal.recv(&mut entry).unwrap();
            let text = String::from_utf8_lossy(&entry[..length]);
            assert!(text.contains("\nIOMT_FILTER_REASON=geo\n"), "{text}");
        }
    }
}
