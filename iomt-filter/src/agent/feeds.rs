//! Feeds while the agent runs: each is fetched when it is time, on a thread of its own, and judged and merged there.
//! The core only exchanges what runs, so that no block and no question waits for a server or for a long list.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Agent, Errors};
use crate::api::messages::Changed;
use crate::audit::Entry;
use crate::events::{Notice, Record};
use crate::feeds::fetch::{self, FetchError, Fetched, Origin, Protocol};
use crate::feeds::schedule::{self, Pace};
use crate::feeds::{FarEnd, Held};
use crate::intent::copies::{self, FeedCopy};
use crate::intent::lists::{Bench, Content, FeedLists, Outcome, held, judge, unchanged};
use crate::intent::{FeedReport, Intent, Standing};

/// From one look at what is due to the next.
const PACE: Duration = Duration::from_secs(1);
/// Feeds that are fetched at once.
const AT_ONCE: usize = 4;

/// How the fetching of feeds goes, by name.
#[derive(Debug, Default)]
pub(super) struct Fetching(Mutex<BTreeMap<String, Progress>>);

/// How the fetching of one feed goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    history: schedule::History,
    /// How much later than it could it is tried next, from 0 to 1.
    chance: f64,
    /// Why the last attempt failed.
    error: Option<String>,
    /// Whether it is being fetched.
    is_running: bool,
    /// Whether somebody asked for it out of turn.
    is_asked: bool,
}

impl Fetching {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it goes with a feed.
    fn of(&self, feed: &str) -> Progress {
        self.all().get(feed).cloned().unwrap_or_default()
    }

    /// Has feeds fetched as soon as there is a thread for them.
    fn ask(&self, feeds: impl IntoIterator<Item = String>) {
        let mut all = self.all();
        feeds.into_iter().for_each(|feed| all.entry(feed).or_default().is_asked = true);
    }

    /// The feeds to be fetched now, which are taken for being fetched from then on.
    fn take_due(&self, standings: &[Standing], now: Timestamp) -> Vec<String> {
        let mut all = self.all();
        all.retain(|name, progress| {
            progress.is_running || standings.iter().any(|standing| standing.feed.name == *name)
        });
        let mut free = AT_ONCE.saturating_sub(all.values().filter(|progress| progress.is_running).count());
        let mut due = Vec::new();
        for standing in standings.iter().filter(|standing| standing.feed.enabled) {
            let feed = &standing.feed;
            let progress = all.entry(feed.name.clone()).or_insert_with(|| Progress::of(standing));
            let is_due = progress.is_asked || progress.next(standing, now) <= now;
            if free > 0 && !progress.is_running && is_due {
                (progress.is_running, progress.is_asked) = (true, false);
                free -= 1;
                due.push(feed.name.clone());
            }
        }
        due
    }

    /// Writes down how a fetch went; whether the feed failed before.
    fn done(&self, standing: &Standing, error: Option<(String, Option<Duration>)>, now: Timestamp) -> bool {
        let mut all = self.all();
        let progress = all.entry(standing.feed.name.clone()).or_default();
        let failed_before = progress.error.is_some();
        match &error {
            Some((_, retry_after)) => progress.history.failed(now, *retry_after),
            None => progress.history.succeeded(now),
        }
        progress.error = error.map(|(error, _)| error);
        progress.chance = fastrand::f64();
        failed_before
    }

    fn ended(&self, feed: &str) {
        if let Some(progress) = self.all().get_mut(feed) {
            progress.is_running = false;
        }
    }
}

impl Progress {
    /// Of a feed that an agent before has read.
    fn of(standing: &Standing) -> Self {
        let read = standing.copy.as_ref().and_then(|copy| copy.notes.read);
        let history = schedule::History { attempt: read, success: read, ..schedule::History::default() };
        Self { history, chance: fastrand::f64(), ..Self::default() }
    }

    /// When it is tried next: by what is configured now, and by a clock that may have been set.
    fn next(&self, standing: &Standing, now: Timestamp) -> Timestamp {
        schedule::next(pace(standing), self.history, now, self.chance)
    }
}

/// What became of an outcome.
enum Taken {
    /// Its list is what the kernel judges by.
    Active(Changed),
    /// Other rows were not to be made of it.
    Noted,
    /// The feed is no longer what it was when its content was judged.
    Outdated,
}

fn pace(standing: &Standing) -> Pace {
    let minimum = match &standing.feed.source.origin {
        Origin::Server(server) => schedule::minimum(&server.url),
        Origin::Path(_) => schedule::SHORTEST,
    };
    Pace { refresh: standing.feed.refresh, minimum }
}

/// Fetches until the process ends.
///
/// # Errors
/// When there is no thread for it.
pub(super) fn start(agent: Arc<Agent>) -> std::io::Result<()> {
    let look = move || {
        loop {
            let begun = Instant::now();
            let now = Timestamp::now();
            let intent = agent.running().intent.clone();
            for feed in agent.fetching().take_due(intent.standings(), now) {
                fetch_apart(agent.clone(), feed);
            }
            if intent.lists().next_expiry().is_some_and(|next| next <= now) {
                agent.let_entries_go(now);
            }
            thread::sleep(PACE.saturating_sub(begun.elapsed()));
        }
    };
    thread::Builder::new().name("feeds".into()).spawn(look).map(drop)
}

fn fetch_apart(agent: Arc<Agent>, feed: String) {
    let name = feed.clone();
    let for_thread = agent.clone();
    let work = move || {
        if catch_unwind(AssertUnwindSafe(|| for_thread.fetch(&name))).is_err() {
            tracing::error!(feed = name, "the fetch of a feed broke off; its last good list holds");
        }
        for_thread.fetching().ended(&name);
    };
    if let Err(error) = thread::Builder::new().name("feed".into()).spawn(work) {
        tracing::error!(%error, "no thread to fetch a feed with");
        agent.fetching().ended(&feed);
    }
}

impl Agent {
    /// Fetches a feed, judges what comes, and makes it active where it may be.
    fn fetch(&self, name: &str) {
        let intent = self.running().intent.clone();
        let Some(standing) = intent.lists().get(name).cloned() else { return };
        let now = Timestamp::now();
        let feed = &standing.feed;
        let known = standing.copy.clone().unwrap_or_default();
        let previous = self.previous(&standing, &known);
        match fetch::fetch(&feed.source, &known.notes.resume, previous.as_deref(), now) {
            Err(error) => return self.fetch_failed(&standing, &error, now),
            Ok(Fetched::Unchanged { resume }) => {
                let outcome = unchanged(feed, &known, resume, now);
                self.taken(&standing, outcome, now);
            }
            Ok(Fetched::New { parts, resume, modified }) => {
                let content = Content { parts, resume, modified, released: None };
                let outcome = self.judge(&intent, &standing, content, now);
                self.taken(&standing, outcome, now);
            }
        }
        if self.fetching().done(&standing, None, now) {
            tracing::info!(feed = name, "the feed can be had again");
            self.notice(Notice::FeedRecovered, name, "it can be had again".to_owned());
        }
    }

    fn judge(&self, intent: &Intent, standing: &Standing, content: Content, now: Timestamp) -> Outcome {
        let far_ends = if standing.feed.never_block { Vec::new() } else { self.far_ends(intent) };
        let guard = intent.lists().guard();
        let impact = intent.lists().impact();
        let bench = Bench { guard, far_ends: &far_ends, impact, makes_tables: false, now };
        judge(&standing.feed, content, standing.copy.as_deref(), &bench)
    }

    /// The content that the next fetch goes on from; of what is fetched whole it only matters whether there is any.
    fn previous(&self, standing: &Standing, known: &FeedCopy) -> Option<Vec<u8>> {
        let is_whole = match &standing.feed.source.origin {
            Origin::Server(server) => server.protocol == Protocol::Http,
            Origin::Path(_) => true,
        };
        if is_whole {
            let has_any = known.notes.content.is_some() || known.notes.held.is_some();
            return has_any.then(Vec::new);
        }
        let parts = copies::content(self.state(), &standing.feed.name)?;
        parts.into_iter().next().map(|part| part.bytes)
    }

    fn fetch_failed(&self, standing: &Standing, error: &FetchError, now: Timestamp) {
        let name = &standing.feed.name;
        let message = error.to_string();
        let failed_before = self.fetching().done(standing, Some((message.clone(), error.retry_after())), now);
        if !failed_before {
            tracing::warn!(feed = name, "a feed cannot be had, its last good list holds: {message}");
            self.notice(Notice::FeedFailed, name, message.clone());
        }
        self.exchange(|lists| {
            lists.with_failure(name, &message, now).map(|lists| (lists, Vec::new(), false))
        });
    }

    /// Takes what became of a feed's content.
    fn taken(&self, standing: &Standing, outcome: Outcome, now: Timestamp) {
        let name = &standing.feed.name;
        let errors = match self.take(standing, outcome.clone(), now) {
            // What came is judged anew, beside what holds by now.
            Ok(Taken::Outdated) => return self.fetching().ask([name.clone()]),
            Ok(_) => return self.tell_held(name, &outcome.newly_held),
            Err(errors) => errors,
        };
        let reason = errors.join("; ");
        tracing::error!(
            feed = name,
            "a new list of the feed cannot be made active, the last one holds: {reason}"
        );
        let known = standing.copy.clone().unwrap_or_default();
        let held = held(&standing.feed, &known, outcome, vec![Held::NoRoom { reason }], now);
        let newly_held = held.newly_held.clone();
        match self.take(standing, held, now) {
            Ok(_) => self.tell_held(name, &newly_held),
            Err(errors) => {
                tracing::error!(feed = name, errors = errors.join("; "), "that is not kept either")
            }
        }
    }

    /// Says of feeds that have come to wait since `before`.
    pub(super) fn tell_waiting(&self, before: &Intent) {
        let intent = self.running().intent.clone();
        let held = |standing: &Standing| standing.copy.as_ref().and_then(|copy| copy.notes.held.clone());
        for standing in intent.standings() {
            let Some(now) = held(standing) else { continue };
            let earlier = before.lists().get(&standing.feed.name).and_then(held);
            if earlier.is_none_or(|earlier| earlier.content != now.content) {
                self.tell_held(&standing.feed.name, &now.reasons);
            }
        }
    }

    fn tell_held(&self, feed: &str, newly_held: &[Held]) {
        for held in newly_held {
            let note = held.explained(feed);
            tracing::warn!(feed, "a new list of the feed is held: {note}");
            self.notice(Notice::FeedHeld, feed, note);
        }
    }

    /// Makes an outcome what holds, unless the feed is no longer what it was when it was judged.
    fn take(&self, standing: &Standing, outcome: Outcome, now: Timestamp) -> Result<Taken, Errors> {
        let name = &standing.feed.name;
        let files = outcome.files(name, standing.copy.as_deref());
        let copy = Arc::new(outcome.copy);
        self.exchange(|lists| {
            lists.get(name).filter(|current| current.is_as(standing))?;
            let next = match outcome.is_new {
                true => lists.with(name, copy.clone(), now),
                false => lists.with_notes(name, copy.clone(), now),
            };
            Some((next, files.clone(), outcome.is_new))
        })
        .map_or(Ok(Taken::Outdated), |done| done.map(|changed| changed.map_or(Taken::Noted, Taken::Active)))
    }

    /// Lets go what has ended.
    fn let_entries_go(&self, now: Timestamp) {
        if let Some(Err(errors)) = self.exchange(|lists| Some((lists.at(now), Vec::new(), true))) {
            tracing::error!(errors = errors.join("; "), "entries that have ended could not be let go");
        }
    }

    /// Exchanges the lists for others that are made of them: apart from the core, and again where they have changed
    /// meanwhile. Whether rows change says whoever makes them.
    fn exchange(
        &self,
        mut next: impl FnMut(&FeedLists) -> Option<(FeedLists, Vec<copies::File>, bool)>,
    ) -> Option<Result<Option<Changed>, Errors>> {
        loop {
            let before = self.running().intent.lists().clone();
            let (lists, files, is_new) = next(&before)?;
            let lists = Arc::new(lists);
            let done = self.change(|core| {
                let is_current = Arc::ptr_eq(core.lists(), &before);
                is_current.then(|| core.exchange_lists(lists, files, is_new))
            });
            if let Some(done) = done {
                return Some(done);
            }
        }
    }

    /// Lets a list through that waits: what it was when it was judged.
    ///
    /// # Errors
    /// When none waits, it cannot be released, or the tables cannot be written.
    pub fn release(&self, name: &str, note: Option<String>, by: &str) -> Result<Changed, Errors> {
        let intent = self.running().intent.clone();
        let Some(standing) = intent.lists().get(name).cloned() else {
            return Err(vec![format!(
                "no feed `{name}`; `iomt-filter feed list` shows those that there are"
            )]);
        };
        let known = standing.copy.clone().unwrap_or_default();
        let Some(held) = &known.notes.held else {
            return Err(vec![format!(
                "no list of feed `{name}` waits; `iomt-filter feed show {name}` says how it stands"
            )]);
        };
        if let Some(hopeless) = held.reasons.iter().find(|held| !held.can_be_released()) {
            return Err(vec![hopeless.explained(name)]);
        }
        let Some(parts) = copies::content(self.state(), name) else {
            let help = format!("fetch it again: `iomt-filter feed refresh {name}`");
            return Err(vec![format!("the list of feed `{name}` that waited is gone; {help}")]);
        };
        let reasons: Vec<_> = held.reasons.iter().map(ToString::to_string).collect();
        self.audit(Entry {
            who: by.to_owned(),
            what: "feed release".to_owned(),
            about: Some(name.to_owned()),
            before: json!({ "entries": known.list.len(), "content": known.notes.content }),
            after: json!({ "entries": held.entries, "content": held.content, "held": reasons }),
            note,
        })?;
        let now = Timestamp::now();
        let resume = known.notes.resume.clone();
        let content = Content { parts, resume, modified: None, released: Some(by.to_owned()) };
        let outcome = self.judge(&intent, &standing, content, now);
        let entries = outcome.copy.list.len();
        let done = match self.take(&standing, outcome, now) {
            Ok(Taken::Active(changed)) => Ok(changed),
            Ok(Taken::Noted | Taken::Outdated) => {
                Err(vec![format!("feed `{name}` has changed meanwhile; look again, and release it then")])
            }
            Err(errors) => Err(errors),
        };
        let changed = match done {
            Ok(changed) => changed,
            Err(errors) => {
                let what = "feed release failed".to_owned();
                let failed =
                    Entry { who: by.to_owned(), what, about: Some(name.to_owned()), ..Entry::default() };
                self.audit(Entry { after: json!(errors), ..failed })?;
                return Err(errors);
            }
        };
        self.notice(Notice::FeedReleased, name, format!("{by} let a list of {entries} entries through"));
        Ok(changed)
    }

    /// Has feeds fetched now; which.
    ///
    /// # Errors
    /// When there is no such feed, or it is not enabled.
    pub fn refresh(&self, name: Option<&str>) -> Result<Vec<String>, Errors> {
        let intent = self.running().intent.clone();
        let enabled = intent.standings().iter().filter(|standing| standing.feed.enabled);
        let names: Vec<_> = enabled.map(|standing| standing.feed.name.clone()).collect();
        let asked: Vec<_> = names.into_iter().filter(|feed| name.is_none_or(|name| name == feed)).collect();
        if let Some(name) = name.filter(|_| asked.is_empty()) {
            return Err(vec![format!(
                "no feed `{name}` that is enabled; `iomt-filter feed list` shows them"
            )]);
        }
        self.fetching().ask(asked.clone());
        Ok(asked)
    }

    /// Every feed, and the blocks by hand: how they stand, and how fetching them goes.
    pub fn feeds(&self) -> Vec<Value> {
        let (intent, now) = (self.running().intent.clone(), Timestamp::now());
        let shown = |report: &Arc<FeedReport>| {
            let mut shown = serde_json::to_value(&**report).ok()?;
            let progress = self.fetching().of(&report.name);
            let standing = intent.lists().get(&report.name).filter(|standing| standing.feed.enabled);
            let next = standing.map(|standing| progress.next(standing, now));
            let Progress { history, error, is_running, is_asked, .. } = progress;
            let fields = shown.as_object_mut()?;
            fields.insert("attempted".to_owned(), json!(history.attempt));
            fields.insert("failures".to_owned(), json!(history.failures));
            fields.insert("error".to_owned(), json!(error));
            fields.insert("next".to_owned(), json!(next));
            fields.insert("fetching".to_owned(), json!(is_running || is_asked));
            Some(shown)
        };
        intent.feeds.iter().filter_map(shown).collect()
    }

    fn notice(&self, notice: Notice, feed: &str, note: String) {
        let host = self.running().host_name.clone();
        self.history().push(Record::notice(notice, &host, Timestamp::now(), feed, note));
    }

    /// What devices have talked to in the time that counts, what they talk to now included.
    fn far_ends(&self, intent: &Intent) -> Vec<FarEnd> {
        super::far_ends::of(Some(&self.running()), &intent.rows, self.state(), intent.lists().impact())
    }
}
