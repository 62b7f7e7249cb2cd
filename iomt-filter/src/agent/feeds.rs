//! Feeds while the agent runs: each is fetched when it is time, on a thread of its own, and judged and merged there.
//! The core only exchanges what runs, so that no block and no question waits for a server or for a long list.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::core::{Refusal, chain};
use super::{Agent, Errors, far_ends, store};
use crate::api::messages::Changed;
use crate::events::{Notice, Record};
use crate::feeds::fetch::{self, FetchError, Fetched, Origin, Protocol, Resume};
use crate::feeds::gate::Cut;
use crate::feeds::{FarEnd, Held};
use crate::host::HostNetworks;
use crate::intent::copies::{self, FeedCopy, FeedNotes};
use crate::intent::last_good::LastGood;
use crate::intent::lists::{Bench, Content, FeedLists, Outcome, held, incoming, judge, unchanged, way};
use crate::intent::{self, Intent, Standing};

mod asked;
mod fetching;

pub(super) use fetching::{Fetching, refreshed_every};

/// From one look at what is due to the next.
const PACE: Duration = Duration::from_secs(1);
/// From one look at what has ended to the next: all lists are merged for it.
const MINUTE: Duration = Duration::from_secs(60);

/// What became of an outcome.
enum Taken {
    /// Its list is what the kernel judges by.
    Active(Changed),
    /// Other rows were not to be made of it.
    Noted,
    /// It would cut what devices talk to.
    Cuts(Vec<Cut>),
    /// The feed is no longer what it was when its content was judged.
    Outdated,
}

/// Fetches until the process ends.
///
/// # Errors
/// When there is no thread for it.
pub(super) fn start(agent: Arc<Agent>) -> std::io::Result<()> {
    let look = move || {
        let mut last = Instant::now();
        loop {
            let begun = Instant::now();
            if catch_unwind(AssertUnwindSafe(|| look(&agent, &mut last))).is_err() {
                tracing::error!("a look at what feeds are due broke off; the next one is in a second");
            }
            thread::sleep(PACE.saturating_sub(begun.elapsed()));
        }
    };
    thread::Builder::new().name("feeds".into()).spawn(look).map(drop)
}

/// Starts what is due; once a minute, lets go what has ended and looks whether addresses of the host have changed.
fn look(agent: &Arc<Agent>, last: &mut Instant) {
    let now = Timestamp::now();
    let intent = agent.running().intent.clone();
    for feed in agent.fetching().take_due(intent.standings(), now) {
        fetch_apart(agent.clone(), feed);
    }
    if last.elapsed() < MINUTE {
        return;
    }
    *last = Instant::now();
    if intent.lists().next_expiry().is_some_and(|next| next <= now) {
        agent.let_entries_go(now);
    }
    agent.look_at_host(now);
}

fn fetch_apart(agent: Arc<Agent>, feed: String) {
    let name = feed.clone();
    let for_thread = agent.clone();
    let work = move || {
        if catch_unwind(AssertUnwindSafe(|| for_thread.fetch(&name))).is_err() {
            tracing::error!(feed = name, "the fetch of a feed broke off; its last good list holds");
            if let Some(standing) = for_thread.running().intent.lists().get(&name) {
                let error = ("the fetch broke off; see the log of the agent".to_owned(), None);
                for_thread.fetching().done(standing, Some(error), Timestamp::now());
            }
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
        let done = match self.fetched(&intent, &standing, now) {
            Ok(outcome) => self.taken(&standing, outcome, now).map_err(|error| (error, None)),
            Err(error) => Err((error.to_string(), error.retry_after())),
        };
        let failure = done.as_ref().err().map(|(message, _)| message.clone());
        let failed_before = self.fetching().done(&standing, done.err(), now);
        match failure {
            None if failed_before => {
                tracing::info!(feed = name, "the feed can be had again");
                self.notice(Notice::FeedRecovered, name, "it can be had again".to_owned());
            }
            None => {}
            Some(message) => {
                if !failed_before {
                    tracing::warn!(feed = name, "a feed cannot be had, its last good list holds: {message}");
                    self.notice(Notice::FeedFailed, name, message.clone());
                }
                let _ = self.exchange(|lists| Some((lists.with_failure(name, &message, now)?, false)));
            }
        }
    }

    /// What a feed's source says now, judged.
    fn fetched(&self, intent: &Intent, standing: &Standing, now: Timestamp) -> Result<Outcome, FetchError> {
        let feed = &standing.feed;
        if let Some(content) = incoming(self.state(), feed) {
            return Ok(self.judge(intent, standing, content, now));
        }
        let known = standing.copy.clone().unwrap_or_default();
        // Nothing that was found unchanged says how it is to be read now.
        let is_read_alike = known.notes.way.as_ref().is_none_or(|known| *known == way(feed));
        let previous = if is_read_alike { self.previous(standing, &known) } else { None };
        match fetch::fetch(&feed.source, &known.notes.resume, previous.as_deref(), now)? {
            Fetched::Unchanged { resume } => Ok(unchanged(feed, &known, resume, now)),
            Fetched::New { parts, resume, modified } => {
                let content = Content { parts, resume, modified, ..Content::default() };
                Ok(self.judge(intent, standing, content, now))
            }
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

    /// Takes what became of a feed's content.
    fn taken(&self, standing: &Standing, outcome: Outcome, now: Timestamp) -> Result<(), String> {
        let name = &standing.feed.name;
        let newly_held = outcome.newly_held.clone();
        let reason = match self.take(standing, outcome.clone(), now) {
            // What came is judged anew, beside what holds by now.
            Ok(Taken::Outdated) => {
                self.fetching().ask([name.clone()]);
                return Ok(());
            }
            Ok(Taken::Cuts(cuts)) => {
                let total = cuts.len();
                Held::impact(cuts, total, self.running().intent.lists().impact())
            }
            Ok(_) => {
                self.tell_held(name, &newly_held);
                return Ok(());
            }
            Err(Refusal::NoRoom(reason)) => Held::NoRoom { reason },
            Err(Refusal::Failed(errors)) => {
                return Err(format!("its new list cannot be made active: {}", errors.join("; ")));
            }
        };
        let known = standing.copy.clone().unwrap_or_default();
        let held = held(&standing.feed, &known, outcome, vec![reason], now);
        let newly_held = held.newly_held.clone();
        let taken = self.take(standing, held, now);
        taken.map_err(|refusal| {
            format!("a list that waits is not kept: {}", Errors::from(refusal).join("; "))
        })?;
        self.tell_held(name, &newly_held);
        Ok(())
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
    fn take(&self, standing: &Standing, mut outcome: Outcome, now: Timestamp) -> Result<Taken, Refusal> {
        let name = &standing.feed.name;
        let files = outcome.files(name, standing.copy.as_deref());
        let copy = Arc::new(outcome.copy);
        let mut cuts = Vec::new();
        let exchanged = self.exchange(|lists| {
            lists.get(name).filter(|current| current.is_as(standing))?;
            if !outcome.is_new {
                return Some((lists.with_notes(name, copy.clone(), now), false));
            }
            let next = lists.with(name, copy.clone(), now);
            if standing.feed.never_block {
                // What it no longer spares, others may list.
                cuts = self.cuts(&next);
            }
            cuts.is_empty().then_some((next, true))
        })?;
        if !cuts.is_empty() {
            return Ok(Taken::Cuts(cuts));
        }
        let Some(changed) = exchanged else { return Ok(Taken::Outdated) };
        self.keep(name, &copy, files);
        Ok(changed.map_or(Taken::Noted, Taken::Active))
    }

    /// What devices talk to that other lists would cut.
    fn cuts(&self, lists: &FeedLists) -> Vec<Cut> {
        let intent = self.running().intent.clone();
        let mut rows = intent.rows.clone();
        rows.listings = lists.listings();
        far_ends::cut(&intent.rows, &rows, &self.far_ends(&intent))
    }

    /// Keeps the files of a feed, unless it has other ones by now. What cannot be kept is fetched anew.
    fn keep(&self, name: &str, copy: &Arc<FeedCopy>, files: Vec<copies::File>) {
        let unkept = {
            let _one_at_a_time = self.fetching().keeping.lock().unwrap_or_else(PoisonError::into_inner);
            let lists = self.running().intent.lists().clone();
            let current = lists.get(name).and_then(|standing| standing.copy.as_ref());
            if !current.is_some_and(|current| Arc::ptr_eq(current, copy)) {
                return;
            }
            store::keep(self.state(), &LastGood { read: files, wanted: lists.wanted() })
        };
        if unkept.is_empty() {
            return;
        }
        for error in unkept {
            let error = chain(&error);
            tracing::error!(feed = name, error, "the list of a feed is not kept, and is fetched anew");
        }
        let notes = FeedNotes { resume: Resume::default(), ..copy.notes.clone() };
        let anew = Arc::new(FeedCopy { list: copy.list.clone(), notes });
        let _ = self.exchange(|lists| {
            let is_current = lists.get(name)?.copy.as_ref().is_some_and(|current| Arc::ptr_eq(current, copy));
            is_current.then(|| (lists.with_notes(name, anew.clone(), Timestamp::now()), false))
        });
    }

    /// Looks whether the host has other addresses by now, which no list may block.
    fn look_at_host(&self, now: Timestamp) {
        let Ok(host) = HostNetworks::read() else { return };
        loop {
            let running = self.running();
            if running.host == host {
                return;
            }
            let (intent, config) = (&running.intent, &running.config);
            let ranges = intent::lists::guarded(config, &host, &intent.segments, &intent.rows);
            let before = intent.lists().clone();
            let lists = Arc::new(before.beside(ranges, now));
            let moved = self
                .change(|core| Arc::ptr_eq(core.lists(), &before).then(|| core.move_to(host.clone(), lists)));
            match moved {
                Some(Ok(())) => return tracing::info!("the host has other addresses: no list blocks them"),
                Some(Err(refusal)) => {
                    return tracing::error!(
                        "lists cannot be made to spare the host's new addresses: {refusal:?}"
                    );
                }
                None => {}
            }
        }
    }

    /// Lets go what has ended.
    fn let_entries_go(&self, now: Timestamp) {
        if let Err(refusal) = self.exchange(|lists| Some((lists.at(now), true))) {
            tracing::error!("entries that have ended could not be let go: {refusal:?}");
        }
    }

    /// Exchanges the lists for others that are made of them: apart from the core, and again where they have changed
    /// meanwhile. Whether rows change says whoever makes them; nothing where there are to be none.
    fn exchange(
        &self,
        mut next: impl FnMut(&FeedLists) -> Option<(FeedLists, bool)>,
    ) -> Result<Option<Option<Changed>>, Refusal> {
        loop {
            let before = self.running().intent.lists().clone();
            let Some((lists, is_new)) = next(&before) else { return Ok(None) };
            let lists = Arc::new(lists);
            let done = self.change(|core| {
                let is_current = Arc::ptr_eq(core.lists(), &before);
                is_current.then(|| core.exchange_lists(lists, is_new))
            });
            if let Some(done) = done {
                return done.map(Some);
            }
        }
    }

    fn notice(&self, notice: Notice, feed: &str, note: String) {
        let host = self.running().host_name.clone();
        self.history().push([Record::notice(notice, &host, Timestamp::now(), feed, note)]);
    }

    /// What devices have talked to in the time that counts, what they talk to now included.
    fn far_ends(&self, intent: &Intent) -> Vec<FarEnd> {
        let flows = far_ends::flows(&self.running());
        far_ends::of(&flows, &intent.rows, self.state(), intent.lists().impact())
    }
}
