//! The one place that changes what runs: gathers what is intended, compiles it, makes it active.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::Errors;
use super::blocks::Blocks;
use super::far_ends;
use super::grants::Ledger;
use super::journal::Journal;
use super::leases::Leases;
use super::recorder::{Book, Page};
use super::store;
use crate::api::messages::{Changed, FailedReload};
use crate::config::Config;
use crate::datapath::{ApplyError, Attachment, Datapath, WriterToken};
use crate::diagnostic::{Diagnostic, Place};
use crate::feeds::{FarEnd, ManualBlock};
use crate::host::HostNetworks;
use crate::intent::last_good::LastGood;
use crate::intent::lists::FeedLists;
use crate::intent::{self, Intent, Known, Overrides};
use crate::numbers::Numbers;
use crate::rows::Rows;

/// The file of the numbers, in the state folder.
pub(super) const NUMBERS: &str = "numbers.json";

/// Seconds from one look for new leases, and at the clock, to the next.
const KEPT_EVERY: u32 = 60;
/// Far ends that a reload warns of one by one.
const MOST_CUTS: usize = 20;

/// What runs.
pub struct Core {
    pub(super) config: Arc<Config>,
    pub(super) datapath: Datapath,
    pub(super) intent: Arc<Intent>,
    pub(super) attachments: Vec<Attachment>,
    pub(super) host: HostNetworks,
    pub(super) host_name: String,
    pub(super) started: Timestamp,
    pub(super) generation_since: Timestamp,
    pub(super) failed_reload: Option<FailedReload>,
    pub(super) numbers: Arc<Numbers>,
    pub(super) blocks: Arc<Blocks>,
    /// Changes of the blocks since they were last kept whole.
    pub(super) journal: Journal,
    pub(super) grants: Arc<Ledger>,
    pub(super) kept_leases: Leases,
    /// Since when flows go by the numbers of devices that hold now, in nanoseconds since boot.
    pub(super) numbered_since: u64,
    /// Seconds that this agent has worked through.
    pub(super) seconds: u32,
    pub(super) book: Arc<Book>,
    pub(super) token: WriterToken,
}

impl Core {
    /// What has to be done every second: manual blocks and grants whose time is up go, a country database that has
    /// become too old is noticed, interfaces are looked after, leases and what is left of blocks and grants are kept.
    pub(super) fn work(&mut self) {
        self.expire_blocks();
        self.expire_grants();
        self.age_countries();
        self.look_after_interfaces();
        if let Err(error) = self.datapath.settle(&self.token) {
            tracing::error!(error = chain(&error), "the next change writes more than it needs to");
        }
        self.seconds = self.seconds.wrapping_add(1);
        if self.seconds.is_multiple_of(KEPT_EVERY) {
            self.keep_leases();
            self.keep_clock();
        }
    }

    /// Notices that the country database has become too old, or is not any more because the clock was set, and
    /// makes active what the policy says of that.
    fn age_countries(&mut self) {
        let mut numbers = Numbers::clone(&self.numbers);
        let aged = match self.intent.aged(&mut numbers, Timestamp::now()) {
            None => return,
            Some(Ok(aged)) => aged,
            Some(Err(found)) => {
                let errors = shown(found).join("; ");
                return tracing::error!(errors, "the age of the country database changes nothing");
            }
        };
        let warning = aged.warnings.first().map(|warning| warning.message.clone());
        let is_stale = aged.geo.as_ref().is_some_and(|geo| geo.stale);
        if aged.rows == self.intent.rows {
            self.intent = Arc::new(aged);
        } else if let Err(errors) = self.activate(aged, numbers, self.blocks.clone()) {
            let errors = errors.join("; ");
            return tracing::error!(
                errors,
                "what holds with a country database that is too old is not active"
            );
        }
        match warning.filter(|_| is_stale) {
            Some(warning) => tracing::warn!("{warning}"),
            None => tracing::info!("the country database is no longer too old"),
        }
    }

    /// Waits until the tables may be written, where they were only just.
    pub(super) fn wait_for_readers(&mut self) {
        self.datapath.wait_for_readers();
    }

    /// The number of the generation that judges.
    pub(super) fn generation(&self) -> u32 {
        self.datapath.generation().map_or(0, |generation| generation.number)
    }

    /// Reads everything again that the configuration names, and the configuration itself.
    pub(super) fn reload(&mut self) -> Result<Changed, Errors> {
        let result = self.try_reload();
        self.failed_reload = match &result {
            Ok(_) => None,
            Err(errors) => Some(FailedReload { at: Timestamp::now(), errors: errors.clone() }),
        };
        result
    }

    fn try_reload(&mut self) -> Result<Changed, Errors> {
        let config = Config::load(&self.config.paths.config).map_err(shown)?;
        if let Some(changed) = needs_restart(&self.config, &config) {
            return Err(vec![format!(
                "{changed} changed in the configuration; that needs a restart of the agent"
            )]);
        }
        let host = HostNetworks::read()
            .map_err(|error| vec![format!("failed to read the host's addresses: {error}")])?;
        let numbers = Numbers::clone(&self.numbers);
        // With those that have ended: they go when that is noted.
        let blocks = self.blocks.clone();
        let listed = blocks.list();
        let mut again = None;
        // A list that had no room may have it by now; where it has not, it waits on.
        for makes_tables in [true, false] {
            let mut numbers = numbers.clone();
            let intent = self.read_again(&config, &host, &mut numbers, &listed, makes_tables)?;
            match self.try_activate(intent, numbers, blocks.clone()) {
                Ok(changed) => {
                    again = Some(changed);
                    break;
                }
                Err(Refusal::NoRoom(_)) if makes_tables => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        let Some(changed) = again else { return Err(vec!["there is no room for what is configured".into()]) };
        (self.config, self.host) = (Arc::new(config), host);
        self.drop_gone_grants();
        Ok(changed)
    }

    /// What `config` names now, with a warning for each far end of a device that it cuts.
    fn read_again(
        &self,
        config: &Config,
        host: &HostNetworks,
        numbers: &mut Numbers,
        blocks: &[ManualBlock],
        makes_tables: bool,
    ) -> Result<Intent, Errors> {
        let flows = far_ends::flows(&self.running());
        let far_ends = |rows: &Rows| far_ends::of(&flows, rows, &config.paths.state, config.gate.impact);
        let (copies, grants) = (self.lists().copies(), self.grants.models());
        let known = Known { copies, reads_files: true, makes_tables, far_ends: &far_ends };
        let overrides = Overrides::default();
        let read = intent::read_knowing(config, &overrides, host, numbers, blocks, grants, &known);
        let mut intent = read.map_err(shown)?;
        if let Some(lost) = intent.loses(&self.intent) {
            return Err(shown(vec![lost]));
        }
        intent.warnings.extend(newly_cut(&self.intent.rows, &intent.rows, &far_ends(&intent.rows)));
        Ok(intent)
    }

    /// What the feeds list.
    pub(super) fn lists(&self) -> &Arc<FeedLists> {
        self.intent.lists()
    }

    /// Exchanges what the feeds list for something else, which makes other rows where it `is_new`. What is to be kept
    /// of it the caller keeps: no block waits for a disk.
    pub(super) fn exchange_lists(
        &mut self,
        lists: Arc<FeedLists>,
        is_new: bool,
    ) -> Result<Option<Changed>, Refusal> {
        let mut numbers = Numbers::clone(&self.numbers);
        let blocks = self.blocks.clone();
        let intent = self.intent.with_lists(&mut numbers, lists, &blocks.list());
        if is_new {
            return self.try_activate(intent, numbers, blocks).map(Some);
        }
        self.intent = Arc::new(intent);
        Ok(None)
    }

    /// Exchanges what the feeds list for the same beside other addresses of the host.
    pub(super) fn move_to(&mut self, host: HostNetworks, lists: Arc<FeedLists>) -> Result<(), Refusal> {
        self.exchange_lists(lists, true)?;
        self.host = host;
        Ok(())
    }

    fn keep_last_good(&self, intent: &mut Intent, last_good: &LastGood) {
        for error in store::keep(&self.config.paths.state, last_good) {
            let error = chain(&error);
            tracing::error!(error, "a last good copy is not kept");
            intent.warnings.push(Diagnostic::warning(&Place::default(), error));
        }
    }

    /// Makes an intent what the kernel judges with. On an error the generation before judges on; the
    /// numbers of new names are kept even so, which harms nobody.
    pub(super) fn activate(
        &mut self,
        intent: Intent,
        numbers: Numbers,
        blocks: Arc<Blocks>,
    ) -> Result<Changed, Errors> {
        Ok(self.try_activate(intent, numbers, blocks)?)
    }

    /// The same, telling what has no room from every other failure.
    fn try_activate(
        &mut self,
        mut intent: Intent,
        numbers: Numbers,
        blocks: Arc<Blocks>,
    ) -> Result<Changed, Refusal> {
        if numbers != *self.numbers {
            let kept = store::save(&self.config.paths.state, NUMBERS, &numbers);
            kept.map_err(|error| Refusal::Failed(vec![chain(&error)]))?;
        }
        let changed = self.datapath.plan(&intent.rows).summary().iter().map(|(_, count)| count).sum();
        let next =
            self.datapath.generation().map_or(1, |generation| generation.number.wrapping_add(1).max(1));
        self.book.write(next, Page::new(&self.host_name, &intent, &self.attachments));
        let generation = self.datapath.apply(intent.rows.clone(), &self.token)?;
        if let Some(last_good) = intent.last_good.take() {
            self.keep_last_good(&mut intent, &last_good);
        }
        let warnings = intent.warnings.iter().map(ToString::to_string).collect();
        (self.intent, self.numbers, self.blocks) = (Arc::new(intent), Arc::new(numbers), blocks);
        self.generation_since = Timestamp::now();
        tracing::info!(generation = generation.number, changed, "a new generation is active");
        Ok(Changed { generation: generation.number, changed, warnings, cuts: Vec::new() })
    }
}

/// Why an intent is not active.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The tables have no room for it.
    NoRoom(String),
    /// Anything else.
    Failed(Errors),
}

impl From<ApplyError> for Refusal {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Full { .. } | ApplyError::Large { .. } => Self::NoRoom(error.to_string()),
            error => Self::Failed(vec![chain(&error)]),
        }
    }
}

impl From<Refusal> for Errors {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoRoom(error) => vec![error],
            Refusal::Failed(errors) => errors,
        }
    }
}

/// What a reload cannot change.
pub(super) fn needs_restart(old: &Config, new: &Config) -> Option<&'static str> {
    let ports = |config: &Config| (config.interfaces.device.clone(), config.interfaces.uplink.clone());
    let paths = |config: &Config| -> [PathBuf; 3] {
        [config.paths.socket.clone(), config.paths.state.clone(), config.paths.pins.clone()]
    };
    if ports(old) != ports(new) || old.interfaces.mode != new.interfaces.mode {
        Some("`[interfaces]`")
    } else if paths(old) != paths(new) {
        Some("`paths.socket`, `paths.state` or `paths.pins`")
    } else {
        None
    }
}

/// What a reload cuts that devices talk to: an operator changed files, and is told.
fn newly_cut(before: &Rows, after: &Rows, far_ends: &[FarEnd]) -> Vec<Diagnostic> {
    let cuts = far_ends::cut(before, after, far_ends);
    let shown = cuts.iter().take(MOST_CUTS).map(|cut| {
        let (device, peer, score) = (&cut.device, cut.peer, cut.score);
        let message =
            format!("this cuts `{device}` from {peer}, which it has talked to: listed with score {score}");
        let help = format!("`iomt-filter lookup {peer}` says by whom; `never_block` in `[gate]` spares it");
        Diagnostic::warning(&Place::default(), message).help(help)
    });
    shown.collect()
}

pub(super) fn shown(diagnostics: Vec<Diagnostic>) -> Errors {
    diagnostics.iter().map(ToString::to_string).collect()
}

/// An error and its causes, on one line.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
