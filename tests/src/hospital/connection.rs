//! Connections: services that answer, attempts to reach them, and sessions that run on.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::socket::{self, Shutdown as SocketShutdown};

use crate::netns::Namespace;

/// Time between two messages of a session.
const PACE: Duration = Duration::from_millis(2);
/// Bytes of a message.
const MESSAGE: usize = 32;

/// What became of an attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The connection stands.
    Connected,
    /// Someone answered, and would not have it.
    Refused,
    /// Nobody answered.
    NoAnswer,
}

/// Tries to connect from inside a namespace.
///
/// # Errors
/// When the attempt itself fails, as where there is no route.
pub fn attempt(from: &Namespace, to: SocketAddr, limit: Duration) -> Result<Outcome> {
    from.inside(|| match TcpStream::connect_timeout(&to, limit) {
        Ok(_) => Ok(Outcome::Connected),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Outcome::Refused),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(Outcome::NoAnswer),
        Err(error) => Err(error).with_context(|| format!("failed to try {to}")),
    })?
}

/// A TCP service that sends back what it gets.
#[derive(Debug)]
pub struct Service {
    listener: TcpListener,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    accepted: AtomicU64,
    streams: Mutex<Vec<TcpStream>>,
}

impl Service {
    /// Listens inside a namespace.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn start(inside: &Namespace, at: SocketAddr) -> Result<Self> {
        let bound = inside.inside(|| TcpListener::bind(at))?;
        let listener = bound.with_context(|| format!("failed to listen on {at}"))?;
        let shared = Arc::new(Shared::default());
        let (serving, sharing) = (listener.try_clone()?, Arc::clone(&shared));
        let thread = thread::spawn(move || serve(&serving, &sharing));
        Ok(Self { listener, shared, thread: Some(thread) })
    }

    /// Connections that arrived so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // On Linux this ends a blocked `accept`.
        let _ = socket::shutdown(self.listener.as_raw_fd(), SocketShutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for stream in lock(&self.shared.streams).iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(listener: &TcpListener, shared: &Shared) {
    while let Ok((stream, _)) = listener.accept() {
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        if let Ok(copy) = stream.try_clone() {
            lock(&shared.streams).push(copy);
        }
        thread::spawn(move || echo(stream));
    }
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    let _ = stream.set_nodelay(true);
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

/// A TCP session with a [`Service`]: a message every few milliseconds, and its answer.
#[derive(Debug)]
pub struct Session {
    stream: TcpStream,
    traffic: Arc<Traffic>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Traffic {
    sent: AtomicU64,
    answered: AtomicU64,
    last_answer: Mutex<Instant>,
    paused: AtomicBool,
    ended: AtomicBool,
}

impl Session {
    /// Connects from inside a namespace, and starts to talk.
    ///
    /// # Errors
    /// When there is no connection within `limit`.
    pub fn start(from: &Namespace, to: SocketAddr, limit: Duration) -> Result<Self> {
        let connected = from.inside(|| TcpStream::connect_timeout(&to, limit))?;
        let stream = connected.with_context(|| format!("failed to connect to {to}"))?;
        stream.set_nodelay(true)?;
        let traffic = Arc::new(Traffic {
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            last_answer: Mutex::new(Instant::now()),
            paused: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let (writer, writing) = (stream.try_clone()?, Arc::clone(&traffic));
        let (reader, reading) = (stream.try_clone()?, Arc::clone(&traffic));
        let threads = vec![
            thread::spawn(move || talk(writer, &writing)),
            thread::spawn(move || {
                listen(reader, &reading);
            }),
        ];
        Ok(Self { stream, traffic, threads })
    }

    /// Messages handed to the kernel so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.traffic.sent.load(Ordering::Relaxed)
    }

    /// Messages that came back so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.traffic.answered.load(Ordering::Relaxed)
    }

    /// When the last answer came.
    #[must_use]
    pub fn last_answer(&self) -> Instant {
        *lock(&self.traffic.last_answer)
    }

    /// Whether the connection is over: closed by the peer, or given up by the kernel.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.traffic.ended.load(Ordering::Relaxed)
    }

    /// Sends no more, and still listens: what was sent is then all to be answered.
    pub fn pause(&self) {
        self.traffic.paused.store(true, Ordering::Relaxed);
    }

    /// Sends again.
    pub fn resume(&self) {
        self.traffic.paused.store(false, Ordering::Relaxed);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.traffic.ended.store(true, Ordering::Relaxed);
        let _ = self.stream.shutdown(Shutdown::Both);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn talk(mut stream: TcpStream, traffic: &Traffic) {
    while !traffic.ended.load(Ordering::Relaxed) {
        if !traffic.paused.load(Ordering::Relaxed) {
            traffic.sent.fetch_add(1, Ordering::Relaxed);
            if stream.write_all(&[b'.'; MESSAGE]).is_err() {
                break;
            }
        }
        thread::sleep(PACE);
    }
    traffic.ended.store(true, Ordering::Relaxed);
}

fn listen(mut stream: TcpStream, traffic: &Traffic) {
    let mut message = [0; MESSAGE];
    while stream.read_exact(&mut message).is_ok() {
        *lock(&traffic.last_answer) = Instant::now();
        traffic.answered.fetch_add(1, Ordering::Relaxed);
    }
    traffic.ended.store(true, Ordering::Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
