//! `GET /v1/events`: an event a line, first those of the archive, then those that are remembered, and with `follow`
//! those that come. Each comes once, and none in between is left out.
//!
//! However many there are, a page of them is in memory, and a page is read when the one before has been taken.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use thiserror::Error;

use super::access::Peer;
use super::messages::EventQuery;
use super::request::{Asked, broke_off, busy, refusal};
use super::room::{Busy, Place};
use super::server::Desk;
use crate::agent::archiving::{Past, PastError};
use crate::agent::core::chain;
use crate::agent::history::{Follower, Next};
use crate::events::{Format, Record};

/// Events that are sent at once.
const AT_ONCE: usize = 1_000;

/// An answer on its way: what is left of it, in this order.
struct Answer {
    desk: Desk,
    peer: Peer,
    page: Vec<Arc<Record>>,
    past: Option<Past>,
    remembered: Vec<Arc<Record>>,
    follower: Option<Follower>,
}

impl Answer {
    /// Reads the next page of the past, where that may block.
    async fn read(&mut self, place: Place) -> Result<(), Unread> {
        let Some(mut past) = self.past.take() else { return Ok(()) };
        let read = tokio::task::spawn_blocking(move || (past.page(), past, place)).await;
        let (page, past, _place) = read.map_err(|_| Unread::BrokeOff)?;
        let (page, is_more) = page?;
        self.page = page;
        self.past = is_more.then_some(past);
        Ok(())
    }
}

/// Why a page is not read.
#[derive(Debug, Error)]
enum Unread {
    #[error("what reads events broke off")]
    BrokeOff,
    #[error("events of the past cannot be read")]
    Past(#[from] PastError),
}

pub(super) async fn events(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Asked(query): Asked<EventQuery>,
) -> Response {
    let latest = desk.agent.history().read(&query);
    let left = query.limit.map(|limit| limit.saturating_sub(latest.records.len()));
    let past = (left != Some(0)).then(|| desk.agent.past(&query, latest.first, left));
    let follower = query.follow.then_some(latest.follower);
    let mut answer = Answer { desk, peer, page: Vec::new(), past, remembered: latest.records, follower };
    // What is wrong with the archive is said while there is another way than to break off.
    if answer.past.is_some() {
        let place = match answer.desk.room.reading(&answer.peer).await {
            Ok(place) => place,
            Err(Busy(why)) => return busy(why),
        };
        match answer.read(place).await {
            Ok(()) => {}
            // Who waits for what comes is not kept from it.
            Err(error) if answer.follower.is_some() => {
                tracing::warn!(error = chain(&error), "somebody follows events without those of the past");
            }
            Err(Unread::BrokeOff) => return broke_off(),
            Err(error) => return refusal(StatusCode::CONFLICT, chain(&error)).into_response(),
        }
    }
    let lines = stream::unfold(answer, Answer::next);
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

impl Answer {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.page.is_empty() && self.past.is_some() {
            // Whoever was answered in part is answered to the end.
            let place = loop {
                if let Ok(place) = self.desk.room.reading(&self.peer).await {
                    break place;
                }
            };
            if let Err(error) = self.read(place).await {
                tracing::warn!(error = chain(&error), "an answer with events breaks off");
                return Some((Err(io::Error::other(error)), self));
            }
        }
        if !self.page.is_empty() {
            let page = std::mem::take(&mut self.page);
            return Some((Ok(lines(&page)), self));
        }
        if !self.remembered.is_empty() {
            let rest = self.remembered.split_off(self.remembered.len().min(AT_ONCE));
            let now = std::mem::replace(&mut self.remembered, rest);
            return Some((Ok(lines(&now)), self));
        }
        loop {
            match self.follower.as_mut()?.next(self.desk.agent.history()).await? {
                Next::Events(records) if records.is_empty() => {}
                Next::Events(records) => return Some((Ok(lines(&records)), self)),
                Next::Missed(missed) => {
                    return Some((Ok(format!("{{\"missed\":{missed}}}\n").into()), self));
                }
            }
        }
    }
}

fn lines(records: &[Arc<Record>]) -> Bytes {
    let mut lines = String::new();
    for record in records {
        lines.push_str(&Format::Json.line(record));
        lines.push('\n');
    }
    lines.into()
}
