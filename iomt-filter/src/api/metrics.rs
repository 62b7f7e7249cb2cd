//! Metrics over HTTP, for whoever reaches the place where they are served. Nothing else is answered there, and nothing
//! can be changed.
//!
//! However many ask: one answer is made at a time, and at most one a second; a connection is for one request, and not
//! for long; and so many at once, and no more. Where the place cannot be had, the agent does without, says so, and tries
//! again.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::access::Peer;
use super::connections::{self, Desks, Limits};
use super::request::{broke_off, busy, refusal, unknown, wrong_method};
use crate::agent::Agent;
use crate::metrics::CONTENT_TYPE;

/// What those have who ask.
const LIMITS: Limits = Limits {
    connections: 16,
    silence: Duration::from_secs(5),
    // Longer than what asks waits for an answer.
    lifetime: Some(Duration::from_secs(30)),
};
/// How old an answer may be that somebody else was given.
const FRESH: Duration = Duration::from_secs(1);
/// How long one may wait for an answer to be made for somebody else.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it takes until a place is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Where metrics are to be served, and whether that place could be had.
#[derive(Debug)]
pub struct Place {
    address: SocketAddr,
    listener: io::Result<StdTcpListener>,
}

impl Place {
    /// Takes the place, as long as the rights for it are there.
    #[must_use]
    pub fn take(address: SocketAddr) -> Self {
        Self { address, listener: listen(address) }
    }
}

fn listen(address: SocketAddr) -> io::Result<StdTcpListener> {
    let listener = StdTcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers until `shutdown` completes.
pub async fn serve(place: Place, agent: Arc<Agent>, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let note = |why| agent.note_unserved(why);
    let Some(listener) = had(place, note, RETRY, &mut shutdown).await else { return };
    let made = agent.clone();
    answer(listener, Arc::new(move || made.metrics()), shutdown).await;
}

/// The place, as soon as it can be had; nothing where `shutdown` completes before. `note` is told why not, and when it
/// is.
async fn had(
    place: Place,
    note: impl Fn(Option<String>),
    retry: Duration,
    shutdown: &mut (impl Future<Output = ()> + Unpin),
) -> Option<TcpListener> {
    let Place { address, mut listener } = place;
    let mut was_told = false;
    loop {
        match listener.and_then(TcpListener::from_std) {
            Ok(listener) => {
                note(None);
                tracing::info!(%address, "serving metrics");
                return Some(listener);
            }
            Err(error) => {
                let why = format!(
                    "metrics are not served: failed to listen on {address}: {error}; free it, or write another \
                     `listen` in `[metrics]` and restart: it is tried again every {} s, and what is judged does not change",
                    retry.as_secs()
                );
                if !was_told {
                    tracing::error!("{why}");
                }
                was_told = true;
                note(Some(why));
            }
        }
        if timeout(retry, &mut *shutdown).await.is_ok() {
            return None;
        }
        listener = listen(address);
    }
}

/// Makes the text.
type Make = dyn Fn() -> Result<String, Vec<String>> + Send + Sync;

struct Desk {
    make: Arc<Make>,
    /// The last answer, and when it was made; held while one is made.
    last: Arc<Mutex<Option<(Instant, Bytes)>>>,
}

async fn answer(listener: TcpListener, make: Arc<Make>, shutdown: impl Future<Output = ()>) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::new(Desk { make, last: Arc::default() }));
    let full = Router::new().fallback(async || busy("too many connections are open"));
    let desks = Desks { router, full, strangers: Router::new() };
    connections::serve(listener, desks, LIMITS, |_| Peer::reader(), shutdown).await;
}

async fn metrics(State(desk): State<Arc<Desk>>) -> Response {
    let Ok(mut last) = timeout(PATIENCE, desk.last.clone().lock_owned()).await else {
        return busy("an answer is being made for somebody else");
    };
    if let Some((made, text)) = &*last
        && made.elapsed() < FRESH
    {
        return shown(text.clone());
    }
    let make = desk.make.clone();
    // What is held goes along: who hangs up meanwhile does not make room for one more.
    let work = move || {
        let text = Bytes::from(make()?);
        *last = Some((Instant::now(), text.clone()));
        Ok::<_, Vec<String>>(text)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(text)) => shown(text),
        Ok(Err(errors)) => refusal(StatusCode::INTERNAL_SERVER_ERROR, errors.join("; ")).into_response(),
        Err(_) => broke_off(),
    }
}

fn shown(text: Bytes) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        timeout(Duration::from_secs(10), read).await.expect("it hangs up after one answer").unwrap();
        answer
    }

    async fn place() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_page_is_served_and_nothing_else() {
        let (listener, address) = place().await;
        let make = Arc::new(|| Ok("# EOF\n".to_owned()));
        let server = tokio::spawn(answer(listener, make, std::future::pending()));
        let answer = ask(address, "GET /metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n# EOF\n"), "{answer}");
        assert!(answer.contains(&format!("content-type: {CONTENT_TYPE}\r\n")), "{answer}");
        assert!(ask(address, "GET /v1/status").await.starts_with("HTTP/1.1 404 "));
        assert!(ask(address, "POST /metrics").await.starts_with("HTTP/1.1 405 "));
        server.abort();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_who_ask_at_once_are_given_one_answer() {
        let (listener, address) = place().await;
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let make = Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(200));
            Ok("# EOF\n".to_owned())
        });
        let server = tokio::spawn(answer(listener, make, std::future::pending()));
        // Who hangs up while it is made has it made no second time.
        let mut gone = TcpStream::connect(address).await.unwrap();
        gone.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(gone);
        let asking: Vec<_> = (0..8).map(|_| tokio::spawn(ask(address, "GET /metrics"))).collect();
        for answer in asking {
            assert!(answer.await.unwrap().starts_with("HTTP/1.1 200 "));
        }
        assert_eq!(made.load(Ordering::Relaxed), 1);
        server.abort();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn connections_are_bounded_and_one_beyond_is_told_so() {
        let (listener, address) = place().await;
        let make = Arc::new(|| Ok("# EOF\n".to_owned()));
        let server = tokio::spawn(answer(listener, make, std::future::pending()));
        let mut silent = Vec::new();
        for _ in 0..LIMITS.connections {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let answer = ask(address, "GET /metrics").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("too many connections"), "{answer}");
        silent.clear();
        let end = Instant::now() + Duration::from_secs(10);
        while !ask(address, "GET /metrics").await.starts_with("HTTP/1.1 200 ") {
            assert!(Instant::now() < end, "the places are not given back");
        }
        server.abort();
    }

    #[tokio::test]
    async fn a_place_that_is_taken_is_told_and_had_as_soon_as_it_is_free() {
        let taken = StdTcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let place = Place::take(address);
        let told = std::sync::Mutex::new(Vec::new());
        let note = |why: Option<String>| {
            told.lock().unwrap().push(why);
        };
        let free = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(taken);
        };
        let mut never = std::future::pending();
        let (listener, ()) = tokio::join!(had(place, note, Duration::from_millis(20), &mut never), free);
        assert_eq!(listener.unwrap().local_addr().unwrap(), address);
        let told = told.into_inner().unwrap();
        let first = told[0].as_deref().unwrap();
        assert!(first.contains(&format!("failed to listen on {address}: ")), "{first}");
        assert_eq!(told.last(), Some(&None));
    }
}
