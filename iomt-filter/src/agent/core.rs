//! The one place that changes what runs: gathers what is intended, compiles it, makes it active.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use iomt_filter_common::exception::Exception;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Errors;
use super::auditing::Auditing;
use super::blocks::Blocks;
use super::changes::{Asked, Current, Waiting};
use super::exceptions::Exceptions;
use super::far_ends;
use super::grants::Ledger;
use super::journal::Journal;
use super::leases::Leases;
use super::recorder::{Book, Page};
use super::repairs::Repairs;
use super::store;
use super::trials::Trying;
use crate::api::messages::{Applied, Changed, DriftStatus, FailedReload};
use crate::audit::{Author, Entry};
use crate::config::Config;
use crate::datapath::{ApplyError, Attachment, Datapath, WriterToken};
use crate::diagnostic::{Diagnostic, Place};
use crate::feeds::{FarEnd, ManualBlock};
use crate::generations::{Generations, Sources};
use crate::host::HostNetworks;
use crate::intent::last_good::LastGood;
use crate::intent::lists::FeedLists;
use crate::intent::{self, Intent, Known};
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
    /// What this agent had to mend.
    pub(super) repairs: Repairs,
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
    /// What holds by hand, and what of it is written into the kernel, where that is known.
    pub(super) exceptions: Arc<Exceptions>,
    pub(super) excepted: Option<BTreeMap<u32, Exception>>,
    /// Whether all of it is in the state folder.
    pub(super) exceptions_are_kept: bool,
    /// What operators have made hold, on disk; which of it holds, why where that is not what the files say, and what is
    /// to be confirmed.
    pub(super) generations: Generations,
    pub(super) current: Option<Current>,
    pub(super) kept_because: Option<String>,
    pub(super) waiting: Option<Waiting>,
    /// Whether a grant was taken away without compiling the others anew.
    pub(super) grants_are_short: bool,
    /// A confirmation that holds and is not written down yet: which generation, and by whom.
    pub(super) owed: Option<(u32, String)>,
    /// Whose trial it is that runs, or ran last.
    pub(super) trying: Trying,
    pub(super) kept_leases: Leases,
    /// Since when flows go by the numbers of devices that hold now, in nanoseconds since boot.
    pub(super) numbered_since: u64,
    /// Seconds that this agent has worked through.
    pub(super) seconds: u32,
    pub(super) drift: DriftStatus,
    pub(super) book: Arc<Book>,
    pub(super) auditing: Arc<Auditing>,
    /// The files that what runs was made of, as the audit log names them.
    pub(super) files: Value,
    pub(super) token: WriterToken,
}

impl Core {
    /// Writes down what an agent began with: files that changed while none ran took hold with it.
    pub(super) fn note_start(&self) {
        let entry = Entry {
            after: json!({
                "version": env!("CARGO_PKG_VERSION"), "generation": self.generation(), "files": self.files,
            }),
            ..Entry::by(&Author::of_this_process(), "start")
        };
        self.note(entry);
    }

    /// What has to be done every second: manual blocks and grants whose time is up go, a country database that has
    /// become too old is noticed, interfaces are looked after, leases and what is left of blocks and grants are kept.
    pub(super) fn work(&mut self) {
        self.look_after_change();
        self.write_down_confirmation();
        self.look_after_exceptions();
        self.auditing.catch_up();
        self.expire_blocks();
        if self.datapath.trial().is_none() {
            // One that is over costs nothing any more.
            self.datapath.end_trial(&self.token);
        }
        if self.waiting.is_none() {
            // Both end in the kernel, or by what a reader of the database is told; their tables wait for what is pending.
            self.expire_grants();
            self.age_countries();
        }
        self.look_after_interfaces();
        if let Err(error) = self.datapath.settle(&self.token) {
            tracing::error!(error = chain(&error), "the next change writes more than it needs to");
        }
        self.seconds = self.seconds.wrapping_add(1);
        if self.seconds.is_multiple_of(KEPT_EVERY) {
            self.look_for_drift();
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
    pub(super) fn reload(&mut self, asked: &Asked) -> Result<Applied, Errors> {
        let result = self.change_to_files(asked);
        self.failed_reload = match &result {
            Ok(_) => None,
            Err(errors) => Some(FailedReload { at: Timestamp::now(), errors: errors.clone() }),
        };
        result
    }

    /// What `config` names now, with a warning for each far end of a device that it cuts.
    pub(super) fn read_again(
        &self,
        config: &Config,
        sources: &Sources,
        host: &HostNetworks,
        blocks: &[ManualBlock],
        makes_tables: bool,
    ) -> Result<(Intent, Numbers), Errors> {
        let mut numbers = Numbers::clone(&self.numbers);
        let flows = far_ends::flows(&self.running());
        let far_ends = |rows: &Rows| far_ends::of(&flows, rows, &config.paths.state, config.gate.impact);
        let (copies, grants) = (self.lists().copies(), self.grants.models());
        let known = Known { copies, reads_files: true, makes_tables, far_ends: &far_ends };
        let read = intent::read_sources(config, sources, host, &mut numbers, blocks, grants, &known);
        let mut intent = read.map_err(shown)?;
        if let Some(lost) = intent.loses(&self.intent) {
            return Err(shown(vec![lost]));
        }
        intent.warnings.extend(newly_cut(&self.intent.rows, &intent.rows, &far_ends(&intent.rows)));
        Ok((intent, numbers))
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
        let listed = blocks.list();
        let intent = self.intent.with_lists(&mut numbers, lists.clone(), &listed);
        let before = self.waiting.as_ref().map(|waiting| {
            // Beside what was ours before the change.
            let before = &waiting.before.intent;
            let lists = Arc::new(lists.beside(before.lists().ranges().to_vec(), Timestamp::now()));
            before.with_lists(&mut numbers, lists, &listed)
        });
        if is_new {
            return self.renew(intent, before, numbers, blocks).map(Some);
        }
        self.intent = Arc::new(intent);
        if let (Some(waiting), Some(before)) = (&mut self.waiting, before) {
            waiting.before.intent = Arc::new(before);
        }
        Ok(None)
    }

    /// Exchanges what the feeds list for the same beside other addresses of the host.
    pub(super) fn move_to(&mut self, host: HostNetworks, lists: Arc<FeedLists>) -> Result<(), Refusal> {
        self.exchange_lists(lists, true)?;
        self.host = host;
        Ok(())
    }

    /// Makes `intent` hold beside a change that may be pending; `before` is what was confirmed, with the same done to
    /// it: both together, so that neither a confirmation nor its absence undoes it.
    pub(super) fn renew(
        &mut self,
        intent: Intent,
        before: Option<Intent>,
        numbers: Numbers,
        blocks: Arc<Blocks>,
    ) -> Result<Changed, Refusal> {
        let Some(before) = before else { return self.try_activate(intent, numbers, blocks) };
        self.keep_numbers(&numbers)?;
        let changed = self.datapath.plan(&intent.rows).summary().iter().map(|(_, count)| count).sum();
        let next = self.datapath.next_number();
        self.book.write(next, Page::new(&self.host_name, &intent, &self.attachments));
        self.book.write(next.wrapping_add(1), Page::new(&self.host_name, &before, &self.attachments));
        let written = self.datapath.apply_both(intent.rows.clone(), before.rows.clone(), &self.token)?;
        let Some(generation) = written else {
            // Its deadline has passed since `before` was made of what holds again now.
            self.look_after_change();
            return self.try_activate(before, numbers, blocks);
        };
        let warnings = intent.warnings.iter().map(ToString::to_string).collect();
        (self.intent, self.numbers, self.blocks) = (Arc::new(intent), Arc::new(numbers), blocks);
        if let Some(waiting) = &mut self.waiting {
            waiting.before.intent = Arc::new(before);
        }
        Ok(Changed { generation: generation.number, changed, warnings, cuts: Vec::new() })
    }

    /// Keeps what was read as the last good copies.
    pub(super) fn keep_last_good(&mut self, last_good: Option<LastGood>) {
        let Some(last_good) = last_good else { return };
        let unkept: Vec<_> = store::keep(&self.config.paths.state, &last_good).into_iter().collect();
        if unkept.is_empty() {
            return;
        }
        let mut intent = self.intent.again();
        for error in unkept {
            let error = chain(&error);
            tracing::error!(error, "a last good copy is not kept");
            intent.warnings.push(Diagnostic::warning(&Place::default(), error));
        }
        self.intent = Arc::new(intent);
    }

    pub(super) fn keep_numbers(&self, numbers: &Numbers) -> Result<(), Refusal> {
        if *numbers == *self.numbers {
            return Ok(());
        }
        let kept = store::save(&self.config.paths.state, NUMBERS, numbers);
        kept.map_err(|error| Refusal::Failed(vec![chain(&error)]))
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
        intent: Intent,
        numbers: Numbers,
        blocks: Arc<Blocks>,
    ) -> Result<Changed, Refusal> {
        let (changed, last_good) = self.make_active(intent, numbers, blocks, None)?;
        self.keep_last_good(last_good);
        Ok(changed)
    }

    /// Makes an intent active, for as long as it `lasts` where it is to be confirmed. What is to be kept of it comes back.
    pub(super) fn make_active(
        &mut self,
        mut intent: Intent,
        numbers: Numbers,
        blocks: Arc<Blocks>,
        lasts: Option<Duration>,
    ) -> Result<(Changed, Option<LastGood>), Refusal> {
        self.keep_numbers(&numbers)?;
        let changed = self.datapath.plan(&intent.rows).summary().iter().map(|(_, count)| count).sum();
        let next = self.datapath.next_number();
        self.book.write(next, Page::new(&self.host_name, &intent, &self.attachments));
        let rows = intent.rows.clone();
        let generation = match lasts {
            None => self.datapath.apply(rows, &self.token)?,
            Some(lasts) => {
                let lasts = u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX);
                self.datapath.apply_until(rows, lasts, &self.token)?
            }
        };
        let last_good = intent.last_good.take();
        let warnings = intent.warnings.iter().map(ToString::to_string).collect();
        (self.intent, self.numbers, self.blocks) = (Arc::new(intent), Arc::new(numbers), blocks);
        self.generation_since = Timestamp::now();
        tracing::info!(generation = generation.number, changed, "a new generation is active");
        Ok((Changed { generation: generation.number, changed, warnings, cuts: Vec::new() }, last_good))
    }

    /// Writes down what was done by whom; that it cannot be written undoes nothing.
    pub(super) fn told(&self, by: &Author, what: &str, about: String, note: Option<String>) {
        self.note(Entry { about: Some(about), note, ..Entry::by(by, what) });
    }

    /// The same, of an entry. What who has done it is to know, where it is not written down yet.
    pub(super) fn note(&self, entry: Entry) -> Option<String> {
        let errors = self.auditing.note(entry).err()?;
        Some(format!(
            "NOT AUDITED: it holds, and is written into the audit log as soon as that can be written: {}",
            errors.join("; ")
        ))
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

/// Something that is no user.
pub(super) fn nobody(name: &str) -> Author {
    Author { name: name.to_owned(), uid: None }
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
    } else if old.access != new.access {
        Some("`[access]`")
    } else if old.agent.user != new.agent.user {
        Some("`user` in `[agent]`")
    } else if old.metrics != new.metrics {
        Some("`[metrics]`")
    } else if old.events != new.events {
        Some("`[events]`")
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
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
