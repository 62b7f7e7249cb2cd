//! Answers on the control socket.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Query, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use nix::unistd::{Group, Uid, chown};
use serde::Serialize;
use thiserror::Error;
use tokio::net::UnixListener;
use tokio::net::unix::UCred;
use tokio::sync::broadcast::error::RecvError;

use super::messages::{BlockRequest, EventQuery, GrantRequest, Refused, RevokeRequest, UnblockRequest};
use crate::agent::Agent;
use crate::agent::history::Follower;
use crate::explain::Question;

/// The group whose members may read.
const GROUP: &str = "iomt-filter";
/// An import of a million addresses is some 20 MB of JSON.
const LARGEST_REQUEST: usize = 64 << 20;

/// Why the socket cannot be had.
#[derive(Debug, Error)]
pub enum SocketError {
    /// Another agent answers on it.
    #[error("another agent listens on `{0}`; stop it first, or give this one another `paths.socket`")]
    InUse(PathBuf),
    /// It is something else than a socket.
    #[error("`{0}` exists and is no socket; remove it, or give the agent another `paths.socket`")]
    NoSocket(PathBuf),
    /// It cannot be made.
    #[error("failed to listen on `{path}`")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        #[source]
        error: io::Error,
    },
}

/// Makes the socket: mode 0660, group `iomt-filter` where there is such a group.
///
/// # Errors
/// When another agent listens there, or the path cannot be used.
pub fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    let failed = |error| SocketError::Listen { path: path.to_owned(), error };
    if let Ok(found) = fs::symlink_metadata(path) {
        use std::os::unix::fs::FileTypeExt as _;
        if !found.file_type().is_socket() {
            return Err(SocketError::NoSocket(path.to_owned()));
        }
        if StdUnixStream::connect(path).is_ok() {
            return Err(SocketError::InUse(path.to_owned()));
        }
        fs::remove_file(path).map_err(failed)?;
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // Nobody else may open it before mode and group are as they should be.
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    nix::sys::stat::umask(mask);
    let listener = listener.map_err(failed)?;
    if let Ok(Some(group)) = Group::from_name(GROUP) {
        chown(path, None, Some(group.gid)).map_err(|error| failed(error.into()))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// Answers until `shutdown` completes.
///
/// # Errors
/// When the socket breaks.
pub async fn serve(
    listener: UnixListener,
    agent: Arc<Agent>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/devices", get(devices))
        .route("/v1/flows", get(flows))
        .route("/v1/events", get(events))
        .route("/v1/explain", get(explain))
        .route("/v1/blocks", get(blocks).post(block))
        .route("/v1/blocks/remove", post(unblock))
        .route("/v1/grants", get(grants).post(grant))
        .route("/v1/grants/revoke", post(revoke))
        .route("/v1/reload", post(reload))
        .layer(middleware::from_fn(authorise))
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .with_state(agent);
    let service = router.into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, service).with_graceful_shutdown(shutdown).await
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer(Option<Uid>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let uid = stream.io().peer_cred().ok().as_ref().map(UCred::uid);
        Self(uid.map(Uid::from_raw))
    }
}

impl Peer {
    fn may_write(&self) -> bool {
        self.0.is_some_and(|uid| uid.is_root() || uid == Uid::effective())
    }

    /// As it stands beside a manual block and a grant.
    fn name(&self) -> String {
        let Some(uid) = self.0 else { return "unknown".into() };
        match nix::unistd::User::from_uid(uid) {
            Ok(Some(user)) => user.name,
            _ => format!("uid {uid}"),
        }
    }
}

async fn authorise(ConnectInfo(peer): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    if request.method() == Method::GET || peer.may_write() {
        return next.run(request).await;
    }
    refuse(StatusCode::FORBIDDEN, vec!["only root and the agent's own user may change anything".into()])
}

fn refuse(status: StatusCode, errors: Vec<String>) -> Response {
    (status, Json(Refused { errors })).into_response()
}

/// Runs `work` where it may block.
async fn blocking<T: Serialize + Send + 'static>(
    agent: Arc<Agent>,
    work: impl FnOnce(&Agent) -> Result<T, Vec<String>> + Send + 'static,
) -> Response {
    match tokio::task::spawn_blocking(move || work(&agent)).await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(errors)) => refuse(StatusCode::CONFLICT, errors),
        Err(_) => {
            refuse(StatusCode::INTERNAL_SERVER_ERROR, vec!["the agent failed to answer; see its log".into()])
        }
    }
}

async fn status(State(agent): State<Arc<Agent>>) -> Response {
    blocking(agent, Agent::status).await
}

async fn devices(State(agent): State<Arc<Agent>>) -> Response {
    blocking(agent, Agent::devices).await
}

async fn flows(State(agent): State<Arc<Agent>>) -> Response {
    blocking(agent, Agent::flows).await
}

async fn explain(State(agent): State<Arc<Agent>>, Query(question): Query<Question>) -> Response {
    blocking(agent, move |agent| agent.explain(&question)).await
}

async fn blocks(State(agent): State<Arc<Agent>>) -> Response {
    blocking(agent, |agent| Ok(agent.blocks())).await
}

async fn block(
    State(agent): State<Arc<Agent>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<BlockRequest>,
) -> Response {
    blocking(agent, move |agent| agent.block(&request, &peer.name())).await
}

async fn unblock(State(agent): State<Arc<Agent>>, Json(request): Json<UnblockRequest>) -> Response {
    blocking(agent, move |agent| agent.unblock(&request)).await
}

async fn grants(State(agent): State<Arc<Agent>>) -> Response {
    blocking(agent, |agent| Ok(agent.grants())).await
}

async fn grant(
    State(agent): State<Arc<Agent>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<GrantRequest>,
) -> Response {
    blocking(agent, move |agent| agent.grant(&request, &peer.name())).await
}

async fn revoke(State(agent): State<Arc<Agent>>, Json(request): Json<RevokeRequest>) -> Response {
    blocking(agent, move |agent| agent.revoke(request.id)).await
}

async fn reload(State(agent): State<Arc<Agent>>) -> Response {
    blocking(agent, Agent::reload).await
}

/// One object a line: what is remembered, and with `follow` what comes.
async fn events(State(agent): State<Arc<Agent>>, Query(query): Query<EventQuery>) -> Response {
    let (past, follower) = agent.history().read(&query);
    let past = past.into_iter().map(|line| Ok::<_, Infallible>(line.to_string()));
    let follow = query.follow.then_some(follower);
    let coming = futures_util::stream::unfold(follow, next_line);
    let lines = futures_util::StreamExt::chain(futures_util::stream::iter(past), coming);
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

async fn next_line(follower: Option<Follower>) -> Option<(Result<String, Infallible>, Option<Follower>)> {
    let mut follower = follower?;
    loop {
        match follower.next().await {
            Ok(Some(line)) => return Some((Ok(line), Some(follower))),
            Ok(None) => {}
            Err(RecvError::Lagged(missed)) => {
                let line = format!("{{\"missed\":{missed}}}\n");
                return Some((Ok(line), Some(follower)));
            }
            Err(RecvError::Closed) => return None,
        }
    }
}
