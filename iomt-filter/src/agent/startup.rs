//! From a configuration to a running filter, in the order in which it happens.

use std::fs;
use std::mem;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use iomt_filter_common::flow::{Flow, FlowKey};
use jiff::Timestamp;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::unistd::Uid;
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::auditing::{self, Auditing};
use super::blocks::Blocks;
use super::contacts;
use super::core::{Core, NUMBERS, chain};
use super::far_ends;
use super::feeds;
use super::grants::{GRANTS, Ledger};
use super::heartbeat::{self, Signs};
use super::history::History;
use super::interfaces;
use super::journal::Journal;
use super::leases::Leases;
use super::recorder::{self, Book};
use super::service;
use super::store;
use super::term;
use super::work;
use super::{Agent, Errors};
use crate::api::access::Access;
use crate::api::messages::ReloadRequest;
use crate::api::server;
use crate::audit::{self, Audit, AuditError, Author};
use crate::cli::FINDING;
use crate::clock::{Clocks, boottime};
use crate::config::{Config, Paths};
use crate::contacts::Bounds;
use crate::datapath::{Datapath, LoadOptions, Room, WriterToken};
use crate::diagnostic::Diagnostic;
use crate::explain::Understudy;
use crate::host::HostNetworks;
use crate::intent::{self, Intent, Known, Overrides};
use crate::numbers::Numbers;
use crate::output;
use crate::privileges::{self, Belongings, Privileges};
use crate::rows::Rows;

/// Runs the agent until it is told to stop. What it attached goes on filtering.
///
/// # Errors
/// When the filter cannot be made to run; nothing is attached then that was not before.
pub fn run(config: &Path) -> Result<ExitCode> {
    let config = match Config::load(config) {
        Ok(config) => config,
        Err(found) => return Ok(invalid(&found)),
    };
    // Before there is a second thread: each begins with what the one has that starts it.
    privileges::never_more().context("failed to give up the right to get more rights")?;
    privileges::keep_needed().context("failed to give up rights that nothing needs")?;
    let state = &config.paths.state;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(state)
        .with_context(|| format!("failed to make the state folder `{}`", state.display()))?;
    let token = WriterToken::take(state)?.and_pins(&config.paths.pins)?;
    // Whoever asks much is answered late; the agent's own loop turns elsewhere.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("failed to start the runtime")?;
    let answers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(privileges::give_up_here)
        .enable_all()
        .build();
    let answers = answers.context("failed to start the runtime of the control socket")?;
    // A reload that is asked for during the start follows it, and does not end the process.
    let hangup = within(&runtime, || signal(SignalKind::hangup())).context("failed to wait for signals")?;
    let access = access(&config);
    let (listener, access) = within(&answers, || server::listen(&config.paths.socket, access))?;
    if let Some(user) = &config.agent.user {
        let Paths { state, pins, socket, .. } = &config.paths;
        privileges::become_user(user, &Belongings { state, pins, socket })?;
    }
    let access = access.run_by(Uid::effective());

    let numbers: Numbers = store::load(state, NUMBERS)?;
    let (seen, now) = (term::seen(state), Clocks::now());
    let blocks = Blocks::load_or_begin(state, now.time_of_day)?.begun(seen, &now);
    // Changes that are noted from here on are of this boot.
    let journal = match blocks.keep(state) {
        Ok(journal) => journal,
        Err(error) => {
            let error = chain(&error);
            tracing::error!(
                error,
                "blocks by hand hold as they are, and cannot be changed until there is room"
            );
            Blocks::unkept(state).context("failed to go on without a journal of blocks")?
        }
    };
    let grants = store::load::<Ledger>(state, GRANTS)?.begun(seen, &now);
    let history = Arc::new(History::default());
    let signs = Arc::new(Signs::new());
    let state = &config.paths.state.clone();
    let audit = open_audit(state).inspect_err(|error| {
        tracing::error!(
            "nothing can be written into the audit log, and nothing be changed until it can: {error:#}"
        );
    });
    let auditing = Arc::new(Auditing::new(audit.ok()));
    let kept = Kept { numbers, blocks, journal, grants };
    let mut core = match start(config, token, kept, auditing, &history, &signs)? {
        Ok(core) => core,
        Err(found) => return Ok(invalid(&found)),
    };
    core.keep_ends(seen);
    core.note_start();
    let understudy = give_up_rights(&mut core)?;
    let socket = core.config.paths.socket.clone();
    let numbered_since = core.numbered_since;
    let agent = Arc::new(Agent::new(core, history, signs, understudy));
    feeds::start(agent.clone()).context("no thread to fetch feeds with")?;
    work::start(agent.clone()).context("no thread for the work of every second")?;
    if let Err(error) = contacts::start(agent.clone(), state, Bounds::default(), numbered_since) {
        tracing::error!(%error, "no thread to read flows with: who talked to whom is not kept");
    }
    let served = runtime.block_on(serve((listener, access), answers.handle(), hangup, agent.clone()));
    let _nothing_changes = agent.stop();
    // The socket is ours until the process ends: nobody else could have made another.
    let _ = fs::remove_file(&socket);
    answers.shutdown_timeout(Duration::from_secs(1));
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.context("failed to wait for signals")?;
    tracing::info!("the agent stops; the program stays attached and goes on judging");
    Ok(ExitCode::SUCCESS)
}

/// Who may do what; what is configured and cannot be is said.
fn access(config: &Config) -> Access {
    let (access, unknown) = Access::of(&config.access);
    for group in unknown {
        tracing::warn!(
            group,
            "no such group on this host: nobody has a role by it; `groupadd --system` makes it"
        );
    }
    access
}

/// Everything that takes rights is done: they go, for good. Who explains packets from then on has to be there already.
/// Root keeps its rights, and loads what it needs when it needs it.
fn give_up_rights(core: &mut Core) -> Result<Option<Understudy>> {
    if Uid::effective().is_root() {
        return Ok(None);
    }
    let understudy = Understudy::load(core.datapath.most_devices())
        .inspect_err(|error| tracing::error!(error = chain(error), "no packet can be explained"));
    // Whoever was started with rights and is to end, has ended.
    core.wait_for_readers();
    privileges::give_up().context("failed to give up rights that nothing needs any more")?;
    let left = Privileges::read().context("failed to find out which rights are left")?;
    if !left.capabilities.is_empty() {
        tracing::error!(capabilities = ?left.capabilities, "some thread has kept rights that it does not need");
    }
    Ok(understudy.ok())
}

/// The audit log; one that is damaged is moved aside, because nothing could follow on it.
fn open_audit(state: &Path) -> Result<Audit> {
    let (path, now) = (state.join(audit::FILE), Timestamp::now());
    match Audit::open(&path, now) {
        Err(error @ AuditError::Damaged(_)) => {
            let aside = state.join(format!("{}.damaged-{}", audit::FILE, now.as_second()));
            fs::rename(&path, &aside)
                .with_context(|| format!("failed to move `{}` aside", path.display()))?;
            tracing::error!(aside = %aside.display(), "{error}");
            Ok(Audit::open(&path, now)?)
        }
        opened => Ok(opened?),
    }
}

/// What an agent before has kept.
struct Kept {
    numbers: Numbers,
    blocks: Blocks,
    journal: Journal,
    grants: Ledger,
}

/// Compile, load, fill, attach.
fn start(
    config: Config,
    token: WriterToken,
    Kept { mut numbers, blocks, journal, grants }: Kept,
    auditing: Arc<Auditing>,
    history: &Arc<History>,
    signs: &Arc<Signs>,
) -> Result<Result<Core, Vec<Diagnostic>>> {
    let host = HostNetworks::read().context("failed to read the host's addresses")?;
    let files = auditing::files(&config);
    let kept = numbers.clone();
    let now = Timestamp::now();
    let listed = blocks.list();
    let mut damaged = Vec::new();
    let Known { copies, .. } = Known::kept(&config, &mut damaged);
    let read = |reads_files, flows: &[(FlowKey, Flow)], numbers: &mut Numbers| {
        let far_ends = |rows: &Rows| far_ends::of(flows, rows, &config.paths.state, config.gate.impact);
        let known =
            Known { copies: copies.clone(), reads_files, makes_tables: reads_files, far_ends: &far_ends };
        let grants = grants.models();
        intent::read_knowing(&config, &Overrides::default(), &host, numbers, &listed, grants, &known)
    };
    interfaces::check(&config)?;
    let options = LoadOptions { pins: Some(config.paths.pins.clone()), ..LoadOptions::default() };
    let adopts = Datapath::can_adopt(&options);
    // What judges already has room for what feeds listed last, and knows what devices talk to now: their files are
    // judged with that.
    let mut intent = match read(!adopts, &[], &mut numbers) {
        Ok(intent) => intent,
        Err(found) => return Ok(Err(found)),
    };

    // Kernels before 5.11 count maps against this limit.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let room = Room::of(&intent.rows)?.with_headroom();
    let mut datapath = Datapath::load(&LoadOptions { devices: numbers.devices.len(), room, ..options })?;
    tracing::info!(adopted = datapath.is_adopted(), "the kernel program is loaded");
    let mut last = None;
    if adopts {
        let flows = datapath.readings().flows(boottime());
        let mut again = kept.clone();
        match read(true, &flows, &mut again) {
            Ok(judged) => {
                last = Some((mem::replace(&mut intent, judged), mem::replace(&mut numbers, again)));
            }
            Err(found) => return Ok(Err(found)),
        }
    }
    for warning in damaged.iter().chain(&intent.warnings) {
        tracing::warn!("{warning}");
    }
    // Before anything is attached, and before an adopted program is written to.
    heartbeat::start(datapath.heartbeat(), signs.clone()).context("no thread to give signs of life with")?;
    match datapath.take_log() {
        Ok(log) => recorder::start_log(log),
        Err(error) => tracing::warn!(%error, "the program's own diagnostics cannot be shown"),
    }
    if let Some(events) = datapath.take_events() {
        let book = Arc::new(Book::default());
        recorder::start(events, book.clone(), history.clone());
        let core = Core {
            host,
            host_name: host_name(),
            started: now,
            generation_since: now,
            failed_reload: None,
            numbers: Arc::new(kept),
            blocks: Arc::default(),
            journal,
            grants: Arc::new(grants),
            kept_leases: Leases::new(),
            numbered_since: 0,
            seconds: 0,
            attachments: Vec::new(),
            intent: Arc::default(),
            config: Arc::new(config),
            datapath,
            book,
            auditing,
            files,
            token,
        };
        return fill_and_attach(core, (intent, numbers), last, blocks).map(Ok);
    }
    anyhow::bail!("the kernel program has no record buffer")
}

/// The tables are complete before the first interface is judged by them.
fn fill_and_attach(
    mut core: Core,
    (intent, numbers): (Intent, Numbers),
    last: Option<(Intent, Numbers)>,
    blocks: Blocks,
) -> Result<Core> {
    let is_renumbered = core.is_renumbered();
    if is_renumbered {
        tracing::warn!(
            "the numbers of devices are lost, and the tables in the kernel go by them: leases, requests for leases \
             and tokens that were taken are cleared; counters go on under the new numbers"
        );
        // Before the new numbers are kept: an agent that dies in between finds them lost again.
        core.forget_devices()?;
    }
    let is_new = is_renumbered || !core.datapath.is_adopted();
    let (blocks, refused) = (Arc::new(blocks), |errors: Errors| anyhow::anyhow!(errors.join("\n")));
    if let Err(errors) = core.activate(intent, numbers, blocks.clone()) {
        let Some((intent, numbers)) = last else { return Err(refused(errors)) };
        tracing::error!(
            errors = errors.join("; "),
            "what feeds list now cannot be made active: what they listed last holds, until it fits or a `detach` and \
             a new start make room"
        );
        core.activate(intent, numbers, blocks).map_err(refused)?;
    }
    if is_renumbered {
        // What was learned until now went by the old numbers.
        core.forget_devices()?;
        core.numbered_since = boottime();
    }
    core.drop_gone_grants();
    if is_new {
        core.restore_leases();
    }
    core.attach_all()?;
    Ok(core)
}

async fn serve(
    listener: (tokio::net::UnixListener, Access),
    answers: &Handle,
    mut hangup: Signal,
    agent: Arc<Agent>,
) -> std::io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let server = answers.spawn(server::serve(listener, agent.clone(), shutdown(stopped.clone())));
    agent.ready();
    tracing::info!("ready");
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(agent.clone()),
            _ = second.tick() => agent.turn(),
        }
    }
    service::stopping();
    let _ = stop.send(true);
    // Followers never hang up by themselves.
    let _ = tokio::time::timeout(Duration::from_millis(500), server).await;
    Ok(())
}

fn reload(agent: Arc<Agent>) {
    tokio::task::spawn_blocking(move || {
        let by = Author { name: "a signal".to_owned(), uid: None };
        if let Err(errors) = agent.reload(&ReloadRequest::default(), &by) {
            for error in errors {
                tracing::error!("reload refused, what runs stays: {error}");
            }
        }
    });
}

/// Does what needs a runtime around it.
fn within<T>(runtime: &Runtime, make: impl FnOnce() -> T) -> T {
    let _entered = runtime.enter();
    make()
}

fn invalid(found: &[Diagnostic]) -> ExitCode {
    found.iter().for_each(output::note);
    ExitCode::from(FINDING)
}

fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| "unknown".into(), |name| name.to_string_lossy().into_owned())
}
