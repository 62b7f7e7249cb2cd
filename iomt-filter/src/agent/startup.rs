//! From a configuration to a running filter, in the order in which it happens.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::unistd::Uid;
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::auditing::Auditing;
use super::blocks::Blocks;
use super::contacts;
use super::core::{Core, NUMBERS, chain, nobody};
use super::exceptions::{EXCEPTIONS, Exceptions};
use super::feeds;
use super::grants::{GRANTS, Ledger};
use super::heartbeat::Signs;
use super::history::History;
use super::notices::{self, Notices};
use super::service;
use super::store;
use super::term;
use super::work;
use super::{Agent, Outlets};
use crate::api::access::Access;
use crate::api::messages::ReloadRequest;
use crate::api::{metrics, server};
use crate::cli::FINDING;
use crate::clock::Clocks;
use crate::config::{Config, Paths};
use crate::contacts::Bounds;
use crate::datapath::WriterToken;
use crate::diagnostic::Diagnostic;
use crate::explain::Understudy;
use crate::numbers::Numbers;
use crate::output;
use crate::privileges::{self, Belongings, Privileges};

mod choice;
mod filling;

use self::choice::Choices;
use self::filling::{Kept, start};

/// Runs the agent until it is told to stop. What it attached goes on filtering.
///
/// # Errors
/// When the filter cannot be made to run; nothing is attached then that was not before.
pub fn run(config: &Path) -> Result<ExitCode> {
    let choices = match Choices::at(config) {
        Ok(choices) => choices,
        Err(found) => return Ok(invalid(&found)),
    };
    let config = choices.first.config.clone();
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
    let metrics = config.metrics.listen.map(metrics::Place::take);
    let access = access(&config);
    let listener = within(&answers, || server::listen(&config.paths.socket, &access))?;
    if let Some(user) = &config.agent.user {
        let Paths { state, pins, socket, .. } = &config.paths;
        privileges::become_user(user, &Belongings { state, pins, socket })?;
    }
    let access = access.run_by(Uid::effective());

    let (seen, now) = (term::seen(state), Clocks::now());
    let numbers: Numbers = store::load_or_begin(state, NUMBERS, now.time_of_day)?;
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
    let grants = store::load_or_begin::<Ledger>(state, GRANTS, now.time_of_day)?;
    let grants = grants.begun(seen, &now);
    let exceptions = store::load_or_begin::<Exceptions>(state, EXCEPTIONS, now.time_of_day)?;
    let exceptions = exceptions.begun(seen, &now);
    let history = Arc::new(History::default());
    let signs = Arc::new(Signs::new());
    let state = &config.paths.state.clone();
    let auditing = Arc::new(Auditing::begin(state));
    let kept = Kept { numbers, blocks, journal, grants, exceptions };
    // Before the first record is read: each accounts for all of them.
    let outlets = Outlets::start(&config, &history);
    // What comes while interfaces are attached is looked at afterwards.
    let notices = Notices::open();
    let mut core = match start(choices, token, kept, auditing, &history, &signs)? {
        Ok(core) => core,
        Err(found) => return Ok(invalid(&found)),
    };
    core.keep_ends(seen);
    core.note_start();
    let understudy = give_up_rights(&mut core)?;
    let socket = core.config.paths.socket.clone();
    let numbered_since = core.numbered_since;
    let agent = Arc::new(Agent::new(core, (history, outlets), signs, understudy));
    feeds::start(agent.clone()).context("no thread to fetch feeds with")?;
    work::start(agent.clone()).context("no thread for the work of every second")?;
    if let Err(error) = notices.and_then(|notices| notices::start(agent.clone(), notices)) {
        tracing::error!(%error, "no notice of interfaces: they are looked after every second");
    }
    if let Err(error) = contacts::start(agent.clone(), state, Bounds::default(), numbered_since) {
        tracing::error!(%error, "no thread to read flows with: who talked to whom is not kept");
    }
    let doors = Doors { control: (listener, access), metrics };
    let served = runtime.block_on(serve(doors, answers.handle(), hangup, agent.clone()));
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

/// Where the agent is asked.
struct Doors {
    control: (tokio::net::UnixListener, Access),
    metrics: Option<metrics::Place>,
}

async fn serve(doors: Doors, answers: &Handle, mut hangup: Signal, agent: Arc<Agent>) -> std::io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    if let Some(place) = doors.metrics {
        answers.spawn(metrics::serve(place, agent.clone(), shutdown(stopped.clone())));
    }
    let server = answers.spawn(server::serve(doors.control, agent.clone(), shutdown(stopped)));
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
        let by = nobody("a signal");
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
