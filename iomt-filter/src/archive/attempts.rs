//! What devices tried and was stopped: read on from where it was read before, in the order in which it came.

use std::collections::HashMap;
use std::net::IpAddr;

use jiff::Timestamp;
use rusqlite::OptionalExtension as _;

use super::{Archive, row, write};
use crate::database::DatabaseError;
use crate::events::protocol_number;

/// A packet by which a device would have opened something new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The device, by name.
    pub device: String,
    /// Its address.
    pub source: IpAddr,
    /// The far end.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// The port that was to be opened; 0 where the protocol has none.
    pub port: u16,
    /// `drop` or `reset`.
    pub verdict: String,
    /// Why it was stopped.
    pub reason: String,
    /// Frames that its events stand for.
    pub count: u64,
    /// When it was tried first.
    pub time: Timestamp,
}

/// Why something is stopped that a device opens. What is `spoofed` is not known to be its own, and what has `no-flow` is
/// no beginning.
const REASONS: [&str; 6] = ["not-allowed", "blocklist", "geo", "rate-limit", "quarantine", "dns"];

const AFTER: &str = "SELECT number, time, device, reason, verdict, direction, source, destination, protocol, \
     source_port, destination_port, tcp_flags, count FROM event WHERE number > ?1 ORDER BY number LIMIT ?2";

impl Archive {
    /// The number of the last event; 0 where there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_number(&self) -> Result<i64, DatabaseError> {
        let last = self.database.query_row("SELECT max(number) FROM event", [], |row| row.get(0)).optional();
        let last: Option<Option<i64>> = last.map_err(|error| self.database.explain(error))?;
        Ok(last.flatten().unwrap_or(0))
    }

    /// Of the `most` events after that of number `after`, what devices tried and was stopped, each once and with all its
    /// frames; and the number of the last one that was looked at.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn attempts(&self, after: i64, most: u32) -> Result<(Vec<Attempt>, i64), DatabaseError> {
        let read = || {
            let mut words = HashMap::new();
            let (mut attempts, mut places) = (Vec::<Attempt>::new(), HashMap::new());
            let mut last = after;
            let number = |text| write::find(&self.database, text);
            let (drop, reset, from_device) = (number("drop")?, number("reset")?, number("from-device")?);
            let mut statement = self.database.prepare_cached(AFTER)?;
            let mut rows = statement.query((after, most))?;
            while let Some(row) = rows.next()? {
                last = row.get(0)?;
                let (verdict, direction): (Option<i64>, Option<i64>) = (row.get(4)?, row.get(5)?);
                let is_stopped = verdict.is_some() && (verdict == drop || verdict == reset);
                if !is_stopped || direction.is_none() || direction != from_device {
                    continue;
                }
                let mut word = |column: usize| match row.get::<_, Option<i64>>(column)? {
                    Some(number) => self.word(&mut words, number).map(Some),
                    None => Ok::<_, rusqlite::Error>(None),
                };
                let (Some(device), Some(reason), Some(verdict), Some(protocol)) =
                    (word(2)?, word(3)?, word(4)?, word(8)?)
                else {
                    continue;
                };
                let flags = word(11)?;
                let address = |column: usize| row.get(column).map(row::show_address);
                let (Some(source), Some(destination)) = (address(6)?, address(7)?) else { continue };
                let (from, to): (Option<u16>, Option<u16>) = (row.get(9)?, row.get(10)?);
                let Some(protocol) = protocol_number(&protocol) else { continue };
                if !REASONS.contains(&reason.as_str()) || !opens(flags.as_deref(), from, to) {
                    continue;
                }
                let time = Timestamp::from_microsecond(row.get(1)?).unwrap_or_default();
                let count = row.get::<_, i64>(12)?.unsigned_abs();
                let port = to.unwrap_or(0);
                let key = (device.clone(), destination, protocol, port);
                match places.get(&key).and_then(|place: &usize| attempts.get_mut(*place)) {
                    Some(known) => known.count = known.count.saturating_add(count),
                    None => {
                        places.insert(key, attempts.len());
                        attempts.push(Attempt {
                            device,
                            source,
                            destination,
                            protocol,
                            port,
                            verdict,
                            reason,
                            count,
                            time,
                        });
                    }
                }
            }
            Ok((attempts, last))
        };
        read().map_err(|error| self.database.explain(error))
    }
}

/// Whether a packet begins something: of TCP a SYN, of what has ports one that is no answer of a known service.
fn opens(flags: Option<&str>, from: Option<u16>, to: Option<u16>) -> bool {
    const SYSTEM_PORTS: u16 = 1_024; // RFC 6335 §6
    match (flags, from, to) {
        (Some(flags), ..) => flags.contains('S') && !flags.contains('A'),
        (None, Some(from), Some(to)) => from >= SYSTEM_PORTS || to < SYSTEM_PORTS,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_begins_nothing() {
        assert!(opens(Some("S"), Some(49_152), Some(445)));
        assert!(!opens(Some("SA"), Some(104), Some(49_152)) && !opens(Some("R"), Some(104), Some(49_152)));
        assert!(opens(None, Some(49_152), Some(53)) && opens(None, Some(123), Some(123)));
        assert!(!opens(None, Some(161), Some(49_152)), "an answer of SNMP");
        assert!(opens(None, None, None), "a ping");
    }
}
