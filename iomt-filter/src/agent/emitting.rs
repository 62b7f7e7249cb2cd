//! Hands events to the sinks, each on a thread of its own: one that is down or slow keeps nobody else.
//!
//! A sink that fails is tried again after a pause, which grows; what it misses beyond its queue is lost to it, and
//! counted. How each stands is told in `status` and, when it changes, in the log.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::core::chain;
use super::history::{History, Taker};
use crate::api::messages::{Emission, SinkStatus};
use crate::config::Sink;
use crate::privileges;
use crate::sinks::{self, Outlet, SinkError};

/// From one look whether a sink is still there to the next, where nothing happens.
const IDLE: Duration = Duration::from_secs(5);
/// The first pause after a failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the end waits for what is still to go on.
const FAREWELL: Duration = Duration::from_secs(3);

/// The sinks, and how they stand.
#[derive(Default)]
pub(super) struct Emitters(Vec<Emitter>);

struct Emitter {
    sink: Sink,
    taker: Taker,
    standing: Arc<Standing>,
    thread: Option<JoinHandle<()>>,
}

/// How a sink stands.
#[derive(Debug)]
struct Standing(Mutex<State>);

#[derive(Clone, Debug)]
struct State {
    is_up: bool,
    since: Timestamp,
    error: Option<String>,
}

impl Emitters {
    /// Hands on every event from here on, until there will be no more.
    pub(super) fn start(all: &[Sink], history: &Arc<History>) -> Self {
        Self(all.iter().map(|sink| Emitter::start(sink, history)).collect())
    }

    /// How they stand.
    pub(super) fn status(&self, history: &History) -> Vec<SinkStatus> {
        self.0.iter().map(|emitter| emitter.status(history)).collect()
    }

    /// Waits for what is still to go on, not for long.
    pub(super) fn finish(&self, history: &History) {
        let until = Instant::now() + FAREWELL;
        let threads = || self.0.iter().filter_map(|emitter| emitter.thread.as_ref());
        while threads().any(|thread| !thread.is_finished()) && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        for emitter in &self.0 {
            let waiting = history.account(emitter.taker).waiting.sum();
            if waiting > 0 {
                tracing::warn!(
                    sink = emitter.sink.name,
                    waiting,
                    "events did not go on before the agent stopped"
                );
            }
        }
    }
}

impl Emitter {
    fn start(sink: &Sink, history: &Arc<History>) -> Self {
        let taker = history.join(sink.queue, false);
        let state = State { is_up: false, since: Timestamp::now(), error: None };
        let standing = Arc::new(Standing(Mutex::new(state)));
        let mut work = Work {
            name: sink.name.clone(),
            history: history.clone(),
            taker,
            outlet: sinks::outlet(sink),
            standing: standing.clone(),
            pause: FIRST_PAUSE,
        };
        let spawned = thread::Builder::new().name("sink".into()).spawn(move || {
            privileges::give_up_here();
            if catch_unwind(AssertUnwindSafe(|| work.run())).is_err() {
                work.standing.change(false, Some("what hands events to it broke off; see the log".into()));
            }
        });
        if let Err(error) = &spawned {
            tracing::error!(%error, sink = sink.name, "no thread for a sink: it takes no events");
            standing.change(false, Some(format!("there is no thread for it: {error}")));
        }
        Self { sink: sink.clone(), taker, standing, thread: spawned.ok() }
    }

    fn status(&self, history: &History) -> SinkStatus {
        let State { is_up, since, error } = self.standing.read();
        let state = if is_up { "up" } else { "down" };
        SinkStatus {
            name: self.sink.name.clone(),
            kind: self.sink.target.kind().to_owned(),
            format: match self.sink.target {
                crate::config::Target::Journal(_) => None,
                _ => Some(self.sink.format.name().to_owned()),
            },
            target: self.sink.target.to_string(),
            state: state.to_owned(),
            since,
            error,
            events: emissions(history, self.taker),
        }
    }
}

/// What became of the events for a taker.
pub(super) fn emissions(history: &History, taker: Taker) -> Emission {
    let account = history.account(taker);
    Emission {
        emitted: account.emitted.by_verdict(),
        lost: account.lost.by_verdict(),
        waiting: account.waiting.by_verdict(),
    }
}

impl Standing {
    fn read(&self) -> State {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes how it stands; whether that is another way than before.
    fn change(&self, is_up: bool, error: Option<String>) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = state.is_up != is_up || (error.is_some() && state.error.is_none());
        if is_news {
            state.since = Timestamp::now();
        }
        state.is_up = is_up;
        state.error = error;
        is_news
    }
}

/// What the thread of a sink does.
struct Work {
    name: String,
    history: Arc<History>,
    taker: Taker,
    outlet: Box<dyn Outlet>,
    standing: Arc<Standing>,
    pause: Duration,
}

impl Work {
    fn run(&mut self) {
        let opened = self.outlet.open();
        self.went(opened);
        while let Some(taken) = self.history.take(self.taker, IDLE) {
            let mut rest = taken.records.as_slice();
            if rest.is_empty() {
                let opened = self.outlet.open();
                self.went(opened);
            }
            while !rest.is_empty() {
                let (sent, result) = self.outlet.send(rest);
                let (done, left) = rest.split_at(sent.min(rest.len()));
                self.history.emitted(self.taker, done);
                rest = left;
                if let (Err(SinkError::TooLong), Some((long, after))) = (&result, rest.split_first()) {
                    self.history.lost(self.taker, std::slice::from_ref(long));
                    rest = after;
                } else if !self.went(result) && self.history.has_ended() {
                    return;
                }
            }
        }
    }

    /// Notes how it went, and pauses after a failure; whether it went.
    fn went(&mut self, result: Result<(), SinkError>) -> bool {
        let Err(error) = result else {
            if self.standing.change(true, None) {
                tracing::info!(sink = self.name, "the sink takes events");
            }
            self.pause = FIRST_PAUSE;
            return true;
        };
        let error = chain(&error);
        if self.standing.change(false, Some(error.clone())) {
            tracing::warn!(sink = self.name, error, "the sink takes no events; it is tried again");
        }
        self.history.pause(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        false
    }
}
