//! Prometheus as Debian packages it, and what it and the agent say over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::netns::Namespace;
use crate::tools;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);

/// The folder with `prometheus` and `promtool`: on the path, or below `folder`, where they are fetched to once.
///
/// # Errors
/// When they are in neither and cannot be fetched.
pub fn programs(folder: &Path) -> Result<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let has_both =
        |folder: &PathBuf| ["prometheus", "promtool"].iter().all(|name| folder.join(name).is_file());
    if let Some(folder) = std::env::split_paths(&paths).find(has_both) {
        return Ok(folder);
    }
    Ok(tools::debian(folder, "prometheus")?.join("usr/bin"))
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// What was asked for.
    pub body: String,
}

/// Asks once, from inside a namespace.
///
/// # Errors
/// When nobody answers.
pub fn get(inside: &Namespace, at: SocketAddr, path: &str) -> Result<Answer> {
    inside.inside(|| {
        let mut stream = TcpStream::connect(at)?;
        stream.set_read_timeout(Some(ANSWER))?;
        write!(stream, "GET {path} HTTP/1.0\r\nhost: {at}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
    })?
}

/// Asks Prometheus by its interface, version 1; what it says is in `data`.
///
/// # Errors
/// When it does not answer, or says that something is wrong.
pub fn ask(inside: &Namespace, at: SocketAddr, path: &str) -> Result<Value> {
    let answer = get(inside, at, &format!("/api/v1/{path}"))?;
    let mut said: Value = serde_json::from_str(&answer.body).context("no JSON")?;
    if said["status"] != "success" {
        bail!("{path}: {said}");
    }
    Ok(said["data"].take())
}

/// What an expression comes to now: labels and a value each.
///
/// # Errors
/// As [`ask`].
pub fn evaluate(inside: &Namespace, at: SocketAddr, expression: &str) -> Result<Vec<(Value, String)>> {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let data = ask(inside, at, &format!("query?query={encoded}"))?;
    let samples = data["result"].as_array().context("no vector")?;
    let value = |sample: &Value| sample["value"][1].as_str().unwrap_or_default().to_owned();
    Ok(samples.iter().map(|sample| (sample["metric"].clone(), value(sample))).collect())
}
