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
pub mod store;
mod journal;
mod term;
mod blocks;
mod grants;
mod changes;
mod exceptions;
mod trials;
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
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use self::changes::Asked;
use self::contacts::Standing;
use self::core::Core;
use self::feeds::Fetching;
use self::heartbeat::Signs;
use self::history::History;
use self::running::Running;
use crate::api::messages::{
    Applied, ApplyRequest, BlockRequest, Changed, DeviceStatus, Excepted, ExceptionRequest, ExceptionStatus,
    FlowStatus, GenerationStatus, Grant, GrantRequest, Granted, ReleaseExceptionRequest, RollbackRequest,
    Status, TrialRequest, TrialStatus, UnblockRequest,
};
use crate::audit::{Audit, Entry};
use crate::explain::{Explanation, Question};
use crate::feeds::manual::ManualBlock;
use crate::generations::Generations;
use crate::lookup::Answer;

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
    pub fn reload(&self, by: &str) -> Result<Changed, Errors> {
        let asked = Asked { by: by.to_owned(), ..Asked::default() };
        Ok(self.apply_audited("reload", &asked, |core| core.reload(&asked))?.changed)
    }

    /// The same, to be confirmed where the request says so.
    ///
    /// # Errors
    /// As [`reload`](Self::reload), and where a change is pending.
    pub fn apply(&self, request: &ApplyRequest, by: &str) -> Result<Applied, Errors> {
        let asked = Asked { by: by.to_owned(), ..Asked::from(request) };
        self.apply_audited("apply", &asked, |core| core.reload(&asked))
    }

    /// Makes a pending change hold for good.
    ///
    /// # Errors
    /// When none is pending.
    pub fn confirm(&self, by: &str) -> Result<Applied, Errors> {
        let asked = Asked { by: by.to_owned(), ..Asked::default() };
        self.apply_audited("confirm", &asked, |core| core.confirm(by))
    }

    /// Takes a pending change back, or goes back to an earlier generation.
    ///
    /// # Errors
    /// When there is none, or it does not fit what there is now.
    pub fn roll_back(&self, request: &RollbackRequest, by: &str) -> Result<Applied, Errors> {
        let within = request.seconds.map(std::time::Duration::from_secs);
        let asked = Asked { by: by.to_owned(), note: request.note.clone(), within };
        self.apply_audited("rollback", &asked, |core| core.roll_back(request, &asked))
    }

    /// Changes what operators have made hold, and notes it: before, so that nothing is changed that nobody can read of.
    fn apply_audited(
        &self,
        what: &str,
        asked: &Asked,
        change: impl FnOnce(&mut Core) -> Result<Applied, Errors>,
    ) -> Result<Applied, Errors> {
        let running = self.running();
        let before =
            running.current.as_ref().map_or(Value::Null, |current| json!({"generation": current.number}));
        let within = asked.within.map(|within| json!({"confirm_within_seconds": within.as_secs()}));
        let entry = Entry {
            who: asked.by.clone(),
            what: what.to_owned(),
            before,
            after: within.unwrap_or(Value::Null),
            note: asked.note.clone(),
            ..Entry::default()
        };
        let audited = self.audit(entry.clone());
        if what == "apply" || what == "reload" {
            audited?;
        } else if let Err(errors) = audited {
            // Who confirms or goes back is not kept from it.
            tracing::error!(errors = errors.join("; "), "`{what}` is not in the audit log");
        }
        let intent = running.intent.clone();
        match self.change(change) {
            Ok(applied) => {
                self.tell_waiting(&intent);
                let after =
                    json!({"generation": applied.number, "kernel_generation": applied.changed.generation});
                let _told = self.audit(Entry { what: format!("{what} done"), after, ..entry });
                Ok(applied)
            }
            Err(errors) => {
                let _told =
                    self.audit(Entry { what: format!("{what} refused"), after: json!(errors), ..entry });
                Err(errors)
            }
        }
    }

    /// Generations on disk, the oldest first.
    ///
    /// # Errors
    /// Never: what cannot be read is in the log.
    pub fn generations(&self) -> Result<Vec<GenerationStatus>, Errors> {
        let current = self.running().current.as_ref().map(|current| current.number);
        let (known, errors) = Generations::of(&self.state).list();
        for error in errors {
            tracing::error!(error = core::chain(&error), "a generation cannot be read");
        }
        Ok(known.iter().map(|known| changes::shown_generation(known, current)).collect())
    }

    /// What holds by hand.
    pub fn exceptions(&self) -> Vec<ExceptionStatus> {
        self.running().exceptions.list()
    }

    /// Puts devices into quarantine, or lets them through.
    ///
    /// # Errors
    /// When they are unknown, or the kernel refuses.
    pub fn except(&self, request: &ExceptionRequest, by: &str) -> Result<Excepted, Errors> {
        self.change(|core| {
            let done = core.except(request, by)?;
            core.told(by, request.kind.name(), request.scope.to_string(), request.note.clone());
            Ok(done)
        })
    }

    /// Lets policy hold again.
    ///
    /// # Errors
    /// When nothing else held, or the kernel refuses.
    pub fn end_exception(&self, request: &ReleaseExceptionRequest, by: &str) -> Result<Excepted, Errors> {
        self.change(|core| {
            let done = core.end_exception(request)?;
            core.told(by, "release", request.scope.to_string(), request.note.clone());
            Ok(done)
        })
    }

    /// Puts what the files say on trial.
    ///
    /// # Errors
    /// When it is invalid, or there is no room for it beside what holds.
    pub fn begin_trial(&self, request: TrialRequest) -> Result<TrialStatus, Errors> {
        self.change(|core| core.begin_trial(std::time::Duration::from_secs(request.seconds)))
    }

    /// How a trial goes.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn trial(&self) -> Result<TrialStatus, Errors> {
        self.change(|core| core.trial())
    }

    /// Ends a trial.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn end_trial(&self) -> Result<TrialStatus, Errors> {
        self.change(Core::end_trial)
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
        let untold = std::mem::take(&mut core.untold);
        drop(core);
        for entry in untold {
            let what = entry.what.clone();
            if let Err(errors) = self.audit(entry) {
                tracing::error!(errors = errors.join("; "), "`{what}` is not in the audit log");
            }
        }
        done
    }
}
