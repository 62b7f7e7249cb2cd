//! The agent: owns the tables, answers the control socket, streams what the program records.

pub mod startup;
mod heartbeat;
pub mod core;
pub mod history;
pub mod interfaces;
pub mod recorder;
pub mod contacts;
pub mod views;
mod explaining;
mod planning;
pub mod store;
mod journal;
mod term;
mod blocks;
mod grants;
mod leases;
mod feeds;
mod far_ends;
mod looking;
mod running;
mod work;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, mpsc};

use ipnet::IpNet;
use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use self::contacts::Standing;
use self::core::Core;
use self::feeds::Fetching;
use self::heartbeat::Signs;
use self::history::History;
use self::running::Running;
use crate::api::messages::{
    BlockRequest, Changed, DeviceStatus, FlowStatus, Grant, GrantRequest, Granted, PlanRequest, Status,
    UnblockRequest,
};
use crate::audit::{Audit, Entry};
use crate::explain::{Explanation, Question};
use crate::feeds::manual::ManualBlock;
use crate::lookup::Answer;
use crate::plan::Plan;

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
    contacts: Standing,
    signs: Arc<Signs>,
    fetching: Fetching,
    audit: std::sync::Mutex<Option<Audit>>,
    state: PathBuf,
}

/// A block that somebody waits for, by whom, and where the answer goes.
type AskedBlock = (BlockRequest, String, mpsc::Sender<Result<Changed, Errors>>);

/// Why a request changed nothing: what the user is told.
pub type Errors = Vec<String>;

/// Blocks by hand as they are kept in a state folder, for who asks without an agent.
///
/// # Errors
/// When they cannot be read.
pub fn kept_blocks(state: &Path) -> Result<Vec<ManualBlock>, store::StoreError> {
    Ok(blocks::Blocks::load(state)?.list())
}

pub use looking::talks;
pub use planning::{from_files, since};

impl Agent {
    pub(crate) fn new(core: Core, history: Arc<History>, signs: Arc<Signs>, audit: Option<Audit>) -> Self {
        let running = RwLock::new(Arc::new(core.running()));
        let (asked, fetching, audit) = (std::sync::Mutex::default(), Fetching::default(), audit.into());
        let state = core.config.paths.state.clone();
        let contacts = Standing::new(&state);
        Self { core: Mutex::new(core), asked, running, history, contacts, signs, fetching, audit, state }
    }

    fn fetching(&self) -> &Fetching {
        &self.fetching
    }

    /// The state folder.
    fn state(&self) -> &Path {
        &self.state
    }

    /// Writes down what somebody is about to change; without that it must not be changed.
    fn audit(&self, entry: Entry) -> Result<(), Errors> {
        let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(audit) = audit.as_mut() else {
            return Err(vec![
                "the audit log cannot be written; see the log of the agent, and start it again".into(),
            ]);
        };
        audit.append(entry, Timestamp::now()).map_err(|error| vec![core::chain(&error)])
    }

    /// Recorded events.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// # Errors
    /// When the kernel refuses a read.
    pub fn status(&self) -> Result<Status, Errors> {
        views::status(&self.running(), self.contacts.read())
    }

    /// # Errors
    /// When the kernel refuses a read.
    pub fn devices(&self) -> Result<Vec<DeviceStatus>, Errors> {
        views::devices(&self.running())
    }

    /// # Errors
    /// When the kernel refuses a read.
    pub fn flows(&self) -> Result<Vec<FlowStatus>, Errors> {
        Ok(views::flows(&self.running()))
    }

    /// What the program says of a packet, without sending one. A program of its own is loaded for it.
    ///
    /// # Errors
    /// When the question cannot be understood, or the kernel refuses.
    pub fn explain(&self, question: &Question) -> Result<Explanation, Errors> {
        let (scene, setting) = explaining::prepare(&self.running(), question)?;
        scene.play(setting).map_err(|error| vec![core::chain(&error)])
    }

    /// What would change if the files were loaded as they are now, or others in their place, and what that would cut.
    /// Nothing changes.
    ///
    /// # Errors
    /// When the host's addresses cannot be read.
    pub fn plan(&self, request: &PlanRequest) -> Result<Plan, Errors> {
        planning::plan(&self.running(), &self.history, request)
    }

    /// What is known of addresses, prefixes and domains.
    ///
    /// # Errors
    /// When one of them is none of these.
    pub fn lookup(&self, queries: &[String]) -> Result<Vec<Answer>, Errors> {
        looking::up(&self.running(), &self.state, queries)
    }

    /// Manual blocks that hold.
    pub fn blocks(&self) -> Vec<ManualBlock> {
        self.running().blocks.list()
    }

    /// Adds manual blocks, all or none.
    ///
    /// # Errors
    /// When one of them would cut what must not be cut, or the tables cannot be written.
    pub fn block(&self, request: BlockRequest, by: String) -> Result<Changed, Errors> {
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
    pub fn unblock(&self, request: &UnblockRequest) -> Result<Changed, Errors> {
        self.change(|core| core.unblock(request))
    }

    /// Grants that hold.
    pub fn grants(&self) -> Vec<Grant> {
        self.running().grants.list()
    }

    /// Gives a device access for a time.
    ///
    /// # Errors
    /// When device, peer or service are unknown, or the tables cannot be written.
    pub fn grant(&self, request: &GrantRequest, by: &str) -> Result<Granted, Errors> {
        self.change(|core| core.grant(request, by))
    }

    /// Ends a grant.
    ///
    /// # Errors
    /// When there is none of that number, or the tables cannot be written.
    pub fn revoke(&self, id: u32) -> Result<Changed, Errors> {
        self.change(|core| core.revoke(id))
    }

    /// Reads policy, inventory, feeds and geo again.
    ///
    /// # Errors
    /// When something in them is invalid: then what runs stays.
    pub fn reload(&self) -> Result<Changed, Errors> {
        let before = self.running().intent.clone();
        let changed = self.change(Core::reload)?;
        self.tell_waiting(&before);
        Ok(changed)
    }

    /// The agent's loop turns.
    pub(crate) fn turn(&self) {
        self.signs.turn();
    }

    /// What has to be done every second, after what is under way.
    pub(crate) fn tick(&self) {
        self.change(Core::work);
        self.signs.work();
    }

    /// What has to be done before the process ends; nothing changes while the answer is there.
    pub(crate) fn stop(&self) -> MutexGuard<'_, Core> {
        let mut core = self.core.blocking_lock();
        core.keep_leases();
        core.keep_clock();
        core.keep_blocks();
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
