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
use crate::datapath::{Attachment, Datapath, WriterToken};
use crate::diagnostic::{Diagnostic, Place};
use crate::host::HostNetworks;
use crate::intent::copies::File;
use crate::intent::last_good::LastGood;
use crate::intent::lists::FeedLists;
use crate::intent::{self, Intent, Known, Overrides};
use crate::numbers::Numbers;

/// The file of the numbers, in the state folder.
pub(super) const NUMBERS: &str = "numbers.json";

/// Seconds from one look for new leases, and at the clock, to the next.
const KEPT_EVERY: u32 = 60;

/// What runs.
pub struct Core {
    pub(super) config: Config,
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
        let mut numbers = Numbers::clone(&self.numbers);
        // With those that have ended: they go when that is noted.
        let blocks = self.blocks.clone();
        let listed = blocks.list();
        let (running, state, impact) = (self.running(), config.paths.state.clone(), config.gate.impact);
        let known = Known {
            copies: self.lists().copies(),
            reads_files: true,
            makes_tables: false,
            far_ends: &|rows| far_ends::of(Some(&running), rows, &state, impact),
        };
        let grants = self.grants.models();
        let read = intent::read_knowing(
            &config,
            &Overrides::default(),
            &host,
            &mut numbers,
            &listed,
            grants,
            &known,
        );
        let intent = read.map_err(shown)?;
        if let Some(lost) = intent.loses(&self.intent) {
            return Err(shown(vec![lost]));
        }
        let changed = self.activate(intent, numbers, blocks)?;
        (self.config, self.host) = (config, host);
        self.drop_gone_grants();
        Ok(changed)
    }

    /// What the feeds list.
    pub(super) fn lists(&self) -> &Arc<FeedLists> {
        self.intent.lists()
    }

    /// Exchanges what the feeds list for something else, which makes other rows where it `is_new`; nothing where only
    /// notes have changed.
    pub(super) fn exchange_lists(
        &mut self,
        lists: Arc<FeedLists>,
        files: Vec<File>,
        is_new: bool,
    ) -> Result<Option<Changed>, Errors> {
        let mut numbers = Numbers::clone(&self.numbers);
        let blocks = self.blocks.clone();
        let last_good = LastGood { read: files, wanted: lists.wanted() };
        let mut intent = self.intent.with_lists(&mut numbers, lists, &blocks.list());
        if is_new {
            intent.last_good = Some(last_good);
            return self.activate(intent, numbers, blocks).map(Some);
        }
        self.keep_last_good(&mut intent, &last_good);
        self.intent = Arc::new(intent);
        Ok(None)
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
        mut intent: Intent,
        numbers: Numbers,
        blocks: Arc<Blocks>,
    ) -> Result<Changed, Errors> {
        if numbers != *self.numbers {
            store::save(&self.config.paths.state, NUMBERS, &numbers).map_err(|error| vec![chain(&error)])?;
        }
        let changed = self.datapath.plan(&intent.rows).summary().iter().map(|(_, count)| count).sum();
        let next =
            self.datapath.generation().map_or(1, |generation| generation.number.wrapping_add(1).max(1));
        self.book.write(next, Page::new(&self.host_name, &intent, &self.attachments));
        let generation =
            self.datapath.apply(intent.rows.clone(), &self.token).map_err(|error| vec![chain(&error)])?;
        if let Some(last_good) = intent.last_good.take() {
            self.keep_last_good(&mut intent, &last_good);
        }
        let warnings = intent.warnings.iter().map(ToString::to_string).collect();
        (self.intent, self.numbers, self.blocks) = (Arc::new(intent), Arc::new(numbers), blocks);
        self.generation_since = Timestamp::now();
        tracing::info!(generation = generation.number, changed, "a new generation is active");
        Ok(Changed { generation: generation.number, changed, warnings })
    }
}

/// What a reload cannot change.
fn needs_restart(old: &Config, new: &Config) -> Option<&'static str> {
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
