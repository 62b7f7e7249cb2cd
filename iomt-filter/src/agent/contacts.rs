//! Keeps who talked to whom: reads the kernel's flow table twice a minute, on a thread of its own, and adds what is
//! new to the database. What devices never did before becomes an event.
//!
//! It takes the last picture of what runs along, and waits for no change; nobody waits for it. A database that is
//! damaged, full, or of a newer version never stops the agent: it is told, in the log and in `status`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use iomt_filter_common::Address;
use iomt_filter_common::watch::Watched;
use jiff::Timestamp;

use super::Agent;
use super::archiving::ARCHIVE;
use super::core::chain;
use super::history::History;
use super::running::Running;
use crate::api::messages::ContactsStatus;
use crate::archive::{Archive, Attempt, Search};
use crate::clock::{BootTime, boottime, time_of_day};
use crate::contacts::{Bounds, Compared, Contacts, Reading, Seen};
use crate::database::DatabaseError;
use crate::events::{Record, What};
use crate::geo::CountryDatabase;

/// The database, in the state folder.
pub const CONTACTS: &str = "history.db";

/// From one reading to the next. A flow lingers in the table after its last packet, so that one that is shorter
/// than this is seen as well, unless its place was needed meanwhile.
const PACE: Duration = Duration::from_secs(30);
/// From one look at what is too old to the next.
const RETAINED_EVERY: Duration = Duration::from_secs(600);
/// A packet of this long before a reading may be written into a place that was read already.
const OVERLAP: u64 = 1_000_000_000;

/// Between two readings no more than this counts as watched, in seconds.
const LONGEST_WATCH: u64 = 300;
/// Events of the archive that are looked at with one reading, and how far behind them one may be.
const EVENTS_AT_ONCE: u32 = 100_000;
const MOST_BEHIND: i64 = 1_000_000;
/// Events of one moment that are looked at.
const SAME_TIME: usize = 10_000;

/// How it stands, for those who ask.
#[derive(Debug)]
pub(super) struct Standing(Mutex<ContactsStatus>);

impl Standing {
    pub(super) fn new(state: &Path) -> Self {
        let path = state.join(CONTACTS).display().to_string();
        let drifts = What::ALL.iter().map(|what| (what.name().to_owned(), 0)).collect();
        Self(Mutex::new(ContactsStatus { path, drifts, ..ContactsStatus::default() }))
    }

    pub(super) fn read(&self) -> ContactsStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut ContactsStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Keeps contacts until the process ends; flows that were quiet since `from` (nanoseconds since boot) are left out.
///
/// # Errors
/// When there is no thread for it.
pub(super) fn start(agent: Arc<Agent>, state: &Path, bounds: Bounds, from: u64) -> std::io::Result<()> {
    let mut keeper = Keeper { state: state.to_owned(), bounds, from, open: None };
    let work = move || {
        loop {
            let begun = Instant::now();
            let kept = catch_unwind(AssertUnwindSafe(|| {
                keeper.read(&agent.running(), agent.history(), &agent.contacts)
            }));
            let error = match kept {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(chain(&error)),
                Err(_) => Some("a reading of the flow table broke off".to_owned()),
            };
            tell(&agent.contacts, error);
            thread::sleep(PACE.saturating_sub(begun.elapsed()));
        }
    };
    thread::Builder::new().name("contacts".into()).spawn(work).map(drop)
}

/// Says what is wrong, once.
fn tell(standing: &Standing, error: Option<String>) {
    let before = standing.read().error;
    if let Some(error) = error.as_ref().filter(|error| Some(*error) != before.as_ref()) {
        tracing::warn!(error, "who talked to whom is not kept at the moment; what is judged does not change");
    }
    if error.is_none() && before.is_some() {
        tracing::info!("who talked to whom is kept again");
    }
    standing.change(|status| status.error = error);
}

struct Keeper {
    state: PathBuf,
    bounds: Bounds,
    from: u64,
    open: Option<Open>,
}

struct Open {
    contacts: Contacts,
    last: Reading,
    retained: Option<Instant>,
    /// The number of the last deviation that was told.
    told: i64,
    /// And of the last that the archive has by now: a crash loses it no more.
    settled: i64,
}

impl Keeper {
    /// Reads once, and keeps it. What is damaged is moved aside, and read anew with the next reading.
    fn read(
        &mut self,
        running: &Running,
        history: &History,
        standing: &Standing,
    ) -> Result<(), DatabaseError> {
        let now = Timestamp::now();
        let path = self.state.join(CONTACTS);
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                let (contacts, aside) = Contacts::open_or_begin(&path, now)?;
                self.opened(contacts, aside, standing, history)?
            }
        };
        match open.read(running, &self.bounds, self.from, &self.state) {
            Ok(kept) => {
                open.tell(history, standing)?;
                standing.change(|status| {
                    status.contacts = kept.or(status.contacts);
                    status.read = Some(now);
                    status.missed = running.readings.unwatched();
                });
                self.open = Some(open);
                Ok(())
            }
            Err(DatabaseError::Damaged { why, .. }) => {
                drop(open);
                let (contacts, aside) = Contacts::begin_anew(&path, &why, now)?;
                self.open = Some(self.opened(contacts, Some(aside), standing, history)?);
                Ok(())
            }
            Err(error) => {
                self.open = Some(open);
                Err(error)
            }
        }
    }

    fn opened(
        &self,
        contacts: Contacts,
        aside: Option<PathBuf>,
        standing: &Standing,
        history: &History,
    ) -> Result<Open, DatabaseError> {
        if let Some(aside) = aside {
            standing.change(|status| status.moved_aside = Some(aside.display().to_string()));
        }
        contacts.limit(&self.bounds)?;
        let last = contacts.begin(BootTime::now().boot)?;
        let mut open = Open { contacts, last, retained: None, told: 0, settled: 0 };
        // Those that an agent before this one has told, and had no time to note.
        for (number, record) in open.contacts.untold(0)? {
            if is_kept(&self.state, &record) {
                (open.told, open.settled) = (number, number);
            }
        }
        open.tell(history, standing)?;
        Ok(open)
    }
}

impl Open {
    /// How many contacts there are, where they were counted.
    fn read(
        &mut self,
        running: &Running,
        bounds: &Bounds,
        from: u64,
        state: &Path,
    ) -> Result<Option<u64>, DatabaseError> {
        self.contacts.told(self.settled)?;
        // Until the next reading.
        self.settled = self.told;
        let (attempts, event) = self.attempts(state);
        let begun = boottime();
        let numbers = running.numbers.devices.iter();
        let names: HashMap<u32, Arc<str>> =
            numbers.map(|(name, &number)| (number, name.as_str().into())).collect();
        let flows = running.readings.flows_since(self.last.until.max(from));
        let name = |number| names.get(&number).cloned();
        let mut seen: Vec<_> =
            flows.iter().flat_map(|(key, flow)| Seen::of(key, flow, name, time_of_day)).collect();
        drop(flows);
        let watched = running.readings.watched();
        let is_new = |watched: &Watched| watched.last_seen >= self.last.until.max(from);
        let new = watched.iter().filter(|(_, watched)| is_new(watched));
        seen.extend(new.flat_map(|(key, watched)| Seen::of_watched(key, watched, name, time_of_day)));
        let reading = Reading { until: begun.saturating_sub(OVERLAP), ..self.last };
        let watched_for = WatchedFor::between(self.last, reading);
        let known = Known::of(running);
        let compared = Compared {
            now: Timestamp::now(),
            elapsed: watched_for.seconds,
            is_late: watched_for.is_late,
            after: running.config.learn.baseline_after.as_secs(),
            host: &running.host_name,
            country: &|address| known.country(address),
            profile: &|device| known.profile(device),
            rule: &|rule| running.intent.rows.names.rules.get(&rule).cloned(),
            attempts: &attempts,
            event,
        };
        let recorded = self.contacts.compare(&seen, reading, &compared);
        let is_due = self.retained.is_none_or(|at| at.elapsed() >= RETAINED_EVERY);
        // Where the database has its largest size, room is made at once.
        if is_due || matches!(recorded, Err(DatabaseError::Full { .. })) {
            self.contacts.retain(bounds, Timestamp::now(), begun)?;
            self.retained = Some(Instant::now());
        }
        recorded?;
        running.readings.let_go_of_watched(&watched, begun);
        self.last = reading;
        if is_due { self.contacts.count().map(Some) } else { Ok(None) }
    }

    /// What devices tried and was stopped since the last reading, and up to which event; nothing where the archive
    /// cannot be read now.
    fn attempts(&self, state: &Path) -> (Vec<Attempt>, Option<i64>) {
        let read = || -> Result<_, DatabaseError> {
            let path = state.join(ARCHIVE);
            if !path.exists() {
                return Ok((Vec::new(), None));
            }
            let archive = Archive::open_to_read(&path)?;
            let last = archive.last_number()?;
            let Some(event) = self.contacts.read_event()? else { return Ok((Vec::new(), Some(last))) };
            // An archive that was begun anew counts from its beginning.
            let from = if last < event { 0 } else { event.max(last.saturating_sub(MOST_BEHIND)) };
            let (attempts, event) = archive.attempts(from, EVENTS_AT_ONCE)?;
            Ok((attempts, Some(event)))
        };
        read().unwrap_or_else(|error| {
            tracing::debug!(error = chain(&error), "what was stopped is compared with the next reading");
            (Vec::new(), None)
        })
    }

    /// Makes events of what is to be told.
    fn tell(&mut self, history: &History, standing: &Standing) -> Result<(), DatabaseError> {
        let untold = self.contacts.untold(self.told)?;
        let Some((last, _)) = untold.last() else { return Ok(()) };
        self.told = *last;
        standing.change(|status| {
            for drift in untold.iter().filter_map(|(_, record)| record.drift.as_ref()) {
                *status.drifts.entry(drift.what.name().to_owned()).or_default() += 1;
            }
        });
        history.push(untold.into_iter().map(|(_, record)| record));
        Ok(())
    }
}

/// Whether the archive has a deviation already.
fn is_kept(state: &Path, record: &Record) -> bool {
    let search = Search {
        since: record.time,
        until: record.time,
        device: record.device.clone(),
        reason: Some(record.reason.to_string()),
        ..Search::default()
    };
    let number = |record: &Record| record.drift.as_ref().map(|drift| drift.number);
    let path = state.join(ARCHIVE);
    let found = Archive::open_to_read(&path).and_then(|archive| archive.page(&search, None, SAME_TIME));
    found.is_ok_and(|found| found.iter().any(|(_, kept)| number(kept) == number(record)))
}

/// How long was watched from one reading to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WatchedFor {
    seconds: u64,
    is_late: bool,
}

impl WatchedFor {
    /// Whole seconds of both, so that nothing of one is left out; time without an agent is not watched.
    fn between(last: Reading, next: Reading) -> Self {
        let second = |reading: Reading| reading.until / 1_000_000_000;
        let passed = second(next).saturating_sub(second(last));
        let is_first = last.until == 0;
        Self {
            seconds: if is_first { 0 } else { passed.min(LONGEST_WATCH) },
            is_late: is_first || passed > LONGEST_WATCH,
        }
    }
}

/// What runs, as far as deviations are told by it.
struct Known<'r> {
    profiles: HashMap<&'r str, &'r str>,
    countries: Option<&'r CountryDatabase>,
}

impl<'r> Known<'r> {
    fn of(running: &'r Running) -> Self {
        let rows = &running.intent.rows;
        let profiles = rows.devices.iter().filter_map(|(number, device)| {
            let profile = rows.names.profiles.get(&device.profile)?;
            Some((rows.names.devices.get(number)?.as_str(), profile.as_str()))
        });
        Self { profiles: profiles.collect(), countries: running.intent.countries.as_deref() }
    }

    fn country(&self, address: IpAddr) -> Option<[u8; 2]> {
        Address::from(address).has_country().then(|| self.countries?.country(address)).flatten()
    }

    fn profile(&self, device: &str) -> Option<String> {
        self.profiles.get(device).map(|profile| (*profile).to_owned())
    }
}
