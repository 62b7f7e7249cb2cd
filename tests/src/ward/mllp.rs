//! HL7 version 2 over MLLP: an integration engine that acknowledges, and a sender that checks it.
//!
//! A message is framed by 0x0b in front and 0x1c 0x0d behind (HL7 v2.5.1 appendix C.4.1); the answer's
//! MSA segment says whether it was taken, and names the message by its control identifier (§2.9.2).

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::socket::{self, Shutdown as SocketShutdown};

use crate::netns::Namespace;

const START: u8 = 0x0b;
const END: [u8; 2] = [0x1c, 0x0d];
/// How long a sender waits for its acknowledgement.
const LIMIT: Duration = Duration::from_secs(5);

/// An integration engine; gone when this value is.
#[derive(Debug)]
pub struct Engine {
    listener: TcpListener,
    taken: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Listens inside a namespace.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn start(inside: &Namespace, at: SocketAddr) -> Result<Self> {
        let bound = inside.inside(|| TcpListener::bind(at))?;
        let listener = bound.with_context(|| format!("failed to listen on {at}"))?;
        let taken = Arc::new(AtomicU64::new(0));
        let (serving, counting) = (listener.try_clone()?, Arc::clone(&taken));
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = serving.accept() {
                let counting = Arc::clone(&counting);
                // A sender that breaks off is the sender's business.
                thread::spawn(move || serve(stream, &counting).ok());
            }
        });
        Ok(Self { listener, taken, thread: Some(thread) })
    }

    /// Messages that were acknowledged so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // On Linux this ends a blocked `accept`.
        let _ = socket::shutdown(self.listener.as_raw_fd(), SocketShutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: TcpStream, taken: &AtomicU64) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(message) = receive(&mut reader)? {
        let acknowledgement = acknowledge(&message)?;
        taken.fetch_add(1, Ordering::Relaxed);
        transmit(&mut writer, &acknowledgement)?;
    }
    Ok(())
}

/// A connection of a device to an engine.
#[derive(Debug)]
pub struct Sender {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Sender {
    /// Connects from inside a namespace.
    ///
    /// # Errors
    /// When there is no connection within `limit`.
    pub fn connect(from: &Namespace, to: SocketAddr, limit: Duration) -> Result<Self> {
        let connected = from.inside(|| TcpStream::connect_timeout(&to, limit))?;
        let stream = connected.with_context(|| format!("failed to connect to {to}"))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, reader })
    }

    /// Sends an observation, and has it acknowledged.
    ///
    /// # Errors
    /// When no acknowledgement comes, or one of another message.
    pub fn observe(&mut self, control: &str, heart_rate: u16) -> Result<()> {
        transmit(&mut self.stream, &observation(control, heart_rate))?;
        let answer = receive(&mut self.reader)?.context("the engine hung up")?;
        let answered = segment(&answer, "MSA").context("the acknowledgement has no MSA segment")?;
        ensure!(answered.get(1) == Some(&"AA"), "the engine refused: {answer:?}");
        ensure!(answered.get(2) == Some(&control), "another message was acknowledged: {answer:?}");
        Ok(())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // Whoever has hung up already is gone.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// What a patient monitor reports (ORU^R01).
fn observation(control: &str, heart_rate: u16) -> String {
    format!(
        "MSH|^~\\&|MONITOR|WARD|ENGINE|HOSPITAL|20260105080000||ORU^R01^ORU_R01|{control}|P|2.6\r\
         PID|1||PHANTOM^^^HOSPITAL||Phantom^Water\r\
         OBR|1|||182777000^monitoring of patient^SCT\r\
         OBX|1|NM|8867-4^Heart rate^LN||{heart_rate}|/min^^UCUM|||||F\r"
    )
}

/// The answer to a message: sender and receiver exchanged, the control identifier in the MSA segment.
fn acknowledge(message: &str) -> Result<String> {
    let header = segment(message, "MSH").context("a message begins with an MSH segment")?;
    let field = |number: usize| header.get(number - 1).copied().unwrap_or_default();
    if field(12).is_empty() || field(10).is_empty() {
        bail!("no version or no control identifier in {message:?}");
    }
    // MSH-1 is the separator itself, so that fields are one further on than in other segments.
    Ok(format!(
        "MSH|^~\\&|{}|{}|{}|{}|20260105080000||ACK^R01^ACK|A{control}|P|{}\rMSA|AA|{control}\r",
        field(5),
        field(6),
        field(3),
        field(4),
        field(12),
        control = field(10),
    ))
}

fn segment<'m>(message: &'m str, name: &str) -> Option<Vec<&'m str>> {
    let fields = message.split('\r').map(|segment| segment.split('|').collect::<Vec<_>>());
    fields.into_iter().find(|fields| fields[0] == name)
}

/// Sends a frame in two writes: MLLP knows nothing of packets.
fn transmit(stream: &mut TcpStream, message: &str) -> Result<()> {
    let frame = [&[START], message.as_bytes(), &END].concat();
    let (head, tail) = frame.split_at(frame.len() / 2);
    stream.write_all(head).and_then(|()| stream.write_all(tail)).context("failed to send a message")
}

/// The next message, or none where the other side has hung up.
fn receive(reader: &mut BufReader<TcpStream>) -> Result<Option<String>> {
    let mut frame = Vec::new();
    loop {
        let read = reader.read_until(END[1], &mut frame).context("failed to receive a message")?;
        if read == 0 {
            ensure!(frame.is_empty(), "a frame without its end: {frame:?}");
            return Ok(None);
        }
        if let Some(message) = frame.strip_suffix(&END) {
            let message = message.strip_prefix(&[START]).context("a frame without its beginning")?;
            return Ok(Some(String::from_utf8(message.to_vec())?));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_names_the_message_and_turns_it_round() {
        let answer = acknowledge(&observation("M7", 72)).unwrap();
        assert_eq!(segment(&answer, "MSA").unwrap(), ["MSA", "AA", "M7"]);
        assert_eq!(segment(&answer, "MSH").unwrap()[2..6], ["ENGINE", "HOSPITAL", "MONITOR", "WARD"]);
    }

    #[test]
    fn what_is_no_message_is_not_acknowledged() {
        assert!(acknowledge("PID|1\r").is_err());
        assert!(acknowledge("MSH|^~\\&|A|B|C|D|20260105||ORU^R01||P|2.6\r").is_err());
    }
}
