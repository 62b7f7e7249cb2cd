//! The agent: owns the tables, answers the control socket, streams what the program records.

pub mod startup;
mod heartbeat;
pub mod core;
pub mod history;
pub mod interfaces;
pub mod recorder;
pub mod contacts;
pub mod archiving;
mod emitting;
pub mod views;
mod explaining;
mod offline;
mod planning;
mod learning;
mod sboms;
mod risks;
pub mod store;
mod journal;
mod auditing;
mod service;
mod term;
mod blocks;
mod grants;
mod changes;
mod generations;
mod exceptions;
mod trigger;
mod repairs;
mod trials;
mod leases;
mod feeds;
mod far_ends;
mod looking;
mod running;
mod questions;
mod work;
mod notices;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::{Mutex, MutexGuard};

use self::archiving::{Archiving, Past};
pub(crate) use self::auditing::Auditing;
use self::changes::Asked;
use self::contacts::Standing;
use self::core::Core;
use self::emitting::Emitters;
use self::feeds::Fetching;
use self::heartbeat::Signs;
use self::history::History;
use self::running::Running;
use self::service::Told;
use crate::api::messages::{
    Applied, ApplyRequest, BlockRequest, Changed, EndTrialRequest, EventQuery, Excepted, ExceptionRequest,
    ExceptionStatus, GenerationStatus, Grant, GrantRequest, Granted, ReleaseExceptionRequest, ReloadRequest,
    RevokeRequest, RollbackRequest, TrialRequest, TrialStatus, UnblockRequest,
};
use crate::archive::Bounds;
use crate::audit::Author;
use crate::config::{Config, Events};
use crate::explain::Understudy;
use crate::feeds::manual::ManualBlock;
use crate::generations::Generations;

/// What the control socket and the tasks share.
pub struct Agent {
    /// Given in the order in which it was asked for: the work of every second waits for the changes that
    /// were there before it, and for no later one.
    core: Mutex<Core>,
    /// Blocks that somebody waits for, held only while one is added or all are taken.
    asked: std::sync::Mutex<Vec<AskedBlock>>,
    /// Held only while it is taken along or exchanged.
    running: RwLock<Arc<Running>>,
    history: Arc<History>,
    outlets: Outlets,
    contacts: Standing,
    signs: Arc<Signs>,
    fetching: Fetching,
    auditing: Arc<Auditing>,
    /// Who explains packets, where none can be loaded any more.
    understudy: Option<std::sync::Mutex<Understudy>>,
    /// Why metrics are not served, where they should be.
    unserved: std::sync::Mutex<Option<String>>,
    told: Told,
    state: PathBuf,
}

/// Who takes events.
pub(crate) struct Outlets {
    archiving: Archiving,
    emitters: Emitters,
}

impl Outlets {
    /// Begins with the next event.
    fn start(config: &Config, history: &Arc<History>) -> Self {
        let Events { retention, max_size, sinks } = &config.events;
        let bounds = Bounds { age: *retention, bytes: *max_size };
        Self {
            archiving: Archiving::start(&config.paths.state, bounds, history),
            emitters: Emitters::start(sinks, history),
        }
    }
}

/// A block that somebody waits for, by whom, and where the answer goes.
type AskedBlock = (BlockRequest, Author, mpsc::Sender<Result<Changed, Errors>>);

/// Why a request changed nothing: what the user is told.
pub type Errors = Vec<String>;

/// Blocks by hand as they are kept in a state folder, for who asks without an agent.
///
/// # Errors
/// When they cannot be read.
pub fn kept_blocks(state: &Path) -> Result<Vec<ManualBlock>, store::StoreError> {
    Ok(blocks::Blocks::load(state)?.list())
}

pub use learning::{propose_from_files, readiness_from_files};
pub use looking::talks;
pub use planning::{from_files, since};
pub use risks::{Given, risk_from_files};
pub use sboms::{Import, Importing, import_into, remove_from, sboms_of};

impl Agent {
    pub(crate) fn new(
        core: Core,
        (history, outlets): (Arc<History>, Outlets),
        signs: Arc<Signs>,
        understudy: Option<Understudy>,
    ) -> Self {
        let running = RwLock::new(Arc::new(core.running()));
        let state = core.config.paths.state.clone();
        Self {
            asked: std::sync::Mutex::default(),
            running,
            history,
            outlets,
            contacts: Standing::new(&state),
            signs,
            fetching: Fetching::default(),
            auditing: core.auditing.clone(),
            understudy: understudy.map(std::sync::Mutex::new),
            unserved: std::sync::Mutex::default(),
            told: Told::default(),
            state,
            core: Mutex::new(core),
        }
    }

    fn fetching(&self) -> &Fetching {
        &self.fetching
    }

    /// The state folder.
    fn state(&self) -> &Path {
        &self.state
    }

    /// What is to be written down before something is changed.
    fn auditing(&self) -> &Auditing {
        &self.auditing
    }

    /// Recorded events.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// What the archive has of events before the one that is number `first` of the history.
    pub(crate) fn past(&self, query: &EventQuery, first: u64, left: Option<usize>) -> Past {
        self.outlets.archiving.past(query, first, left)
    }

    /// Adds manual blocks, all or none.
    ///
    /// # Errors
    /// When one of them would cut what must not be cut, or the tables cannot be written.
    pub fn block(&self, request: BlockRequest, by: Author) -> Result<Changed, Errors> {
        let (answer, answered) = mpsc::channel();
        let listed = request.listed.iter().map(|listed| listed.target);
        let targets: BTreeSet<IpNet> = request.targets.iter().copied().chain(listed).collect();
        self.asked().push((request, by, answer));
        // Whoever comes first does it for all who have come until the tables may be written.
        self.change(|core| {
            if self.asked().is_empty() {
                return;
            }
            core.wait_for_readers();
            let (asked, answers): (Vec<_>, Vec<_>) = std::mem::take(&mut *self.asked())
                .into_iter()
                .map(|(request, by, answer)| ((request, by), answer))
                .unzip();
            for (answer, done) in answers.iter().zip(core.block(&asked)) {
                // Who hung up is told nothing.
                let _ = answer.send(done);
            }
        });
        let done = answered.recv();
        let done =
            done.unwrap_or_else(|_| Err(vec!["the agent failed to answer; see its log".to_owned()]))?;
        // It bites already: what it cuts is told to who has asked for it.
        let cuts = far_ends::cut_by_hand(&self.running(), &targets);
        Ok(Changed { cuts, ..done })
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Vec<AskedBlock>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes manual blocks, all or none.
    ///
    /// # Errors
    /// When one of them is none, or the tables cannot be written.
    pub fn unblock(&self, request: &UnblockRequest, by: &Author) -> Result<Changed, Errors> {
        self.change(|core| core.unblock(request, by))
    }

    /// Grants that hold.
    pub fn grants(&self) -> Vec<Grant> {
        self.running().grants.list()
    }

    /// Gives a device access for a time.
    ///
    /// # Errors
    /// When device, peer or service are unknown, or the tables cannot be written.
    pub fn grant(&self, request: &GrantRequest, by: &Author) -> Result<Granted, Errors> {
        self.change(|core| core.grant(request, by))
    }

    /// Ends a grant.
    ///
    /// # Errors
    /// When there is none of that number, or the tables cannot be written.
    pub fn revoke(&self, request: &RevokeRequest, by: &Author) -> Result<Changed, Errors> {
        self.change(|core| core.revoke(request, by))
    }

    /// Reads policy, inventory, feeds and geo again.
    ///
    /// # Errors
    /// When something in them is invalid: then what runs stays.
    pub fn reload(&self, request: &ReloadRequest, by: &Author) -> Result<Changed, Errors> {
        let asked = Asked {
            by: by.clone(),
            what: "reload",
            note: request.note.clone(),
            within: None,
            restores: None,
        };
        Ok(self.apply_as(|core| core.reload(&asked))?.changed)
    }

    /// The same, to be confirmed where the request says so.
    ///
    /// # Errors
    /// As [`reload`](Self::reload), and where a change is pending.
    pub fn apply(&self, request: &ApplyRequest, by: &Author) -> Result<Applied, Errors> {
        let within = request.seconds.map(Duration::from_secs);
        let asked =
            Asked { by: by.clone(), what: "apply", note: request.note.clone(), within, restores: None };
        self.apply_as(|core| core.reload(&asked))
    }

    /// Makes a pending change hold for good.
    ///
    /// # Errors
    /// When none is pending.
    pub fn confirm(&self, by: &Author) -> Result<Applied, Errors> {
        self.apply_as(|core| core.confirm(by))
    }

    /// Takes a pending change back, or goes back to an earlier generation.
    ///
    /// # Errors
    /// When there is none, or it does not fit what there is now.
    pub fn roll_back(&self, request: &RollbackRequest, by: &Author) -> Result<Applied, Errors> {
        let within = request.seconds.map(Duration::from_secs);
        let asked =
            Asked { by: by.clone(), what: "rollback", note: request.note.clone(), within, restores: None };
        self.apply_as(|core| core.roll_back(request, &asked))
    }

    /// Changes what operators have made hold.
    fn apply_as(&self, change: impl FnOnce(&mut Core) -> Result<Applied, Errors>) -> Result<Applied, Errors> {
        let before = self.running().intent.clone();
        service::reloading();
        let applied = self.change(change);
        self.ready();
        let applied = applied?;
        self.tell_waiting(&before);
        Ok(applied)
    }

    /// Generations on disk, the oldest first; those that are damaged too.
    ///
    /// # Errors
    /// None are known.
    pub fn generations(&self) -> Result<Vec<GenerationStatus>, Errors> {
        let current = self.running().current.as_ref().map(|current| current.number);
        Ok(generations::shown(&Generations::of(&self.state), current))
    }

    /// The file of the audit log.
    pub(crate) fn audit_log(&self) -> &Path {
        self.auditing.path()
    }

    /// What holds by hand.
    pub fn exceptions(&self) -> Vec<ExceptionStatus> {
        self.running().exceptions.list()
    }

    /// Puts devices into quarantine, or lets them through.
    ///
    /// # Errors
    /// When they are unknown, or the kernel refuses.
    pub fn except(&self, request: &ExceptionRequest, by: &Author) -> Result<Excepted, Errors> {
        self.change(|core| core.except(request, by))
    }

    /// Lets policy hold again.
    ///
    /// # Errors
    /// When nothing else held, or the kernel refuses.
    pub fn end_exception(&self, request: &ReleaseExceptionRequest, by: &Author) -> Result<Excepted, Errors> {
        self.change(|core| core.end_exception(request, by))
    }

    /// Puts what the files say on trial.
    ///
    /// # Errors
    /// When a change is pending, or somebody else tries something.
    pub fn begin_trial(&self, request: TrialRequest, by: &Author) -> Result<TrialStatus, Errors> {
        self.change(|core| core.begin_trial(Duration::from_secs(request.seconds), by))
    }

    /// How a trial goes.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn trial(&self) -> Result<TrialStatus, Errors> {
        trials::status(&self.running())
    }

    /// Ends a trial.
    ///
    /// # Errors
    /// When it is another one than the request says, or the kernel refuses a read.
    pub fn end_trial(&self, request: EndTrialRequest, by: &Author) -> Result<TrialStatus, Errors> {
        self.change(|core| core.end_trial(request.generation, by))?;
        self.trial()
    }

    /// Tells the service manager that the agent does its work.
    pub(crate) fn ready(&self) {
        self.told.ready(&views::line(&self.running()));
    }

    /// The agent's loop turns.
    pub(crate) fn turn(&self) {
        self.signs.turn();
    }

    /// What has to be done every second, after what is under way.
    pub(crate) fn tick(&self) {
        self.change(Core::work);
        self.signs.work();
        self.told.status(&views::line(&self.running()));
    }

    /// Looks after the interfaces, after what is under way.
    pub(crate) fn look_after_interfaces(&self) {
        self.change(Core::look_after_interfaces);
        self.told.status(&views::line(&self.running()));
    }

    /// What has to be done before the process ends; nothing changes while the answer is there.
    pub(crate) fn stop(&self) -> MutexGuard<'_, Core> {
        self.history.end();
        self.outlets.emitters.finish(&self.history);
        self.outlets.archiving.finish();
        let mut core = self.core.blocking_lock();
        core.keep_leases();
        core.keep_clock();
        core.keep_blocks();
        core.auditing.catch_up();
        core
    }

    fn running(&self) -> Arc<Running> {
        self.running.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what runs. Whoever asks from then on sees it.
    fn change<T>(&self, change: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.core.blocking_lock();
        let done = change(&mut core);
        *self.running.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(core.running());
        done
    }
}
