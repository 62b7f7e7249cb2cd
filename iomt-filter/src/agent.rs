//! The agent: owns the tables, answers the control socket, streams what the program records.

pub mod startup;
mod heartbeat;
pub mod core;
pub mod history;
pub mod interfaces;
pub mod recorder;
pub mod views;
mod explaining;
pub mod store;
mod grants;
mod leases;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use self::core::Core;
use self::heartbeat::Signs;
use self::history::History;
use crate::api::messages::{
    BlockRequest, Changed, DeviceStatus, FlowStatus, Grant, GrantRequest, Granted, Status, UnblockRequest,
};
use crate::explain::{Explanation, Question};
use crate::feeds::manual::ManualBlock;

/// What the control socket and the tasks share.
pub struct Agent {
    core: Mutex<Core>,
    history: Arc<History>,
    /// Held while a question is answered: each loads a program of its own.
    question: Mutex<()>,
    signs: Arc<Signs>,
}

/// Seconds from one look for new leases to the next.
const LEASES_KEPT_EVERY: u32 = 60;

/// Why a request changed nothing: what the user is told.
pub type Errors = Vec<String>;

impl Agent {
    pub(crate) const fn new(core: Core, history: Arc<History>, signs: Arc<Signs>) -> Self {
        Self { core: Mutex::new(core), history, question: Mutex::new(()), signs }
    }

    /// Recorded events.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// # Errors
    /// When the kernel refuses a read.
    pub fn status(&self) -> Result<Status, Errors> {
        views::status(&self.core())
    }

    /// # Errors
    /// When the kernel refuses a read.
    pub fn devices(&self) -> Result<Vec<DeviceStatus>, Errors> {
        views::devices(&self.core())
    }

    /// # Errors
    /// When the kernel refuses a read.
    pub fn flows(&self) -> Result<Vec<FlowStatus>, Errors> {
        views::flows(&self.core())
    }

    /// What the program says of a packet, without sending one.
    ///
    /// # Errors
    /// When the question cannot be understood, or the kernel refuses.
    pub fn explain(&self, question: &Question) -> Result<Explanation, Errors> {
        let _one_at_a_time = self.question.lock().unwrap_or_else(PoisonError::into_inner);
        let (scene, setting) = explaining::prepare(&self.core(), question)?;
        scene.play(setting).map_err(|error| vec![core::chain(&error)])
    }

    /// Manual blocks that hold.
    pub fn blocks(&self) -> Vec<ManualBlock> {
        self.core().blocks()
    }

    /// Adds manual blocks, all or none.
    ///
    /// # Errors
    /// When one of them would cut what must not be cut, or the tables cannot be written.
    pub fn block(&self, request: &BlockRequest, by: &str) -> Result<Changed, Errors> {
        self.core().block(request, by)
    }

    /// Removes manual blocks, all or none.
    ///
    /// # Errors
    /// When one of them is none, or the tables cannot be written.
    pub fn unblock(&self, request: &UnblockRequest) -> Result<Changed, Errors> {
        self.core().unblock(request)
    }

    /// Grants that hold.
    pub fn grants(&self) -> Vec<Grant> {
        self.core().grants.list()
    }

    /// Gives a device access for a time.
    ///
    /// # Errors
    /// When device, peer or service are unknown, or the tables cannot be written.
    pub fn grant(&self, request: &GrantRequest, by: &str) -> Result<Granted, Errors> {
        self.core().grant(request, by)
    }

    /// Ends a grant.
    ///
    /// # Errors
    /// When there is none of that number, or the tables cannot be written.
    pub fn revoke(&self, id: u32) -> Result<Changed, Errors> {
        self.core().revoke(id)
    }

    /// Reads policy, inventory, feeds and geo again.
    ///
    /// # Errors
    /// When something in them is invalid: then what runs stays.
    pub fn reload(&self) -> Result<Changed, Errors> {
        self.core().reload()
    }

    /// The agent's loop turns.
    pub(crate) fn turn(&self) {
        self.signs.turn();
    }

    /// What has to be done every second: manual blocks and grants whose time is up go, interfaces are
    /// looked after, and leases kept. Where a reload is under way, the next second does it.
    pub(crate) fn tick(&self) {
        let mut core = match self.core.try_lock() {
            Ok(core) => core,
            Err(TryLockError::Poisoned(core)) => core.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        core.expire();
        core.expire_grants();
        core.look_after_interfaces();
        core.seconds = core.seconds.wrapping_add(1);
        if core.seconds % LEASES_KEPT_EVERY == 0 {
            core.keep_leases();
        }
        self.signs.work();
    }

    /// What has to be done before the process ends.
    pub(crate) fn stop(&self) {
        self.core().keep_leases();
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // A panic in a reader leaves the core as it was; writers change it only after the kernel.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
