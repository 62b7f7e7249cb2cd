//! A syslog server: a datagram for each event, or a connection with the length ahead of each.

use std::io;
use std::net::{ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;

use super::stream::{Connection, PATIENCE, connect};
use super::{Outlet, Sent, SinkError, tls};
use crate::config::{SyslogTarget, Target, Transport};
use crate::events::format::syslog::{self, Header};
use crate::events::{Format, Record};

/// Bytes that are written at once to a connection: one record of TLS.
const AT_ONCE: usize = 16 << 10;

pub(super) struct SyslogOutlet {
    target: SyslogTarget,
    place: String,
    format: Format,
    header: Header,
    /// Events that went on.
    sent: u64,
    open: Option<Open>,
}

enum Open {
    Datagrams(UdpSocket),
    Connection(Connection),
}

impl SyslogOutlet {
    pub(super) fn new(target: &SyslogTarget, format: Format) -> Self {
        Self {
            target: target.clone(),
            place: Target::Syslog(target.clone()).to_string(),
            format,
            header: Header {
                facility: target.facility,
                host: target.hostname.clone(),
                process: std::process::id(),
            },
            sent: 0,
            open: None,
        }
    }

    fn connect(&self) -> Result<Open, SinkError> {
        let SyslogTarget { transport, host, port, .. } = &self.target;
        let stream = || connect(host, *port).map_err(|error| self.unreachable(&error));
        Ok(match transport {
            Transport::Udp => {
                Open::Datagrams(datagrams(host, *port).map_err(|error| self.unreachable(&error))?)
            }
            Transport::Tcp => Open::Connection(Connection::Plain(stream()?)),
            Transport::Tls => {
                let stream = tls::greet(&self.target, &self.place, stream()?)?;
                Open::Connection(Connection::Encrypted(Box::new(stream)))
            }
        })
    }

    fn unreachable(&self, error: &io::Error) -> SinkError {
        let reason = match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it does not answer in time".to_owned(),
            _ => error.to_string(),
        };
        SinkError::Unreachable { place: self.place.clone(), reason }
    }

    /// A failure of what is open: it is opened anew.
    fn failed(&mut self, error: &io::Error) -> SinkError {
        self.open = None;
        self.unreachable(error)
    }

    fn message(&self, record: &Record, ahead: usize) -> String {
        syslog::message(record, self.format, &self.header, self.sent + 1 + ahead as u64)
    }

    fn send_datagrams(&mut self, records: &[Arc<Record>]) -> Sent {
        for (index, record) in records.iter().enumerate() {
            let message = self.message(record, 0);
            let Some(Open::Datagrams(socket)) = &self.open else { return (index, Ok(())) };
            match socket.send(message.as_bytes()) {
                Ok(_) => self.sent += 1,
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    return (index, Err(SinkError::TooLong));
                }
                Err(error) => return (index, Err(self.failed(&error))),
            }
        }
        (records.len(), Ok(()))
    }

    fn send_stream(&mut self, records: &[Arc<Record>]) -> Sent {
        let mut rest = records;
        while !rest.is_empty() {
            let (frames, count) = self.frames(rest);
            let Some(Open::Connection(connection)) = &mut self.open else { break };
            if let Err(error) = connection.look().and_then(|()| connection.write(&frames)) {
                return (records.len() - rest.len(), Err(self.failed(&error)));
            }
            self.sent += count as u64;
            rest = rest.get(count..).unwrap_or_default();
        }
        (records.len() - rest.len(), Ok(()))
    }

    /// The first events with their lengths, and how many they are.
    fn frames(&self, records: &[Arc<Record>]) -> (Vec<u8>, usize) {
        let (mut frames, mut count) = (Vec::new(), 0);
        for record in records {
            let message = self.message(record, count);
            frames.extend(format!("{} {message}", message.len()).into_bytes());
            count += 1;
            if frames.len() >= AT_ONCE {
                break;
            }
        }
        (frames, count)
    }
}

impl Outlet for SyslogOutlet {
    fn open(&mut self) -> Result<(), SinkError> {
        let looked = match &mut self.open {
            Some(Open::Datagrams(_)) => return Ok(()),
            Some(Open::Connection(connection)) => connection.look(),
            None => {
                self.open = Some(self.connect()?);
                return Ok(());
            }
        };
        looked.map_err(|error| self.failed(&error))
    }

    fn send(&mut self, records: &[Arc<Record>]) -> Sent {
        if self.open.is_none() {
            match self.connect() {
                Ok(open) => self.open = Some(open),
                Err(error) => return (0, Err(error)),
            }
        }
        match &self.open {
            Some(Open::Datagrams(_)) => self.send_datagrams(records),
            _ => self.send_stream(records),
        }
    }
}

fn datagrams(host: &str, port: u16) -> io::Result<UdpSocket> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for address in (host, port).to_socket_addrs()? {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        match UdpSocket::bind(any).and_then(|socket| socket.connect(address).map(|()| socket)) {
            Ok(socket) => {
                socket.set_write_timeout(Some(PATIENCE))?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn outlet(transport: Transport, port: u16) -> SyslogOutlet {
        let target = SyslogTarget {
            transport,
            host: "127.0.0.1".into(),
            port,
            ca: None,
            server_name: None,
            identity: None,
            facility: 16,
            hostname: Some("gw".into()),
        };
        SyslogOutlet::new(&target, Format::Cef)
    }

    fn events(count: usize) -> Vec<Arc<Record>> {
        let record = Record { reason: "geo".into(), verdict: "drop".into(), ..Record::default() };
        std::iter::repeat_n(Arc::new(record), count).collect()
    }

    #[test]
    fn a_datagram_is_a_message() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut outlet = outlet(Transport::Udp, server.local_addr().unwrap().port());
        assert_eq!(outlet.send(&events(3)).0, 3);
        let mut message = [0; 2_048];
        for number in 1..=3 {
            let length = server.recv(&mut message).unwrap();
            let text = String::from_utf8_lossy(&message[..length]);
            assert!(text.starts_with("<133>1 - gw iomt-filter "), "{text}");
            assert!(text.contains(&format!("[meta sequenceId=\"{number}\"] CEF:0|")), "{text}");
        }
    }

    #[test]
    fn a_connection_has_the_length_ahead_of_each_and_one_that_ends_is_noticed() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut outlet = outlet(Transport::Tcp, server.local_addr().unwrap().port());
        outlet.open().unwrap();
        let (mut stream, _) = server.accept().unwrap();
        assert_eq!(outlet.send(&events(200)).0, 200);
        drop(stream.set_read_timeout(Some(PATIENCE)));
        let mut expected: String = String::new();
        for number in 1..=200 {
            let message = syslog::message(&events(1)[0], Format::Cef, &outlet.header, number);
            expected.push_str(&format!("{} {message}", message.len()));
        }
        let mut read = vec![0; expected.len()];
        stream.read_exact(&mut read).unwrap();
        assert_eq!(String::from_utf8(read).unwrap(), expected);
        drop(stream);
        let (sent, result) = loop {
            // The end takes a moment to arrive.
            match outlet.send(&events(1)) {
                (1, Ok(())) => {}
                other => break other,
            }
        };
        let error = result.unwrap_err().to_string();
        assert!(sent == 0 && error.starts_with("tcp://127.0.0.1:"), "{error}");
        assert_eq!(outlet.send(&events(1)).0, 1, "it is opened anew");
    }
}
