//! Asking for events: pages of them, oldest first, each found by an index.

use std::collections::HashMap;

use ipnet::IpNet;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Row};

use super::{Archive, Record, Search, microseconds, row, write};
use crate::database::DatabaseError;

/// Where an event stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Its time, in microseconds since 1970.
    pub time: i64,
    /// Its number.
    pub number: i64,
}

/// A search as SQLite takes it.
struct Question {
    index: &'static str,
    terms: Vec<&'static str>,
    values: Vec<(&'static str, Value)>,
}

impl Archive {
    /// Where the latest `most` events begin that match; nothing where there are fewer.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn begin_of_latest(&self, search: &Search, most: usize) -> Result<Option<Position>, DatabaseError> {
        let Some(skipped) = most.checked_sub(1) else { return Ok(None) };
        let begin = || {
            let Some(question) = self.question(search, None)? else { return Ok(None) };
            let sql = question.sql("time, number", "ORDER BY time DESC, number DESC LIMIT 1 OFFSET :most");
            let most = Value::Integer(i64::try_from(skipped).unwrap_or(i64::MAX));
            let mut statement = self.database.prepare_cached(&sql)?;
            bind(&mut statement, question.values.iter().chain(&[(":most", most)]))?;
            let mut rows = statement.raw_query();
            rows.next()?.map(position).transpose()
        };
        begin().map_err(|error| self.database.explain(error))
    }

    /// The events that match, oldest first: those from `from` on (`true`: behind it), `most` at once.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn page(
        &self,
        search: &Search,
        from: Option<(Position, bool)>,
        most: usize,
    ) -> Result<Vec<(Position, Record)>, DatabaseError> {
        let page = || {
            let Some(question) = self.question(search, from)? else { return Ok(Vec::new()) };
            // What does not match is told from the index alone; only what does is read.
            let found = question.found();
            let sql =
                format!("SELECT {} FROM event WHERE number IN ({found}) ORDER BY time, number", row::COLUMNS);
            let most = Value::Integer(i64::try_from(most).unwrap_or(i64::MAX));
            let mut statement = self.database.prepare_cached(&sql)?;
            bind(&mut statement, question.values.iter().chain(&[(":most", most)]))?;
            let mut rows = statement.raw_query();
            let (mut events, mut words) = (Vec::new(), HashMap::new());
            while let Some(row) = rows.next()? {
                let position = Position { number: row.get(0)?, time: row.get(1)? };
                events.push((position, row::record(row, |number| self.word(&mut words, number))?));
            }
            Ok(events)
        };
        page().map_err(|error| self.database.explain(error))
    }

    pub(super) fn word(&self, words: &mut HashMap<i64, String>, number: i64) -> rusqlite::Result<String> {
        if let Some(word) = words.get(&number) {
            return Ok(word.clone());
        }
        let mut find = self.database.prepare_cached("SELECT text FROM word WHERE id = ?1")?;
        let word: Option<String> = find.query_row([number], |row| row.get(0)).optional()?;
        let word = word.unwrap_or_else(|| "?".to_owned());
        words.insert(number, word.clone());
        Ok(word)
    }

    /// Nothing where no event can match: of a device or a reason that there never was.
    fn question(
        &self,
        search: &Search,
        from: Option<(Position, bool)>,
    ) -> rusqlite::Result<Option<Question>> {
        let mut question = Question { index: "event_of_time", terms: Vec::new(), values: Vec::new() };
        // The one that leaves least comes last.
        for (text, index, term, name) in [
            (&search.reason, "event_of_reason", "reason = :reason", ":reason"),
            (&search.device, "event_of_device", "device = :device", ":device"),
        ] {
            let Some(text) = text else { continue };
            let Some(number) = write::find(&self.database, text)? else { return Ok(None) };
            question.index = index;
            question.add(term, name, Value::Integer(number));
        }
        match search.peer {
            Some(network) if network.prefix_len() == network.max_prefix_len() => {
                question.index = "event_of_peer";
                question.add("peer = :peer", ":peer", Value::Blob(row::octets(network.addr())));
            }
            Some(network) => {
                let (first, last) = (network.network(), network.broadcast());
                question.add("peer >= :first", ":first", Value::Blob(row::octets(first)));
                question.add("peer <= :last", ":last", Value::Blob(row::octets(last)));
                question.terms.push(match network {
                    IpNet::V4(_) => "length(peer) = 4",
                    IpNet::V6(_) => "length(peer) = 16",
                });
            }
            None => {}
        }
        if let Some(since) = search.since {
            question.add("time >= :since", ":since", Value::Integer(microseconds(since)));
        }
        if let Some(until) = search.until {
            question.add("time <= :until", ":until", Value::Integer(microseconds(until)));
        }
        if let Some(below) = search.below {
            question.add("number < :below", ":below", Value::Integer(below));
        }
        if let Some((Position { time, number }, is_behind)) = from {
            let term = if is_behind {
                "(time, number) > (:time, :number)"
            } else {
                "(time, number) >= (:time, :number)"
            };
            question.add(term, ":time", Value::Integer(time));
            question.values.push((":number", Value::Integer(number)));
        }
        Ok(Some(question))
    }
}

impl Question {
    fn add(&mut self, term: &'static str, name: &'static str, value: Value) {
        self.terms.push(term);
        self.values.push((name, value));
    }

    /// The numbers of those that match.
    fn found(&self) -> String {
        self.sql("number", "ORDER BY time, number LIMIT :most")
    }

    fn sql(&self, columns: &str, end: &str) -> String {
        let terms = if self.terms.is_empty() { "1".to_owned() } else { self.terms.join(" AND ") };
        format!("SELECT {columns} FROM event INDEXED BY {} WHERE {terms} {end}", self.index)
    }
}

fn bind<'v>(
    statement: &mut rusqlite::Statement<'_>,
    values: impl Iterator<Item = &'v (&'static str, Value)>,
) -> rusqlite::Result<()> {
    for (name, value) in values {
        if let Some(index) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    Ok(())
}

fn position(row: &Row<'_>) -> rusqlite::Result<Position> {
    Ok(Position { time: row.get(0)?, number: row.get(1)? })
}

#[cfg(test)]
impl Archive {
    /// How SQLite finds the numbers of those that match, step by step.
    pub(super) fn plan(&self, search: &Search, from: Option<Position>) -> Vec<String> {
        let question = self.question(search, from.map(|from| (from, true))).unwrap();
        let Some(question) = question else { return Vec::new() };
        let mut explained =
            self.database.prepare(&format!("EXPLAIN QUERY PLAN {}", question.found())).unwrap();
        explained.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>().unwrap()
    }
}
