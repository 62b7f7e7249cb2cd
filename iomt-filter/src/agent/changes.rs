//! Changes of configuration, policy and inventory: read, written down as a generation, made to hold at once or until
//! they are confirmed, taken back.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Errors;
use super::auditing::files;
use super::core::{Core, Refusal, chain, nobody, shown};
use crate::api::messages::{Applied, Changed, PendingStatus, RollbackRequest};
use crate::audit::{Author, Entry};
use crate::clock::{BootTime, Clocks, boottime};
use crate::config::Config;
use crate::diagnostic::SourceFile;
use crate::generations::{About, Known, Outcome, Record, Sources};
use crate::host::HostNetworks;
use crate::intent::last_good::LastGood;
use crate::intent::{self, Intent, Overrides};
use crate::numbers::Numbers;

/// Who goes longer without confirming wants the change.
const LONGEST: Duration = Duration::from_secs(86_400);
/// A shorter one is over before anybody can have looked.
const SHORTEST: Duration = Duration::from_secs(5);

/// Who changes something, and why.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) by: Author,
    /// The command.
    pub(super) what: &'static str,
    pub(super) note: Option<String>,
    /// How long until it is to be confirmed; nothing where it holds at once.
    pub(super) within: Option<Duration>,
    /// The generation that it goes back to, where it does.
    pub(super) restores: Option<u32>,
}

/// What a change that is to be confirmed falls back to.
pub(super) struct Waiting {
    /// The generation on disk that is to be confirmed.
    pub(super) record: Record,
    pub(super) deadline: BootTime,
    /// What holds again where it is not.
    pub(super) before: Before,
    /// What is to be kept once it is confirmed.
    last_good: Option<LastGood>,
}

/// What held before a change.
#[derive(Clone)]
pub(super) struct Before {
    pub(super) intent: Arc<Intent>,
    pub(super) config: Arc<Config>,
    pub(super) host: HostNetworks,
    pub(super) current: Option<Current>,
    pub(super) kept_because: Option<String>,
    pub(super) files: Value,
}

/// The generation on disk that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Current {
    pub(super) number: u32,
    pub(super) digest: String,
}

impl Current {
    pub(super) fn of(record: &Record) -> Self {
        Self { number: record.number, digest: record.digest.clone() }
    }
}

impl Core {
    /// Reads everything again that the configuration names, and the configuration itself, and makes it hold.
    pub(super) fn change_to_files(&mut self, asked: &Asked) -> Result<Applied, Errors> {
        self.refuse_while_pending()?;
        let config = Config::load(&self.config.paths.config).map_err(shown)?;
        let sources = intent::sources(&config, &Overrides::default()).map_err(shown)?;
        self.change_to(config, &sources, asked)
    }

    /// Makes a generation that is kept hold again, as a new one.
    pub(super) fn change_back(&mut self, number: Option<u32>, asked: &Asked) -> Result<Applied, Errors> {
        self.refuse_while_pending()?;
        let number = match number {
            Some(number) => number,
            None => self.last_before().ok_or_else(|| {
                vec![
                    "there is no earlier generation; `iomt-filter generations` lists those that are kept"
                        .to_owned(),
                ]
            })?,
        };
        let failed = |error| vec![chain(&error)];
        let known = self.generations.known(number).map_err(failed)?;
        let sources = self.generations.sources(&known.record).map_err(failed)?;
        let config = kept_config(&sources, &self.config).map_err(shown)?;
        let note = asked.note.clone().unwrap_or_else(|| format!("back to generation {number}"));
        self.change_to(config, &sources, &Asked { note: Some(note), restores: Some(number), ..asked.clone() })
    }

    /// The generation that was confirmed before the one that holds, and says something else.
    fn last_before(&self) -> Option<u32> {
        let current = self.current.as_ref()?;
        let (known, _) = self.generations.list();
        let earlier = known.into_iter().filter(|known| {
            known.outcome == Outcome::Confirmed
                && known.record.number < current.number
                && known.record.digest != current.digest
        });
        earlier.map(|known| known.record.number).next_back()
    }

    /// Nothing else may be made to hold while a change is pending. One whose deadline has passed is none any more.
    pub(super) fn refuse_while_pending(&mut self) -> Result<(), Errors> {
        self.look_after_change();
        let Some(waiting) = &self.waiting else { return Ok(()) };
        let Record { number, by, .. } = &waiting.record;
        Err(vec![format!(
            "generation {number} of {by} is pending for {} s more; `iomt-filter confirm` or `iomt-filter rollback` first",
            waiting.left().as_secs()
        )])
    }

    fn change_to(&mut self, config: Config, sources: &Sources, asked: &Asked) -> Result<Applied, Errors> {
        if let Some(changed) = super::core::needs_restart(&self.config, &config) {
            return Err(vec![format!(
                "{changed} changed in the configuration; that needs a restart of the agent"
            )]);
        }
        let within = asked.within.map(bounded).transpose()?;
        let host = HostNetworks::read()
            .map_err(|error| vec![format!("failed to read the host's addresses: {error}")])?;
        let files = files(sources);
        let about = |generation, number, files: &Value| json!({ "generation": generation, "number": number, "files": files });
        let current = self.current.as_ref().map(|current| current.number);
        let mut after = about(self.datapath.next_number(), None, &files);
        if let (Some(within), Value::Object(after)) = (within, &mut after) {
            after.insert("confirm_within_seconds".to_owned(), within.as_secs().into());
        }
        let entry = Entry {
            before: about(self.generation(), current, &self.files),
            after,
            note: asked.note.clone(),
            ..Entry::by(&asked.by, asked.what)
        };
        self.auditing
            .clone()
            .change(entry, || self.make_hold((config, sources, host), (asked, within), files))
    }

    fn make_hold(
        &mut self,
        (config, sources, host): (Config, &Sources, HostNetworks),
        (asked, within): (&Asked, Option<Duration>),
        files: Value,
    ) -> Result<Applied, Errors> {
        let (blocks, before) = (self.blocks.clone(), self.before());
        let mut refused = None;
        // A list that had no room may have it by now; where it has not, it waits on.
        for makes_tables in [true, false] {
            let (intent, numbers) = self.read_again(&config, sources, &host, &blocks.list(), makes_tables)?;
            if asked.restores.is_none() {
                self.keep_in_quarantine(&intent)?;
            }
            let until = within.map(|within| Clocks::now().until(within));
            // Before it holds: what is active is always written down.
            let record = self.written_down(sources, &intent, asked, until)?;
            let deadline = until.map(|(_, deadline)| deadline);
            self.except_also(&intent);
            match self.make_active(intent, numbers, blocks.clone(), within) {
                Ok((changed, last_good)) => {
                    let began = |deadline| BootTime { nanoseconds: deadline, ..BootTime::now() };
                    let deadline =
                        self.datapath.pending().map(|pending| began(pending.deadline)).or(deadline);
                    (self.config, self.host, self.files) = (Arc::new(config), host, files);
                    self.held(&record, deadline, before, last_good);
                    let confirm_by = until.map(|(time, _)| time);
                    return Ok(Applied {
                        number: self.current.as_ref().map(|it| it.number),
                        confirm_by,
                        changed,
                    });
                }
                Err(refusal) => {
                    self.write_exceptions();
                    self.reverted(record.as_ref(), "it could not be made active");
                    match refusal {
                        Refusal::NoRoom(_) if makes_tables => refused = Some(refusal),
                        refusal => return Err(refusal.into()),
                    }
                }
            }
        }
        Err(refused.map_or_else(|| vec!["there is no room for what is configured".into()], Errors::from))
    }

    /// What holds now.
    fn before(&self) -> Before {
        Before {
            intent: self.intent.clone(),
            config: self.config.clone(),
            host: self.host.clone(),
            current: self.current.clone(),
            kept_because: self.kept_because.clone(),
            files: self.files.clone(),
        }
    }

    /// Writes a change down; nothing where it is what holds already, which is only read again.
    fn written_down(
        &self,
        sources: &Sources,
        intent: &Intent,
        asked: &Asked,
        until: Option<(Timestamp, BootTime)>,
    ) -> Result<Option<Record>, Errors> {
        let digest = sources.digest();
        if until.is_none() && self.current.as_ref().is_some_and(|current| current.digest == digest) {
            return Ok(None);
        }
        let about = About {
            at: Timestamp::now(),
            by: asked.by.name.clone(),
            note: asked.note.clone(),
            restores: asked.restores,
            devices: intent.devices,
            rules: intent.rules,
            confirm_by: until,
        };
        self.generations.add(sources, about).map(Some).map_err(|error| vec![chain(&error)])
    }

    /// A change is active: for good, or until `deadline`.
    fn held(
        &mut self,
        record: &Option<Record>,
        deadline: Option<BootTime>,
        before: Before,
        last_good: Option<LastGood>,
    ) {
        self.kept_because = None;
        match (record, deadline) {
            (Some(record), Some(deadline)) => {
                self.current = Some(Current::of(record));
                self.waiting = Some(Waiting { record: record.clone(), deadline, before, last_good });
            }
            (record, _) => {
                if let Some(record) = record {
                    self.current = Some(Current::of(record));
                    let decided = self.generations.decide(
                        record.number,
                        Outcome::Confirmed,
                        &record.by,
                        Timestamp::now(),
                    );
                    if let Err(error) = decided {
                        tracing::error!(
                            error = chain(&error),
                            "the change holds, and a new start would not take it up"
                        );
                    }
                }
                self.keep_last_good(last_good);
                self.drop_gone_grants();
            }
        }
        self.write_exceptions();
    }

    /// A generation that was written down does not hold.
    fn reverted(&self, record: Option<&Record>, by: &str) {
        let Some(record) = record else { return };
        if let Err(error) = self.generations.decide(record.number, Outcome::Reverted, by, Timestamp::now()) {
            tracing::error!(error = chain(&error), "it is not written down that a change was taken back");
        }
    }

    /// Makes the change that is pending hold for good.
    pub(super) fn confirm(&mut self, by: &Author) -> Result<Applied, Errors> {
        self.look_after_change();
        let Some(waiting) = &self.waiting else { return Err(vec![NOTHING_PENDING.to_owned()]) };
        let number = waiting.record.number;
        // In the kernel first: no deadline waits for a disk. A start asks the kernel where nothing is written down.
        if self.datapath.confirm(&self.token).is_none() {
            self.look_after_change();
            return Err(vec![format!(
                "the deadline of generation {number} has passed: what held before holds again"
            )]);
        }
        let waiting = self.waiting.take();
        self.owed = Some((number, by.name.clone()));
        self.write_down_confirmation();
        self.keep_last_good(waiting.and_then(|waiting| waiting.last_good));
        self.drop_gone_grants();
        self.know_tables();
        self.renew_grants();
        self.told(by, "confirm", format!("generation {number}"), None);
        tracing::info!(number, by = by.name, "the change is confirmed");
        Ok(self.applied(Some(number)))
    }

    /// Writes down a confirmation that holds, until that succeeds.
    pub(super) fn write_down_confirmation(&mut self) {
        let Some((number, by)) = self.owed.take() else { return };
        if let Err(error) = self.generations.decide(number, Outcome::Confirmed, &by, Timestamp::now()) {
            tracing::error!(
                error = chain(&error),
                number,
                "the change is confirmed, and that is not written down yet: a reboot would take it back"
            );
            self.owed = Some((number, by));
        }
    }

    /// Takes a pending change back; where none is, goes back to the generation before, or to the one with a number.
    pub(super) fn roll_back(&mut self, request: &RollbackRequest, asked: &Asked) -> Result<Applied, Errors> {
        self.look_after_change();
        if self.waiting.is_none() {
            return self.change_back(request.number, asked);
        }
        if let Some(number) = request.number {
            let pending = self.waiting.as_ref().map_or(0, |waiting| waiting.record.number);
            if pending != number {
                self.refuse_while_pending()?;
            }
        }
        let fell_back = self.datapath.fall_back(&self.token).is_some();
        if fell_back {
            self.go_back(&asked.by, asked.note.clone());
        } else {
            self.look_after_change();
        }
        Ok(self.applied(self.current.as_ref().map(|current| current.number)))
    }

    /// Notices that the program itself has gone back to what was confirmed.
    pub(super) fn look_after_change(&mut self) {
        if self.datapath.take_fall_back(&self.token).is_none() {
            return;
        }
        if let Some(waiting) = &self.waiting {
            tracing::warn!(
                number = waiting.record.number,
                "the change was not confirmed in time: what held before holds again"
            );
        }
        self.go_back(&nobody("the deadline"), None);
    }

    /// What held before holds again in the kernel, and here.
    fn go_back(&mut self, by: &Author, note: Option<String>) {
        let Some(waiting) = self.waiting.take() else { return };
        self.reverted(Some(&waiting.record), &by.name);
        let Before { intent, config, host, current, kept_because, files } = waiting.before.clone();
        (self.intent, self.config, self.host, self.current, self.files) =
            (intent, config, host, current, files);
        self.kept_because = kept_because;
        self.generation_since = Timestamp::now();
        self.know_tables();
        self.write_exceptions();
        self.renew_grants();
        self.told(by, "rollback", format!("generation {}", waiting.record.number), note);
    }

    /// Writes what holds once more where the tables hold something else, or what an earlier agent wrote.
    fn know_tables(&mut self) {
        if self.datapath.active_rows() == Some(&self.intent.rows) {
            return;
        }
        let (intent, numbers) = (self.intent.again(), Numbers::clone(&self.numbers));
        let blocks = self.blocks.clone();
        if let Err(errors) = self.activate(intent, numbers, blocks) {
            tracing::error!(errors = errors.join("; "), "what holds cannot be written anew");
        }
    }

    fn applied(&self, number: Option<u32>) -> Applied {
        let warnings = self.intent.warnings.iter().map(ToString::to_string).collect();
        let changed = Changed { generation: self.generation(), changed: 0, warnings, cuts: Vec::new() };
        Applied { number, confirm_by: None, changed }
    }

    /// Notes what an agent has started with, where nobody has applied it, and what was not confirmed in time.
    pub(super) fn begun_with(&mut self, sources: &Sources) {
        let (known, _) = self.generations.list();
        let owed = self.owed.as_ref().map(|(number, _)| *number);
        let is_over = |known: &&Known| known.outcome == Outcome::Pending && Some(known.record.number) != owed;
        for known in known.iter().filter(is_over) {
            self.reverted(Some(&known.record), "the deadline");
        }
        if self.current.is_some() {
            return;
        }
        let by = nobody("the start of the agent");
        let asked = Asked { by, what: "start", note: None, within: None, restores: None };
        match self.written_down(sources, &self.intent, &asked, None) {
            Ok(record) => self.held(&record, None, self.before(), None),
            Err(errors) => {
                tracing::error!(errors = errors.join("; "), "what holds is not written down as a generation");
            }
        }
    }

    /// The change that is to be confirmed.
    pub(super) fn pending(&self) -> Option<PendingStatus> {
        let waiting = self.waiting.as_ref()?;
        let Record { number, by, note, .. } = waiting.record.clone();
        let left = waiting.left();
        let confirm_by = Timestamp::now().checked_add(left).unwrap_or(Timestamp::MAX);
        let falls_back_to = waiting.before.current.as_ref().map(|current| current.number);
        Some(PendingStatus { number, by, note, confirm_by, left_seconds: left.as_secs(), falls_back_to })
    }
}

/// What a command is told that comes too late, or too early.
const NOTHING_PENDING: &str =
    "no change is pending; `iomt-filter generations` shows what became of the last ones";

impl Waiting {
    /// A change that an earlier agent has made, and that is still to be confirmed.
    pub(super) const fn taken_over(record: Record, deadline: BootTime, before: Before) -> Self {
        Self { record, deadline, before, last_good: None }
    }

    fn left(&self) -> Duration {
        Duration::from_nanos(self.deadline.nanoseconds.saturating_sub(boottime()))
    }
}

/// The configuration of a generation that is kept, on the interfaces, paths and sinks of the one that runs.
pub(super) fn kept_config(
    sources: &Sources,
    running: &Config,
) -> Result<Config, Vec<crate::diagnostic::Diagnostic>> {
    let path = &running.paths.config;
    let file = SourceFile::new(&path.display().to_string(), sources.config.content.as_str());
    let config = Config::parse(&file, path, false)?;
    let Config { interfaces, paths, events, .. } = running.clone();
    Ok(Config { interfaces, paths, events, ..config })
}

fn bounded(within: Duration) -> Result<Duration, Errors> {
    if (SHORTEST..=LONGEST).contains(&within) {
        return Ok(within);
    }
    Err(vec!["a change is to be confirmed within `5s` to `24h`".to_owned()])
}
