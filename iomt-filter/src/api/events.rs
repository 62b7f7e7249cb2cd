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

use super::access::Peer;
use super::messages::EventQuery;
use super::request::Asked;
use super::server::{Desk, busy, refuse};
use crate::agent::archiving::Past;
use crate::agent::history::{Follower, Next};
use crate::database::DatabaseError;
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

type Page = (Past, Result<Vec<Arc<Record>>, DatabaseError>);

pub(super) async fn events(
    State(desk): State<Desk>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Asked(query): Asked<EventQuery>,
) -> Response {
    let latest = desk.agent.history().read(&query);
    let left = query.limit.map(|limit| limit.saturating_sub(latest.records.len()));
    let past = if left == Some(0) { None } else { desk.agent.past(&query, latest.first, left) };
    let follower = query.follow.then_some(latest.follower);
    let mut answer =
        Answer { desk, peer, page: Vec::new(), past: None, remembered: latest.records, follower };
    // What is wrong with the archive is said while there is another way than to break off.
    if let Some(past) = past {
        match answer.desk.room.reading(&answer.peer).await {
            Ok(place) => {
                let read = read(past).await;
                drop(place);
                match read {
                    Ok((past, Ok(page))) => (answer.page, answer.past) = (page, Some(past)),
                    Ok((_, Err(error))) => {
                        return refuse(
                            StatusCode::CONFLICT,
                            vec![format!("events of the past cannot be read: {error}")],
                        );
                    }
                    Err(error) => {
                        return refuse(StatusCode::INTERNAL_SERVER_ERROR, vec![error.to_string()]);
                    }
                }
            }
            Err(why) => return busy(why),
        }
    }
    let lines = stream::unfold(answer, Answer::next);
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// Reads a page where that may block.
async fn read(mut past: Past) -> io::Result<Page> {
    let read = tokio::task::spawn_blocking(move || {
        let page = past.page();
        (past, page)
    });
    read.await.map_err(|_| io::Error::other("the agent failed to answer; see its log"))
}

impl Answer {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.page.is_empty()
            && let Some(past) = self.past.take()
        {
            // Whoever was answered in part is answered to the end.
            let place = loop {
                if let Ok(place) = self.desk.room.reading(&self.peer).await {
                    break place;
                }
            };
            let read = read(past).await;
            drop(place);
            match read {
                Ok((_, Ok(page))) if page.is_empty() => {}
                Ok((past, Ok(page))) => (self.page, self.past) = (page, Some(past)),
                Ok((_, Err(error))) => return Some((Err(io::Error::other(error)), self)),
                Err(error) => return Some((Err(error), self)),
            }
        }
        if !self.page.is_empty() {
            let page = std::mem::take(&mut self.page);
            return Some((Ok(lines(&page)), self));
        }
        self.past = None;
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
