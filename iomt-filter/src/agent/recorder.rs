//! Drains the program's records on a timer, names what is in them, and adds them to the history.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use iomt_filter_common::event::Event;
use iomt_filter_common::pod::Pod as _;

use super::history::History;
use crate::events::{Context, decode};

/// The program submits records without waking anybody; this is how long one waits at most.
const PAUSE: Duration = Duration::from_millis(2);
/// Generations whose names are kept for records that are still on their way.
const GENERATIONS: usize = 16;

/// The names that belong to each recent generation.
#[derive(Debug, Default)]
pub struct Book {
    names: Mutex<BTreeMap<u32, Arc<Context>>>,
}

impl Book {
    /// Notes what numbers mean in `generation`.
    pub(crate) fn write(&self, generation: u32, context: Context) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(generation, Arc::new(context));
        while names.len() > GENERATIONS {
            names.pop_first();
        }
    }

    /// What numbers mean in `generation`; the nearest one where that is not known.
    pub(crate) fn read(&self, generation: u32) -> Option<Arc<Context>> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let exact = names.get(&generation);
        exact.or_else(|| names.values().next_back()).cloned()
    }
}

/// Drains records until the process ends.
pub(crate) fn start(mut events: RingBuf<MapData>, book: Arc<Book>, history: Arc<History>) {
    let drain = move || {
        loop {
            while let Some(record) = events.next() {
                let Some(event) = Event::from_bytes(&record) else { continue };
                if let Some(context) = book.read(event.decision.generation) {
                    history.push(decode(&event, &context));
                }
            }
            thread::sleep(PAUSE);
        }
    };
    if let Err(error) = thread::Builder::new().name("recorder".into()).spawn(drain) {
        tracing::error!(%error, "no thread to read events with: none will be shown");
    }
}
