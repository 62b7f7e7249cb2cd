//! Connections to the agent: how many there may be, and how long one may say nothing.
//!
//! What is bounded is what those have who may only read. However many of them come, root gets through. Who may not even
//! read is told so, and listened to no further.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::access::{Peer, Role};

/// How long one is listened to that is only to be told that there are too many.
const REFUSAL: Duration = Duration::from_secs(2);
/// How long nothing is taken where the host has no room for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// What those have who may only read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once, of all of them together.
    pub(super) connections: usize,
    /// How long any connection may take to begin a request and to send its head.
    pub(super) silence: Duration,
    /// How long any connection may be there, for one request; as long and for as many as it likes where nothing is
    /// said.
    pub(super) lifetime: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 64, silence: Duration::from_secs(30), lifetime: None }
    }
}

/// What connections come in on.
pub(super) trait Incoming: Sync {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// What it is called.
    const WHAT: &str;

    /// The next connection.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Incoming for UnixListener {
    type Stream = UnixStream;
    const WHAT: &str = "the control socket";

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Incoming for TcpListener {
    type Stream = TcpStream;
    const WHAT: &str = "the port for metrics";

    async fn next(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// What connections are served with.
#[derive(Clone, Debug)]
pub(super) struct Desks {
    /// Whoever is listened to.
    pub(super) router: Router,
    /// Those beyond the limit.
    pub(super) full: Router,
    /// Those who may not even read.
    pub(super) strangers: Router,
}

/// Serves the desks until `shutdown` completes, and what is under way to its end.
pub(super) async fn serve<L: Incoming>(
    listener: L,
    desks: Desks,
    limits: Limits,
    who: impl Fn(&L::Stream) -> Peer,
    shutdown: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.next() => match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    pause_after(&error, L::WHAT).await;
                    continue;
                }
            },
        };
        let peer = who(&stream);
        if !peer.has(Role::Read) {
            let router = desks.strangers.clone().layer(Extension(ConnectInfo(peer)));
            connections.spawn(refuse(stream, router));
            continue;
        }
        let place = if peer.may_write() { None } else { Some(places.clone().try_acquire_owned()) };
        match place.transpose() {
            Ok(place) => {
                let router = desks.router.clone().layer(Extension(ConnectInfo(peer)));
                connections.spawn(converse(stream, router, limits, place, stopping.clone()));
            }
            Err(_) => drop(connections.spawn(refuse(stream, desks.full.clone()))),
        }
    }
    drop(listener);
    let _ = stop.send(true);
    while connections.join_next().await.is_some() {}
}

/// The place is given back when the connection ends.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    limits: Limits,
    place: Option<OwnedSemaphorePermit>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.silence);
    builder.keep_alive(limits.lifetime.is_none());
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = is_over(limits.lifetime) => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
    drop(place);
}

/// Completes after that long, or never.
async fn is_over(lifetime: Option<Duration>) {
    match lifetime {
        Some(lifetime) => tokio::time::sleep(lifetime).await,
        None => std::future::pending().await,
    }
}

async fn refuse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, refusal: Router) {
    let mut builder = http1::Builder::new();
    builder.keep_alive(false);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(refusal));
    let _ = tokio::time::timeout(REFUSAL, connection).await;
}

async fn pause_after(error: &io::Error, what: &str) {
    // One that was taken back before it was taken is no trouble of ours.
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tracing::error!(%error, "{what} takes no connection at present");
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::http::StatusCode;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;

    const LIMITS: Limits = Limits { connections: 2, silence: Duration::from_millis(300), lifetime: None };

    /// Sends a request, and returns the connection with the first line of the answer.
    async fn ask(path: &std::path::Path) -> (UnixStream, String) {
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer[..length]).into_owned();
        (stream, text.lines().next().unwrap_or_default().to_owned())
    }

    async fn ends(stream: &mut UnixStream) -> bool {
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.is_ok()
    }

    fn with_server(who: Peer, test: impl AsyncFn(&std::path::Path)) {
        with_limits(LIMITS, who, test);
    }

    fn with_limits(limits: Limits, who: Peer, test: impl AsyncFn(&std::path::Path)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = UnixListener::bind(&path).unwrap();
            let router = Router::new().route("/", get(async || "yes"));
            let full = Router::new().fallback(async || StatusCode::SERVICE_UNAVAILABLE);
            let strangers = Router::new().fallback(async || StatusCode::FORBIDDEN);
            let desks = Desks { router, full, strangers };
            let (stop, stopped) = oneshot::channel::<()>();
            let shutdown = async {
                let _ = stopped.await;
            };
            let server = serve(listener, desks, limits, move |_| who.clone(), shutdown);
            let server = tokio::spawn(server);
            test(&path).await;
            stop.send(()).unwrap();
            server.await.unwrap();
        });
    }

    #[test]
    fn connections_of_readers_are_bounded_and_one_beyond_is_told_so() {
        with_server(Peer::reader(), async |path| {
            let (first, answer) = ask(path).await;
            assert_eq!(answer, "HTTP/1.1 200 OK");
            let _second = ask(path).await;
            assert_eq!(ask(path).await.1, "HTTP/1.1 503 Service Unavailable");
            drop(first);
            let deadline = Instant::now() + Duration::from_secs(5);
            while ask(path).await.1 != "HTTP/1.1 200 OK" {
                assert!(Instant::now() < deadline, "the place is not given back");
            }
        });
    }

    #[test]
    fn who_may_change_something_is_not_counted() {
        with_server(Peer::writer(), async |path| {
            let mut connections = Vec::new();
            for _ in 0..5 {
                let (connection, answer) = ask(path).await;
                assert_eq!(answer, "HTTP/1.1 200 OK");
                connections.push(connection);
            }
        });
    }

    #[test]
    fn strangers_are_told_so_take_no_place_and_are_hung_up_on() {
        with_server(Peer::with(Role::None), async |path| {
            let mut connections = Vec::new();
            for _ in 0..5 {
                let (connection, answer) = ask(path).await;
                assert_eq!(answer, "HTTP/1.1 403 Forbidden");
                connections.push(connection);
            }
            assert!(ends(&mut connections[0]).await);
        });
    }

    #[test]
    fn a_connection_for_one_request_ends_after_it_and_one_that_takes_no_answer_ends_too() {
        let lifetime = Some(Duration::from_millis(500));
        with_limits(
            Limits { lifetime, silence: Duration::from_secs(60), ..LIMITS },
            Peer::reader(),
            async |path| {
                let (mut answered, _) = ask(path).await;
                assert!(ends(&mut answered).await, "after an answer");
                let mut slow = UnixStream::connect(path).await.unwrap();
                slow.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
                assert!(ends(&mut slow).await, "after its time");
            },
        );
    }

    #[test]
    fn a_connection_that_says_nothing_ends() {
        with_server(Peer::reader(), async |path| {
            for sent in [&b""[..], b"GET / HTTP/1.1\r\nhost:"] {
                let mut silent = UnixStream::connect(path).await.unwrap();
                silent.write_all(sent).await.unwrap();
                assert!(ends(&mut silent).await, "{sent:?}");
            }
            let (mut idle, _) = ask(path).await;
            assert!(ends(&mut idle).await, "after an answer");
        });
    }
}
