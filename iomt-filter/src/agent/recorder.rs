//! Drains the program's records on a timer, names what is in them, and adds them to the history.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use aya_log::EbpfLogger;
use iomt_filter_common::event::Event;
use iomt_filter_common::pod::Pod as _;
use log::Log;

use super::history::{AT_ONCE, History};
use crate::clock::time_base;
use crate::datapath::Attachment;
use crate::events::{EnrichContext, Expected, Record, decode, expectations};
use crate::geo::CountryDatabase;
use crate::intent::Intent;
use crate::privileges;
use crate::rows::Rows;

/// The program submits records without waking anybody; this is how long one waits at most.
const PAUSE: Duration = Duration::from_millis(2);
/// Diagnostics are rare, and nobody waits for them.
const LOG_PAUSE: Duration = Duration::from_secs(1);
/// Generations whose names are kept for records that are still on their way.
const GENERATIONS: usize = 16;

/// What the numbers of one generation mean.
pub(crate) struct Page {
    /// Names, devices and addresses alone.
    rows: Rows,
    /// Made when the first record asks for it.
    expected: OnceLock<BTreeMap<u32, Expected>>,
    host: String,
    interfaces: BTreeMap<u32, String>,
    countries: Option<Arc<CountryDatabase>>,
}

impl Page {
    pub(crate) fn new(host: &str, intent: &Intent, attachments: &[Attachment]) -> Self {
        let interfaces =
            attachments.iter().map(|attachment| (attachment.index, attachment.interface.clone())).collect();
        let Rows { names, devices, device_addresses, .. } = intent.rows.clone();
        Self {
            rows: Rows { names, devices, device_addresses, ..Rows::default() },
            expected: OnceLock::new(),
            host: host.to_owned(),
            interfaces,
            countries: intent.countries.clone(),
        }
    }

    fn decode(&self, event: &Event, time_base: i128) -> Record {
        let context = EnrichContext {
            host: &self.host,
            interface: &|index| self.interfaces.get(&index).cloned(),
            country: &|address| self.countries.as_ref()?.country(address),
            expected: &|device| self.expected.get_or_init(|| expectations(&self.rows)).get(&device).cloned(),
            time_base,
        };
        decode(event, &self.rows.names, &context)
    }
}

/// The pages of recent generations: records of an older one may still be on their way.
#[derive(Default)]
pub struct Book {
    pages: Mutex<BTreeMap<u32, Arc<Page>>>,
}

impl Book {
    /// Notes what numbers mean in `generation`.
    pub(crate) fn write(&self, generation: u32, page: Page) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.insert(generation, Arc::new(page));
        while pages.len() > GENERATIONS {
            pages.pop_first();
        }
    }

    fn has_pages(&self) -> bool {
        !self.pages.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// What numbers mean in `generation`; the nearest one where that is not known.
    fn read(&self, generation: u32) -> Option<Arc<Page>> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let exact = pages.get(&generation);
        exact.or_else(|| pages.values().next_back()).cloned()
    }
}

/// Drains records until the agent stops.
pub(crate) fn start(mut events: RingBuf<MapData>, book: Arc<Book>, history: Arc<History>) {
    let drain = move || {
        privileges::give_up_here();
        loop {
            // What comes after this is for the next agent.
            let is_last = history.is_ending();
            drain(&mut events, &book, &history);
            if is_last {
                return history.ended();
            }
            thread::sleep(PAUSE);
        }
    };
    if let Err(error) = thread::Builder::new().name("recorder".into()).spawn(drain) {
        tracing::error!(%error, "no thread to read events with: none will be shown");
    }
}

/// Reads what there is, some at once. Until numbers have names, records wait in the kernel.
fn drain(events: &mut RingBuf<MapData>, book: &Book, history: &History) {
    let (time_base, mut page) = (time_base(), (0, None));
    let mut is_rest = book.has_pages();
    while is_rest {
        let mut records = Vec::new();
        while records.len() < AT_ONCE {
            let Some(record) = events.next() else { break };
            let Some(event) = Event::from_bytes(&record) else { continue };
            let generation = event.decision.generation;
            if page.0 != generation || page.1.is_none() {
                page = (generation, book.read(generation));
            }
            records.extend(page.1.as_ref().map(|page| page.decode(&event, time_base)));
        }
        is_rest = records.len() == AT_ONCE;
        if !records.is_empty() {
            history.push(records);
        }
    }
}

/// Hands the program's own diagnostics to the agent's log until the process ends.
pub(crate) fn start_log(mut log: EbpfLogger<&'static dyn Log>) {
    let drain = move || {
        privileges::give_up_here();
        loop {
            log.flush();
            thread::sleep(LOG_PAUSE);
        }
    };
    if let Err(error) = thread::Builder::new().name("program-log".into()).spawn(drain) {
        tracing::error!(%error, "no thread to read the program's diagnostics with: none will be shown");
    }
}
