//! Asks the agent, one request a connection.

use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;

use super::messages::Refused;
use crate::explain::{Explanation, Question};

/// The agent's answer to a change: done, or refused with nothing changed.
pub type Answer<T> = Result<std::result::Result<T, Refused>>;

/// The caller has not the role for what they ask for.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct NotAllowed(String);

/// Reads a document.
///
/// # Errors
/// When the agent cannot be reached, or does not answer with one.
pub fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T> {
    block_on(async {
        let response = request(socket, Method::GET, path, Bytes::new()).await?;
        match read(response).await? {
            Ok(document) => Ok(document),
            Err(refused) => bail!("{}", refused.errors.join("; ")),
        }
    })
}

/// Has the agent explain a packet.
///
/// # Errors
/// As of [`get`], and when the agent does not understand the question.
pub fn explanation(socket: &Path, question: &Question) -> Result<Explanation> {
    let mut parts = vec![
        format!("device={}", escaped(&question.device)),
        format!("peer={}", escaped(&question.peer)),
        format!("is_from={}", question.is_from),
        format!("service={}", escaped(&question.service)),
    ];
    parts.extend(question.source_port.map(|port| format!("source_port={port}")));
    parts.extend(question.address.map(|address| format!("address={}", escaped(&address.to_string()))));
    parts.extend(question.flags.as_ref().map(|flags| format!("flags={}", escaped(flags))));
    get(socket, &format!("/v1/explain?{}", parts.join("&")))
}

/// Asks for a change.
///
/// # Errors
/// When the agent cannot be reached, or the caller may not change anything.
pub fn post<T: DeserializeOwned>(socket: &Path, path: &str, body: &impl Serialize) -> Answer<T> {
    let body = serde_json::to_vec(body).context("failed to write the request")?;
    block_on(async {
        let response = request(socket, Method::POST, path, body.into()).await?;
        read(response).await
    })
}

/// Sends a file as it is.
///
/// # Errors
/// As of [`post`].
pub fn send<T: DeserializeOwned>(socket: &Path, path: &str, file: Vec<u8>) -> Answer<T> {
    block_on(async {
        let response = request(socket, Method::POST, path, file.into()).await?;
        read(response).await
    })
}

/// Hands every line of a streamed answer to `each`, until the stream ends or `each` says stop (`false`).
///
/// # Errors
/// When the agent cannot be reached or the stream breaks.
pub fn lines(socket: &Path, path: &str, mut each: impl FnMut(&[u8]) -> Result<bool>) -> Result<()> {
    block_on(async {
        let response = request(socket, Method::GET, path, Bytes::new()).await?;
        let mut body = match response.status() {
            StatusCode::OK => response.into_body(),
            _ => match read::<serde_json::Value>(response).await? {
                Ok(_) => return Ok(()),
                Err(refused) => bail!("{}", refused.errors.join("; ")),
            },
        };
        let mut pending = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the agent ended the stream")?;
            pending.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                if !each(line.trim_ascii_end())? {
                    return Ok(());
                }
            }
        }
        if !pending.is_empty() {
            each(&pending)?;
        }
        Ok(())
    })
}

/// Percent-encoding of everything but unreserved characters (RFC 3986 §2.3).
#[must_use]
pub fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

async fn request(socket: &Path, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>> {
    let stream = UnixStream::connect(socket).await.map_err(|error| explain(socket, error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.context("the agent does not speak HTTP")?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "iomt-filter")
        .header("content-type", "application/json")
        .body(Full::new(body))
        .context("failed to make the request")?;
    sender.send_request(request).await.context("the agent did not answer")
}

async fn read<T: DeserializeOwned>(response: Response<Incoming>) -> Result<std::result::Result<T, Refused>> {
    let status = response.status();
    let body = response.into_body().collect().await.context("the agent's answer broke off")?.to_bytes();
    match status {
        StatusCode::OK => {
            Ok(Ok(serde_json::from_slice(&body).context("the agent's answer is of another version")?))
        }
        _ => match serde_json::from_slice::<Refused>(&body) {
            // Not looked at, let alone refused for what it is.
            Ok(turned_away) if status == StatusCode::SERVICE_UNAVAILABLE => {
                bail!("{}", turned_away.errors.join("; "))
            }
            Ok(turned_away) if status == StatusCode::FORBIDDEN => {
                Err(NotAllowed(turned_away.errors.join("; ")).into())
            }
            Ok(refused) => Ok(Err(refused)),
            Err(_) => Err(anyhow!("the agent answered {status}: {}", String::from_utf8_lossy(&body).trim())),
        },
    }
}

fn explain(socket: &Path, error: io::Error) -> anyhow::Error {
    let path = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            anyhow!(
                "no agent listens on `{path}`; start it with `iomt-filter run`, or name its configuration with `--config`"
            )
        }
        io::ErrorKind::PermissionDenied => NotAllowed(format!(
            "not allowed to open `{path}`; be root, or in a group that `[access]` of the configuration names (`iomt-filter` where it names none), and log in again after you were added to it"
        ))
        .into(),
        _ => anyhow::Error::new(error).context(format!("failed to reach the agent on `{path}`")),
    }
}

fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?
        .block_on(future)
}
