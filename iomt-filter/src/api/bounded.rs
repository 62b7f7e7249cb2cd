//! What those may send who may only read: a document of a bounded length, in a bounded time.
//!
//! A request comes in, the document in it goes out, or the answer that says what is wrong with it. Nothing is done
//! about it here.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, FromRequest as _, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::messages::{LONGEST_LOOKUP, LONGEST_PLAN, LookupRequest, PlanRequest};
use super::request::{Refusal, Said, refusal};

/// How long a document may take to arrive: a place among the connections is held meanwhile.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A document that is bounded.
pub(super) trait Bounded: DeserializeOwned {
    /// What it is called.
    const WHAT: &str;
    /// The longest that is read, in bytes.
    const LONGEST: usize;
    /// What to do with a longer one.
    const HELP: &str;
}

impl Bounded for LookupRequest {
    const WHAT: &str = "a lookup";
    const LONGEST: usize = LONGEST_LOOKUP;
    const HELP: &str = "ask in parts";
}

impl Bounded for PlanRequest {
    const WHAT: &str = "what is to be planned";
    const LONGEST: usize = LONGEST_PLAN;
    const HELP: &str = "write it to where the configuration says, and plan that";
}

/// The longest that is read, for the route of such [`document`]s.
pub(super) fn limit<T: Bounded>() -> DefaultBodyLimit {
    DefaultBodyLimit::max(T::LONGEST)
}

/// The document in a request.
///
/// # Errors
/// When it is too long, too slow, or none.
pub(super) async fn document<T: Bounded>(request: Request, patience: Duration) -> Result<T, Refusal> {
    match timeout(patience, Said::<T>::from_request(request, &())).await {
        Ok(Ok(Said(document))) => Ok(document),
        Ok(Err((StatusCode::PAYLOAD_TOO_LARGE, _))) => {
            let why =
                format!("{} may have {} bytes, and this one has more; {}", T::WHAT, T::LONGEST, T::HELP);
            Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, why))
        }
        Ok(Err(refused)) => Err(refused),
        Err(_) => {
            let why = format!("the request did not arrive within {} s; send it at once", patience.as_secs());
            Err(refusal(StatusCode::REQUEST_TIMEOUT, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Json;
    use axum::Router;
    use axum::response::IntoResponse as _;
    use axum::routing::post;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{UnixListener, UnixStream};

    use super::super::access::Peer;
    use super::super::connections::{self, Desks, Limits};
    use super::super::messages::LookupRequest;
    use super::*;

    /// Sends a document, or a part of one of `length` bytes, and returns the whole answer.
    async fn ask(path: &std::path::Path, route: &str, length: usize, sent: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).await.unwrap();
        let head = format!(
            "POST {route} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // It may be answered, and hung up, before all of it was sent.
        let _ = stream.write_all(sent).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn what_readers_send_is_bounded_and_others_may_send_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let lookup =
            async |request: Request| match document::<LookupRequest>(request, Duration::from_secs(1)).await {
                Ok(request) => request.queries.len().to_string().into_response(),
                Err(refused) => refused.into_response(),
            };
        let other =
            async |Json(request): Json<LookupRequest>| request.queries.len().to_string().into_response();
        let router = Router::new()
            .route("/lookup", post(lookup).layer(limit::<LookupRequest>()))
            .route("/other", post(other))
            .layer(DefaultBodyLimit::max(64 << 20));
        runtime.block_on(async {
            let listener = UnixListener::bind(&path).unwrap();
            let serve = connections::serve(
                listener,
                Desks { router, full: Router::new(), strangers: Router::new() },
                Limits::default(),
                |_| Peer::reader(),
                std::future::pending(),
            );
            let server = tokio::spawn(serve);
            let document = |bytes: usize| {
                let query = "x".repeat(bytes - r#"{"queries":[""]}"#.len());
                format!(r#"{{"queries":["{query}"]}}"#).into_bytes()
            };
            let fits = document(LONGEST_LOOKUP);
            let answer = ask(&path, "/lookup", fits.len(), &fits).await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n1"), "{answer}");
            let longer = document(LONGEST_LOOKUP + 1);
            let answer = ask(&path, "/lookup", longer.len(), &longer).await;
            assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
            assert!(answer.contains("a lookup may have 262144 bytes, and this one has more"), "{answer}");
            let answer = ask(&path, "/other", longer.len(), &longer).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            let answer = ask(&path, "/lookup", 100, b"{\"queries\":[").await;
            assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("send it at once"), "{answer}");
            let answer = ask(&path, "/lookup", 2, b"[}").await;
            assert!(answer.starts_with("HTTP/1.1 400") && answer.contains(r#"{"errors":["#), "{answer}");
            server.abort();
        });
    }
}
