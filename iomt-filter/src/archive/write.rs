//! Adding events, many at once.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params, params_from_iter};

use super::{Archive, Record, row};
use crate::database::{DatabaseError, unsigned};

/// Numbers of words that are remembered; of more, all are read anew.
const WORDS: usize = 65_536;

/// Numbers of words, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Words(HashMap<Box<str>, i64>);

impl Archive {
    /// The number that the next event gets.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn next(&self) -> Result<i64, DatabaseError> {
        let last = self.database.query_row("SELECT max(number) FROM event", [], |row| row.get(0));
        let last: Option<i64> = last.map_err(|error| self.database.explain(error))?;
        Ok(last.map_or(1, |last| last + 1))
    }

    /// Adds events, all or none, of which the first gets the number `first`.
    ///
    /// # Errors
    /// When the database is full or damaged, or cannot be written.
    pub fn add(&mut self, first: i64, records: &[Arc<Record>]) -> Result<(), DatabaseError> {
        let Self { database, words, count } = self;
        let added = add(database, words, first, records);
        match added {
            Ok(()) => *count = count.map(|count| count + records.len() as u64),
            // Words that were given numbers in what was taken back have none.
            Err(_) => words.0.clear(),
        }
        added.map_err(|error| self.database.explain(error))
    }

    /// How many events there are. All are counted the first time.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn count(&mut self) -> Result<u64, DatabaseError> {
        if self.count.is_none() {
            let counted = self.database.query_row("SELECT count(*) FROM event", [], |row| unsigned(row, 0));
            self.count = Some(counted.map_err(|error| self.database.explain(error))?);
        }
        Ok(self.count.unwrap_or_default())
    }
}

fn add(
    connection: &Connection,
    words: &mut Words,
    first: i64,
    records: &[Arc<Record>],
) -> rusqlite::Result<()> {
    let begun = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate);
    let transaction = begun?;
    {
        let places = vec!["?"; row::COUNT].join(", ");
        let insert = format!("INSERT INTO event ({}) VALUES ({places})", row::COLUMNS);
        let mut insert = transaction.prepare_cached(&insert)?;
        for (number, record) in (first..).zip(records) {
            let values = row::values(number, record, |text| words.number(&transaction, text))?;
            insert.execute(params_from_iter(values))?;
        }
    }
    transaction.commit()
}

impl Words {
    /// The number of a word, a new one where it has none.
    fn number(&mut self, connection: &Connection, text: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.0.get(text) {
            return Ok(*number);
        }
        let number = match find(connection, text)? {
            Some(number) => number,
            None => {
                let insert = "INSERT INTO word (text) VALUES (?1)";
                connection.prepare_cached(insert)?.execute(params![text])?;
                connection.last_insert_rowid()
            }
        };
        if self.0.len() >= WORDS {
            self.0.clear();
        }
        self.0.insert(text.into(), number);
        Ok(number)
    }
}

/// The number of a word that is there.
pub(super) fn find(connection: &Connection, text: &str) -> rusqlite::Result<Option<i64>> {
    let mut find = connection.prepare_cached("SELECT id FROM word WHERE text = ?1")?;
    find.query_row([text], |row| row.get(0)).optional()
}
