//! The latest events, and those who wait for more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::api::messages::EventQuery;
use crate::events::Record;

/// Events that are remembered.
const REMEMBERED: usize = 20_000;
/// Events that a slow follower may lag behind before it misses some, which it is told.
const FOLLOWED: usize = 16_384;

/// An event, ready to be sent: its record and its line of JSON.
#[derive(Clone, Debug)]
struct Line {
    record: Arc<Record>,
    json: Arc<str>,
}

/// The latest events.
#[derive(Debug)]
pub struct History {
    lines: Mutex<VecDeque<Line>>,
    sender: broadcast::Sender<Line>,
}

impl Default for History {
    fn default() -> Self {
        Self { lines: Mutex::default(), sender: broadcast::Sender::new(FOLLOWED) }
    }
}

impl History {
    /// Adds an event, and hands it to those who follow.
    pub(crate) fn push(&self, record: Record) {
        let Ok(mut json) = serde_json::to_string(&record) else { return };
        json.push('\n');
        let line = Line { record: Arc::new(record), json: json.into() };
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == REMEMBERED {
            lines.pop_front();
        }
        lines.push_back(line.clone());
        // Sent under the lock, so that a follower who reads the past misses nothing and gets nothing twice.
        let _ = self.sender.send(line);
    }

    /// Every event that is remembered, oldest first.
    pub(crate) fn records(&self) -> Vec<Arc<Record>> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| line.record.clone()).collect()
    }

    /// The lines that match, oldest first, and a follower that goes on exactly behind them.
    pub(crate) fn read(&self, query: &EventQuery) -> (Vec<Arc<str>>, Follower) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let follower = Follower { query: query.clone(), receiver: self.sender.subscribe() };
        let matching = lines.iter().rev().filter(|line| matches(query, &line.record));
        let limit = query.limit.unwrap_or(usize::MAX);
        let mut found: Vec<_> = matching.take(limit).map(|line| line.json.clone()).collect();
        found.reverse();
        (found, follower)
    }
}

/// Waits for events that match a query.
pub struct Follower {
    query: EventQuery,
    receiver: broadcast::Receiver<Line>,
}

impl Follower {
    /// The next event's line; `None` where it does not match.
    ///
    /// # Errors
    /// When events were missed, or there will be no more.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, RecvError> {
        let line = self.receiver.recv().await?;
        Ok(matches(&self.query, &line.record).then(|| line.json.to_string()))
    }
}

fn matches(query: &EventQuery, record: &Record) -> bool {
    query.since.is_none_or(|since| record.time.is_some_and(|time| time >= since))
        && query.device.as_ref().is_none_or(|device| record.device.as_ref() == Some(device))
        && query.reason.as_ref().is_none_or(|reason| *reason == record.reason)
}
