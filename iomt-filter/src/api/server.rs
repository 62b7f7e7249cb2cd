//! Answers on the control socket.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use nix::unistd::chown;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::net::UnixListener;

use super::access::{Access, LOOKUP, PLAN, Peer, Role};
use super::bounded;
use super::connections::{self, Desks, Limits};
use super::events::events;
use super::messages::{
    ApplyRequest, BlockRequest, DeviceQuery, EndTrialRequest, ExceptionRequest, FlowQuery, GrantRequest,
    HistoryQuery, LearnQuery, LookupRequest, PlanRequest, RefreshRequest, Refreshing,
    ReleaseExceptionRequest, ReleaseRequest, ReloadRequest, RevokeRequest, RiskQuery, RollbackRequest,
    SbomQuery, SbomRemoval, TrialRequest, UnblockRequest,
};
use super::request::{Asked, Said, broke_off, busy, refusal, refuse, unknown, wrong_method};
use super::room::{self, Busy, Place, Room};
use crate::agent::Agent;
use crate::agent::core::chain;
use crate::explain::Question;

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

/// Makes the socket. Where one group has a role, it is that group's, with mode 0660. A mode cannot speak of several, nor
/// of one that the agent's user is not in: then anybody can connect. Nobody has a role by having got this far: whoever
/// connects is asked who they are.
///
/// # Errors
/// When another agent listens there, or the path cannot be used.
pub fn listen(path: &Path, access: &Access) -> Result<UnixListener, SocketError> {
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
    let is_enough = match access.only_group() {
        Some(group) => chown(path, None, Some(group)).is_ok(),
        None => !access.names_groups(),
    };
    let mode = if is_enough { 0o660 } else { 0o666 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
    Ok(listener)
}

/// Answers until `shutdown` completes.
pub async fn serve(
    (listener, access): (UnixListener, Access),
    agent: Arc<Agent>,
    shutdown: impl Future<Output = ()>,
) {
    let access = Arc::new(access);
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/devices", get(devices))
        .route("/v1/flows", get(flows))
        .route("/v1/flows/history", get(history))
        .route("/v1/events", get(events))
        .route("/v1/explain", get(explain))
        .route("/v1/blocks", get(blocks).post(block))
        .route("/v1/blocks/remove", post(unblock))
        .route("/v1/feeds", get(feeds))
        .route("/v1/feeds/refresh", post(refresh))
        .route("/v1/feeds/release", post(release))
        .route(LOOKUP, post(lookup).layer(bounded::limit::<LookupRequest>()))
        .route(PLAN, get(plan).post(plan_of).layer(bounded::limit::<PlanRequest>()))
        .route("/v1/learn", get(learn))
        .route("/v1/learn/status", get(readiness))
        .route("/v1/sbom", get(sboms).post(import_sbom))
        .route("/v1/sbom/remove", post(remove_sbom))
        .route("/v1/risk", get(risk))
        .route("/v1/grants", get(grants).post(grant))
        .route("/v1/grants/revoke", post(revoke))
        .route("/v1/reload", post(reload))
        .route("/v1/apply", post(apply))
        .route("/v1/confirm", post(confirm))
        .route("/v1/rollback", post(roll_back))
        .route("/v1/generations", get(generations))
        .route("/v1/audit", get(audit))
        .route("/v1/exceptions", get(exceptions).post(except))
        .route("/v1/exceptions/release", post(end_exception))
        .route("/v1/trial", get(trial).post(begin_trial))
        .route("/v1/trial/end", post(end_trial))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(access.clone(), authorise))
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .with_state(Desk { agent, room: Arc::default() });
    let full = Router::new().fallback(async || busy("too many connections are open"));
    let strangers = Router::new().fallback(turn_away).with_state(access.clone());
    let desks = Desks { router, full, strangers };
    connections::serve(listener, desks, Limits::default(), |stream| access.peer(stream), shutdown).await;
}

/// Where requests are answered.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) agent: Arc<Agent>,
    pub(super) room: Arc<Room>,
}

/// Lets nobody do what is not for their role.
async fn authorise(
    State(access): State<Arc<Access>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let needed = Role::needed(request.method(), request.uri().path());
    if peer.has(needed) {
        return next.run(request).await;
    }
    refuse(StatusCode::FORBIDDEN, vec![access.refusal(&peer, needed)])
}

async fn turn_away(State(access): State<Arc<Access>>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    refuse(StatusCode::FORBIDDEN, vec![access.refusal(&peer, Role::Read)])
}

/// What an answer is, or why a request is refused.
type Work<T> = Result<T, Vec<String>>;

impl Desk {
    async fn read<T: Serialize>(
        self,
        peer: &Peer,
        work: impl FnOnce(&Agent) -> Work<T> + Send + 'static,
    ) -> Response {
        let place = self.room.reading(peer).await;
        self.answer(place, work).await
    }

    async fn change<T: Serialize>(self, work: impl FnOnce(&Agent) -> Work<T> + Send + 'static) -> Response {
        let place = self.room.change().await;
        self.answer(place, work).await
    }

    /// Runs `work` where it may block.
    async fn answer<T: Serialize>(
        self,
        place: Result<Place, Busy>,
        work: impl FnOnce(&Agent) -> Work<T> + Send + 'static,
    ) -> Response {
        let place = match place {
            Ok(place) => place,
            Err(Busy(why)) => return busy(why),
        };
        let agent = self.agent;
        // The place goes along: who hangs up meanwhile does not make room for one more.
        let work = move || (work(&agent).map(|answer| serde_json::to_vec(&answer)), place);
        match tokio::task::spawn_blocking(work).await {
            Ok((Ok(Ok(answer)), place)) => {
                ([(header::CONTENT_TYPE, "application/json")], room::body(answer.into(), place))
                    .into_response()
            }
            Ok((Err(errors), _)) => refuse(StatusCode::CONFLICT, errors),
            Ok((Ok(Err(_)), _)) | Err(_) => broke_off(),
        }
    }
}

async fn status(State(desk): State<Desk>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    desk.read(&peer, Agent::status).await
}

async fn devices(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Asked(query): Asked<DeviceQuery>,
) -> Response {
    desk.read(&peer, move |agent| agent.devices(query)).await
}

async fn flows(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Asked(query): Asked<FlowQuery>,
) -> Response {
    desk.read(&peer, move |agent| agent.flows(&query)).await
}

async fn history(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Asked(query): Asked<HistoryQuery>,
) -> Response {
    desk.read(&peer, move |agent| agent.talked(&query)).await
}

async fn explain(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Asked(question): Asked<Question>,
) -> Response {
    let place = desk.room.question(&peer);
    desk.answer(place, move |agent| agent.explain(&question)).await
}

async fn plan(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Asked(PlanQuery { seconds }): Asked<PlanQuery>,
) -> Response {
    let place = desk.room.plan(&peer);
    let request = PlanRequest { seconds, ..PlanRequest::default() };
    desk.answer(place, move |agent| agent.plan(&request)).await
}

async fn plan_of(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    // Before it is read: long ones are in memory one at a time.
    let place = match desk.room.plan(&peer) {
        Ok(place) => place,
        Err(Busy(why)) => return busy(why),
    };
    match bounded::document::<PlanRequest>(request, bounded::PATIENCE).await {
        Ok(request) => desk.answer(Ok(place), move |agent| agent.plan(&request)).await,
        Err(refused) => refused.into_response(),
    }
}

async fn learn(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Asked(query): Asked<LearnQuery>,
) -> Response {
    let place = desk.room.plan(&peer);
    desk.answer(place, move |agent| agent.propose(&query)).await
}

async fn readiness(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Asked(query): Asked<LearnQuery>,
) -> Response {
    let place = desk.room.plan(&peer);
    desk.answer(place, move |agent| agent.readiness(&query)).await
}

async fn sboms(State(desk): State<Desk>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    desk.read(&peer, |agent| Ok(agent.sboms())).await
}

/// The file is the body, as it is.
async fn import_sbom(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Asked(query): Asked<SbomQuery>,
    file: Bytes,
) -> Response {
    desk.change(move |agent| agent.import_sbom(&query, &file, &peer.author())).await
}

async fn remove_sbom(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<SbomRemoval>,
) -> Response {
    desk.change(move |agent| agent.remove_sbom(&request, &peer.author())).await
}

async fn risk(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Asked(query): Asked<RiskQuery>,
) -> Response {
    let place = desk.room.plan(&peer);
    desk.answer(place, move |agent| agent.risk(&query)).await
}

/// The query of `GET /v1/plan`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanQuery {
    seconds: Option<u64>,
}

async fn blocks(State(desk): State<Desk>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    desk.read(&peer, |agent| Ok(agent.blocks())).await
}

async fn block(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<BlockRequest>,
) -> Response {
    desk.change(move |agent| agent.block(request, peer.author())).await
}

async fn unblock(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<UnblockRequest>,
) -> Response {
    desk.change(move |agent| agent.unblock(&request, &peer.author())).await
}

async fn feeds(State(desk): State<Desk>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    desk.read(&peer, |agent| Ok(agent.feeds())).await
}

async fn refresh(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<RefreshRequest>,
) -> Response {
    let ask = move |agent: &Agent| agent.refresh(&request, &peer.author()).map(|feeds| Refreshing { feeds });
    desk.change(ask).await
}

async fn release(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<ReleaseRequest>,
) -> Response {
    desk.change(move |agent| agent.release(&request, &peer.author())).await
}

async fn lookup(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    match bounded::document::<LookupRequest>(request, bounded::PATIENCE).await {
        Ok(request) => desk.read(&peer, move |agent| agent.lookup(&request.queries)).await,
        Err(refused) => refused.into_response(),
    }
}

async fn grants(State(desk): State<Desk>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    desk.read(&peer, |agent| Ok(agent.grants())).await
}

async fn grant(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<GrantRequest>,
) -> Response {
    desk.change(move |agent| agent.grant(&request, &peer.author())).await
}

async fn revoke(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<RevokeRequest>,
) -> Response {
    desk.change(move |agent| agent.revoke(&request, &peer.author())).await
}

async fn reload(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<Option<ReloadRequest>>,
) -> Response {
    desk.change(move |agent| agent.reload(&request.unwrap_or_default(), &peer.author())).await
}

async fn apply(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<ApplyRequest>,
) -> Response {
    desk.change(move |agent| agent.apply(&request, &peer.author())).await
}

async fn confirm(State(desk): State<Desk>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    desk.change(move |agent| agent.confirm(&peer.author())).await
}

async fn roll_back(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<RollbackRequest>,
) -> Response {
    desk.change(move |agent| agent.roll_back(&request, &peer.author())).await
}

async fn generations(State(desk): State<Desk>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    desk.read(&peer, Agent::generations).await
}

/// The audit log as it is, as far as it goes now.
async fn audit(State(desk): State<Desk>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    let place = match desk.room.reading(&peer).await {
        Ok(place) => place,
        Err(Busy(why)) => return busy(why),
    };
    let open = move || crate::audit::read(desk.agent.audit_log());
    match tokio::task::spawn_blocking(open).await {
        Ok(Ok(log)) => {
            ([(header::CONTENT_TYPE, "application/x-ndjson")], room::pieces(log, place)).into_response()
        }
        Ok(Err(error)) => refusal(StatusCode::CONFLICT, chain(&error)).into_response(),
        Err(_) => broke_off(),
    }
}

async fn exceptions(State(desk): State<Desk>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    desk.read(&peer, |agent| Ok(agent.exceptions())).await
}

async fn except(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<ExceptionRequest>,
) -> Response {
    desk.change(move |agent| agent.except(&request, &peer.author())).await
}

async fn end_exception(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<ReleaseExceptionRequest>,
) -> Response {
    desk.change(move |agent| agent.end_exception(&request, &peer.author())).await
}

async fn trial(State(desk): State<Desk>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    desk.read(&peer, Agent::trial).await
}

async fn begin_trial(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<TrialRequest>,
) -> Response {
    desk.change(move |agent| agent.begin_trial(request, &peer.author())).await
}

async fn end_trial(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Said(request): Said<Option<EndTrialRequest>>,
) -> Response {
    desk.change(move |agent| agent.end_trial(request.unwrap_or_default(), &peer.author())).await
}
