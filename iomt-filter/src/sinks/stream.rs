//! A connection to a server, plain or encrypted: made within a time, looked at whether it is still there, written to
//! within a time.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use rustls::{ClientConnection, StreamOwned};

/// How long a connection, its greeting, or a write may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long what was written may stay unacknowledged, in milliseconds.
const UNACKNOWLEDGED: u32 = 20_000;

/// A connection.
pub(super) enum Connection {
    Plain(TcpStream),
    Encrypted(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Connects to the first address of a name that answers.
pub(super) fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                setsockopt(&stream, sockopt::KeepAlive, &true)?;
                setsockopt(&stream, sockopt::TcpUserTimeout, &UNACKNOWLEDGED)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Connection {
    /// Looks whether the other end has gone; servers of syslog say nothing else.
    pub(super) fn look(&mut self) -> io::Result<()> {
        self.socket().set_nonblocking(true)?;
        let found = match self {
            Self::Plain(stream) => stream.read(&mut [0; 64]),
            Self::Encrypted(stream) => stream.read(&mut [0; 64]),
        };
        self.socket().set_nonblocking(false)?;
        match found {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server ended the connection")),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Encrypted(stream) => &stream.sock,
        }
    }

    /// Writes all of it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Encrypted(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Self::Encrypted(stream) = self {
            // So that the server knows that nothing was cut off.
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    }
}
