//! Keeps events in the archive, on a thread of its own, and reads them for those who ask.
//!
//! The thread takes events as sinks do: nobody waits for it, and what it is too late for is counted. An archive that
//! is damaged, full, or of a newer version never stops the agent: it is told, in the log and in `status`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use thiserror::Error;

use super::core::chain;
use super::emitting::emissions;
use super::history::{AT_ONCE, History, REMEMBERED, Taken, Taker};
use crate::api::messages::{ArchiveStatus, EventQuery};
use crate::archive::{Archive, Bounds, Position, Search};
use crate::database::DatabaseError;
use crate::events::Record;
use crate::privileges;

/// The database, in the state folder.
pub const ARCHIVE: &str = "events.db";

/// From one look at what is to be let go to the next, where nothing happens.
const IDLE: Duration = Duration::from_secs(5);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(2);
/// From one time that events are counted to the next.
const COUNTED_EVERY: Duration = Duration::from_secs(10);
/// How long one event waits for others to be written with.
const GATHERED: Duration = Duration::from_millis(100);
/// How long the end waits for what is still to be written.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long whoever asks waits for the archive while it is opened.
const OPENED_WITHIN: Duration = Duration::from_secs(5);
/// Events that are read at once.
const PAGE: usize = 1_000;

/// The archive, and how it stands.
pub(super) struct Archiving {
    path: PathBuf,
    taker: Taker,
    standing: Arc<Standing>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Standing(Mutex<State>);

#[derive(Clone, Debug, Default)]
struct State {
    /// What a number of the history is in the archive, as the difference; nothing until it is open.
    offset: Option<i64>,
    events: Option<u64>,
    bytes: u64,
    error: Option<String>,
    moved_aside: Option<PathBuf>,
}

impl Archiving {
    /// Keeps every event from here on, until there will be no more.
    pub(super) fn start(state: &Path, bounds: Bounds, history: &Arc<History>) -> Self {
        let taker = history.join(REMEMBERED, true);
        let (path, standing) = (state.join(ARCHIVE), Arc::new(Standing::default()));
        let mut keeper = Keeper {
            path: path.clone(),
            bounds,
            history: history.clone(),
            taker,
            standing: standing.clone(),
            open: None,
            is_behind: false,
            is_trimmed: true,
            counted: None,
            damage: None,
        };
        let spawned = thread::Builder::new().name("archive".into()).spawn(move || {
            privileges::give_up_here();
            keeper.run();
        });
        if let Err(error) = &spawned {
            tracing::error!(%error, "no thread to keep events with: none will be kept");
            standing.change(|state| state.error = Some(format!("there is no thread for it: {error}")));
        }
        Self { path, taker, standing, thread: Mutex::new(spawned.ok()) }
    }

    /// How it stands.
    pub(super) fn status(&self, history: &History) -> ArchiveStatus {
        let State { events, bytes, error, moved_aside, .. } = self.standing.read();
        ArchiveStatus {
            path: self.path.display().to_string(),
            kept: events,
            bytes,
            error,
            moved_aside: moved_aside.map(|path| path.display().to_string()),
            events: emissions(history, self.taker),
        }
    }

    /// Waits for what is still to be written, not for long.
    pub(super) fn finish(&self) {
        let until = Instant::now() + FAREWELL;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        while thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What the archive has for a query, of what came before the event that is number `first` of the history; `left`
    /// at most.
    pub(super) fn past(&self, query: &EventQuery, first: u64, left: Option<usize>) -> Past {
        Past {
            path: self.path.clone(),
            standing: self.standing.clone(),
            query: query.clone(),
            first: i64::try_from(first).unwrap_or(i64::MAX),
            left,
            begun: None,
        }
    }
}

/// Events of the past, page by page.
#[derive(Debug)]
pub(crate) struct Past {
    path: PathBuf,
    standing: Arc<Standing>,
    query: EventQuery,
    /// The number of the first event in the history that does not belong to them.
    first: i64,
    /// How many are asked for.
    left: Option<usize>,
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    archive: Archive,
    search: Search,
    from: Option<(Position, bool)>,
}

/// Why events of the past cannot be read.
#[derive(Debug, Error)]
pub(crate) enum PastError {
    /// The archive is not open.
    #[error("events are not kept at the moment: {0}")]
    NotKept(String),
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Past {
    /// The next ones, oldest first, and whether there are more. Reads the database; waits for it while it is opened.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn page(&mut self) -> Result<(Vec<Arc<Record>>, bool), PastError> {
        if self.left == Some(0) {
            return Ok((Vec::new(), false));
        }
        let begun = match self.begun.take() {
            Some(begun) => begun,
            None => self.begin()?,
        };
        let Begun { archive, search, from } = self.begun.insert(begun);
        let page = archive.page(search, *from, PAGE)?;
        if let Some((last, _)) = page.last() {
            *from = Some((*last, true));
        }
        let is_more = page.len() == PAGE;
        Ok((page.into_iter().map(|(_, record)| Arc::new(record)).collect(), is_more))
    }

    fn begin(&self) -> Result<Begun, PastError> {
        let below = Some(self.first.saturating_add(self.standing.offset()?));
        let EventQuery { since, until, device, reason, peer, .. } = self.query.clone();
        let search = Search { since, until, device, reason, peer, below };
        let archive = Archive::open_to_read(&self.path)?;
        let begin = self.left.map_or(Ok(None), |most| archive.begin_of_latest(&search, most))?;
        Ok(Begun { archive, search, from: begin.map(|begin| (begin, false)) })
    }
}

impl Standing {
    fn read(&self) -> State {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a number of the history is in the archive, as the difference, as soon as it is open.
    fn offset(&self) -> Result<i64, PastError> {
        let until = Instant::now() + OPENED_WITHIN;
        loop {
            let State { offset, error, .. } = self.read();
            match (offset, error) {
                (Some(offset), _) => return Ok(offset),
                (None, Some(error)) => return Err(PastError::NotKept(error)),
                (None, None) if Instant::now() > until => {
                    return Err(PastError::NotKept("the archive is still being opened".into()));
                }
                (None, None) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

struct Keeper {
    path: PathBuf,
    bounds: Bounds,
    history: Arc<History>,
    taker: Taker,
    standing: Arc<Standing>,
    open: Option<Archive>,
    /// Whether there was more than was taken at once.
    is_behind: bool,
    /// Whether nothing more was to be let go.
    is_trimmed: bool,
    counted: Option<Instant>,
    /// What is wrong with the one that is there, where a new one is to be begun.
    damage: Option<String>,
}

impl Keeper {
    fn run(&mut self) {
        let mut taken = None;
        loop {
            let kept = catch_unwind(AssertUnwindSafe(|| self.keep(&mut taken)));
            let error = match kept {
                Ok(Ok(true)) => None,
                Ok(Ok(false)) => return,
                Ok(Err(error)) => {
                    if let DatabaseError::Damaged { why, .. } = &error {
                        self.open = None;
                        self.damage = Some(why.clone());
                    }
                    Some(chain(&error))
                }
                Err(_) => {
                    self.open = None;
                    Some("what keeps events broke off".to_owned())
                }
            };
            let is_failed = error.is_some();
            self.tell(error);
            if is_failed {
                if self.history.has_ended() {
                    return;
                }
                self.history.pause(PAUSE);
            }
        }
    }

    /// Keeps the next events, those first that could not be kept before; `false` where there will be no more.
    fn keep(&mut self, taken: &mut Option<Taken>) -> Result<bool, DatabaseError> {
        let archive = match self.open.take() {
            Some(archive) => archive,
            None => self.begin()?,
        };
        let archive = self.open.insert(archive);
        let next = match taken {
            Some(next) => next,
            None => {
                if !self.is_behind {
                    // Many at once cost hardly more than one.
                    self.history.pause(GATHERED);
                }
                let patience = if self.is_trimmed { IDLE } else { Duration::ZERO };
                let Some(next) = self.history.take(self.taker, patience) else { return Ok(false) };
                self.is_behind = next.records.len() == AT_ONCE;
                taken.insert(next)
            }
        };
        if !next.records.is_empty() {
            let offset = self.standing.read().offset.unwrap_or(1);
            let first = i64::try_from(next.first).unwrap_or(i64::MAX).saturating_add(offset);
            match archive.add(first, &next.records) {
                Err(DatabaseError::Full { path }) => {
                    // Where it is its own bound that it has come to, there is room again now.
                    let (gone, _) = archive.retain(&self.bounds, Timestamp::now())?;
                    return if gone > 0 { Ok(true) } else { Err(DatabaseError::Full { path }) };
                }
                added => added?,
            }
            self.history.emitted(self.taker, &next.records);
        }
        *taken = None;
        self.is_trimmed = archive.retain(&self.bounds, Timestamp::now())?.1;
        if self.counted.is_none_or(|at| at.elapsed() >= COUNTED_EVERY) {
            self.counted = Some(Instant::now());
            let (events, bytes) = (archive.count()?, archive.size()?);
            self.standing.change(|state| (state.events, state.bytes) = (Some(events), bytes));
        }
        Ok(true)
    }

    /// Opens the archive, and begins a new one where it is damaged; the next event of the history goes behind the last
    /// one in it.
    fn begin(&mut self) -> Result<Archive, DatabaseError> {
        let now = Timestamp::now();
        let (archive, aside) = match &self.damage {
            Some(why) => {
                Archive::begin_anew(&self.path, why, now).map(|(archive, aside)| (archive, Some(aside)))?
            }
            None => Archive::open_or_begin(&self.path, now)?,
        };
        self.damage = None;
        archive.limit(&self.bounds)?;
        let next = archive.next()?;
        self.standing.change(|state| {
            state.moved_aside = aside.or(state.moved_aside.take());
            state.offset = Some(state.offset.unwrap_or(next));
        });
        Ok(archive)
    }

    /// Says what is wrong, once.
    fn tell(&self, error: Option<String>) {
        let before = self.standing.change(|state| std::mem::replace(&mut state.error, error.clone()));
        match (&error, &before) {
            (Some(error), before) if before.as_ref() != Some(error) => {
                tracing::warn!(error, "events are not kept at the moment; what is judged does not change");
            }
            (None, Some(_)) => tracing::info!("events are kept again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::history::Next;

    const BOUNDS: Bounds = Bounds { age: Duration::from_secs(1 << 40), bytes: 1 << 30 };

    fn records(numbers: std::ops::Range<u32>) -> impl Iterator<Item = Record> {
        let time = |number: u32| Timestamp::from_microsecond(1_000_000 + i64::from(number)).ok();
        numbers.map(move |length| Record {
            time: time(length),
            verdict: "drop".into(),
            device: Some(if length.is_multiple_of(3) { "ct-1".into() } else { "pump-1".into() }),
            length,
            ..Record::default()
        })
    }

    /// All that a query finds, of the archive and of what is remembered, as `/v1/events` puts it together.
    fn found(archiving: &Archiving, history: &History, query: &EventQuery) -> Vec<u32> {
        let latest = history.read(query);
        let left = query.limit.map(|limit| limit.saturating_sub(latest.records.len()));
        let mut found = Vec::new();
        let (mut past, mut is_more) = (archiving.past(query, latest.first, left), true);
        while is_more {
            let page;
            (page, is_more) = past.page().unwrap();
            found.extend(page.iter().map(|record| record.length));
        }
        found.extend(latest.records.iter().map(|record| record.length));
        found
    }

    fn wait_until(mut is_so: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < until);
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[tokio::test]
    async fn archive_memory_and_what_comes_join_without_a_gap_or_a_double() {
        let folder = tempfile::tempdir().unwrap();
        let mut pushed = 0;
        for begun in 0..2 {
            let history = Arc::new(History::default());
            let archiving = Archiving::start(folder.path(), BOUNDS, &history);
            let before = pushed;
            while pushed < before + 3 * REMEMBERED as u32 {
                history.push(records(pushed..pushed + 500));
                pushed += 500;
                // As fast as it can be kept.
                wait_until(|| history.account(archiving.taker).waiting.sum() < 10_000);
                if pushed % 10_000 == 0 {
                    let all = found(&archiving, &history, &EventQuery::default());
                    assert!(all.iter().copied().eq(0..pushed), "{begun}: {} of {pushed}", all.len());
                    for limit in [0, 1, 30_000] {
                        let query = EventQuery { limit: Some(limit), ..EventQuery::default() };
                        let latest = pushed.saturating_sub(limit as u32)..pushed;
                        assert!(found(&archiving, &history, &query).into_iter().eq(latest));
                    }
                }
            }
            let query = EventQuery { device: Some("ct-1".into()), ..EventQuery::default() };
            assert!(found(&archiving, &history, &query).into_iter().eq((0..pushed).step_by(3)));
            let mut follower = history.read(&query).follower;
            history.push(records(pushed..pushed + 9));
            let next = follower.next(&history).await;
            assert!(matches!(next, Some(Next::Events(events)) if events.len() == 3));
            pushed += 9;
            history.end();
            history.ended();
            archiving.finish();
            let status = archiving.status(&history);
            assert_eq!(status.events.lost.values().sum::<u64>(), 0);
            assert_eq!(status.events.emitted["drop"], u64::from(pushed - before));
        }
    }

    #[test]
    fn an_archive_that_cannot_be_kept_is_told_and_loses_no_more_than_it_must() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(ARCHIVE)).unwrap();
        let history = Arc::new(History::default());
        let archiving = Archiving::start(folder.path(), BOUNDS, &history);
        let all = REMEMBERED as u32 + 5;
        history.push(records(0..all));
        wait_until(|| archiving.status(&history).error.is_some());
        std::fs::remove_dir(folder.path().join(ARCHIVE)).unwrap();
        wait_until(|| history.account(archiving.taker).waiting.sum() == 0);
        wait_until(|| archiving.status(&history).error.is_none());
        let status = archiving.status(&history);
        assert_eq!((status.events.emitted["drop"], status.events.lost["drop"]), (u64::from(all) - 5, 5));
        history.ended();
        archiving.finish();
    }
}
