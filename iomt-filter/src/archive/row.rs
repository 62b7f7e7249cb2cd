//! An event as a row: its columns in their order, and back.

use std::net::IpAddr;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Row, ToSql};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Record, microseconds};
use crate::events::{MacPair, Word};

/// The columns, in the order of [`values`] and [`record`].
pub(super) const COLUMNS: &str = "number, time, device, reason, peer, verdict, host, interface, port, profile, \
     direction, mac_source, mac_destination, vlan, ip_version, source, destination, protocol, source_port, \
     destination_port, tcp_flags, fragment, length, country, feed, entry, score, rule, generation, count, ethertype, \
     arp, icmp_type, icmp_code, hop_limit, expected, note, drift";
/// How many these are.
pub(super) const COUNT: usize = 38;

/// What a column holds.
pub(super) enum Cell {
    Nothing,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Nothing => ToSqlOutput::Owned(Value::Null),
            Self::Number(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// The columns of an event. `word` gives the number of a word.
pub(super) fn values<E>(
    number: i64,
    record: &Record,
    mut word: impl FnMut(&str) -> Result<i64, E>,
) -> Result<[Cell; COUNT], E> {
    let mut named = |text: Option<&str>| text.map_or(Ok(Cell::Nothing), |text| word(text).map(Cell::Number));
    let mac = record.mac.as_ref();
    Ok([
        Cell::Number(number),
        Cell::Number(record.time.map_or(0, microseconds)),
        named(record.device.as_deref())?,
        named(Some(&record.reason))?,
        address(record.peer()),
        named(Some(&record.verdict))?,
        named(Some(&record.host))?,
        named(record.interface.as_deref())?,
        named(Some(&record.port))?,
        named(record.profile.as_deref())?,
        named(record.direction.as_deref())?,
        hardware(mac.map(|mac| &mac.source)),
        hardware(mac.map(|mac| &mac.destination)),
        json(record.vlan.as_ref()),
        whole(record.ip_version),
        address(record.source),
        address(record.destination),
        named(record.protocol.as_deref())?,
        whole(record.source_port),
        whole(record.destination_port),
        named(record.tcp_flags.as_deref())?,
        json(record.fragment.as_ref()),
        whole(Some(record.length)),
        named(record.country.as_deref())?,
        named(record.feed.as_deref())?,
        text(record.entry.as_deref()),
        whole(record.score),
        named(record.rule.as_deref())?,
        whole(Some(record.generation)),
        Cell::Number(i64::try_from(record.count).unwrap_or(i64::MAX)),
        text(record.ethertype.as_deref()),
        json(record.arp.as_ref()),
        whole(record.icmp_type),
        whole(record.icmp_code),
        whole(record.hop_limit),
        json(record.expected.as_ref()),
        text(record.note.as_deref()),
        json(record.drift.as_ref()),
    ])
}

/// The event of a row of all columns. `word` gives the word of a number.
pub(super) fn record(
    row: &Row<'_>,
    mut word: impl FnMut(i64) -> rusqlite::Result<String>,
) -> rusqlite::Result<Record> {
    let mut named = |column: usize| row.get::<_, Option<i64>>(column)?.map(&mut word).transpose();
    let required = |text: Option<String>| Word::from(text.unwrap_or_default());
    let time: i64 = row.get(1)?;
    let mac = match (row.get(11)?, row.get(12)?) {
        (Some(source), Some(destination)) => {
            Some(MacPair { source: show_hardware(source), destination: show_hardware(destination) })
        }
        _ => None,
    };
    Ok(Record {
        time: jiff::Timestamp::from_microsecond(time).ok().filter(|_| time != 0),
        device: named(2)?,
        reason: required(named(3)?),
        verdict: required(named(5)?),
        host: named(6)?.unwrap_or_default(),
        interface: named(7)?,
        port: required(named(8)?),
        profile: named(9)?,
        direction: named(10)?.map(Word::from),
        mac,
        vlan: parsed(row, 13)?,
        ip_version: row.get(14)?,
        source: show_address(row.get(15)?),
        destination: show_address(row.get(16)?),
        protocol: named(17)?.map(Word::from),
        source_port: row.get(18)?,
        destination_port: row.get(19)?,
        tcp_flags: named(20)?,
        fragment: parsed(row, 21)?,
        length: row.get(22)?,
        country: named(23)?,
        feed: named(24)?,
        entry: row.get(25)?,
        score: row.get(26)?,
        rule: named(27)?,
        generation: row.get(28)?,
        count: row.get::<_, i64>(29)?.unsigned_abs(),
        ethertype: row.get(30)?,
        arp: parsed(row, 31)?,
        icmp_type: row.get(32)?,
        icmp_code: row.get(33)?,
        hop_limit: row.get(34)?,
        expected: parsed(row, 35)?,
        note: row.get(36)?,
        drift: parsed(row, 37)?,
        frame: None,
        captured: None,
    })
}

fn whole(number: Option<impl Into<i64>>) -> Cell {
    number.map_or(Cell::Nothing, |number| Cell::Number(number.into()))
}

fn text(text: Option<&str>) -> Cell {
    text.map_or(Cell::Nothing, |text| Cell::Text(text.to_owned()))
}

fn json(value: Option<&impl Serialize>) -> Cell {
    text(value.and_then(|value| serde_json::to_string(value).ok()).as_deref())
}

fn parsed<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// An address as its bytes.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn address(address: Option<IpAddr>) -> Cell {
    address.map_or(Cell::Nothing, |address| Cell::Bytes(octets(address)))
}

pub(super) fn show_address(bytes: Option<Vec<u8>>) -> Option<IpAddr> {
    let bytes = bytes?;
    let v4 = <[u8; 4]>::try_from(bytes.as_slice()).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from)).ok()
}

fn hardware(text: Option<&String>) -> Cell {
    let digits: Option<String> = text.map(|text| text.replace(':', ""));
    whole(digits.and_then(|digits| i64::from_str_radix(&digits, 16).ok()))
}

fn show_hardware(number: i64) -> String {
    let [_, _, bytes @ ..] = number.to_be_bytes();
    crate::inventory::show_mac(iomt_filter_common::Mac(bytes))
}
