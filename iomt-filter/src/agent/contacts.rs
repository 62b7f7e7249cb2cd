//! Keeps who talked to whom: reads the kernel's flow table twice a minute, on a thread of its own, and adds what is
//! new to the database.
//!
//! It takes the last picture of what runs along, and waits for no change; nobody waits for it. A database that is
//! damaged, full, or of a newer version never stops the agent: it is told, in the log and in `status`.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use iomt_filter_common::watch::Watched;
use jiff::Timestamp;

use super::Agent;
use super::core::chain;
use super::running::Running;
use crate::api::messages::ContactsStatus;
use crate::clock::{BootTime, boottime, time_of_day};
use crate::contacts::{Bounds, Contacts, Reading, Seen};
use crate::database::DatabaseError;

/// The database, in the state folder.
pub const CONTACTS: &str = "history.db";

/// From one reading to the next. A flow lingers in the table after its last packet, so that one that is shorter
/// than this is seen as well, unless its place was needed meanwhile.
const PACE: Duration = Duration::from_secs(30);
/// From one look at what is too old to the next.
const RETAINED_EVERY: Duration = Duration::from_secs(600);
/// A packet of this long before a reading may be written into a place that was read already.
const OVERLAP: u64 = 1_000_000_000;

/// How it stands, for those who ask.
#[derive(Debug)]
pub(super) struct Standing(Mutex<ContactsStatus>);

impl Standing {
    pub(super) fn new(state: &Path) -> Self {
        let path = state.join(CONTACTS).display().to_string();
        Self(Mutex::new(ContactsStatus { path, ..ContactsStatus::default() }))
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
    let mut keeper = Keeper { path: state.join(CONTACTS), bounds, from, open: None };
    let work = move || {
        loop {
            let begun = Instant::now();
            let kept = catch_unwind(AssertUnwindSafe(|| keeper.read(&agent.running(), &agent.contacts)));
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
    path: PathBuf,
    bounds: Bounds,
    from: u64,
    open: Option<Open>,
}

struct Open {
    contacts: Contacts,
    last: Reading,
    retained: Option<Instant>,
}

impl Keeper {
    /// Reads once, and keeps it. What is damaged is moved aside, and read anew with the next reading.
    fn read(&mut self, running: &Running, standing: &Standing) -> Result<(), DatabaseError> {
        let now = Timestamp::now();
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                let (contacts, aside) = Contacts::open_or_begin(&self.path, now)?;
                self.opened(contacts, aside, standing)?
            }
        };
        match open.read(running, &self.bounds, self.from) {
            Ok(kept) => {
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
                let (contacts, aside) = Contacts::begin_anew(&self.path, &why, now)?;
                self.open = Some(self.opened(contacts, Some(aside), standing)?);
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
    ) -> Result<Open, DatabaseError> {
        if let Some(aside) = aside {
            standing.change(|status| status.moved_aside = Some(aside.display().to_string()));
        }
        contacts.limit(&self.bounds)?;
        let last = contacts.begin(BootTime::now().boot)?;
        Ok(Open { contacts, last, retained: None })
    }
}

impl Open {
    /// How many contacts there are, where they were counted.
    fn read(&mut self, running: &Running, bounds: &Bounds, from: u64) -> Result<Option<u64>, DatabaseError> {
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
        let recorded = self.contacts.record(&seen, reading);
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
}
