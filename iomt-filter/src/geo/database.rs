//! A country database in MaxMind's format, by whomever it was made.
//!
//! Bytes come in, countries of networks and addresses go out. The layouts of GeoLite2 and DB-IP
//! (`country.iso_code`), IPinfo (`country_code`, or `country` as text) and ip-location-db
//! (`country_code`) are understood. A damaged file is an error, never a panic and never an endless walk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use iomt_filter_common::geo::Country;
use ipnet::IpNet;
use jiff::Timestamp;
use maxminddb::{MaxMindDbError, Reader};
use serde::Deserialize;
use thiserror::Error;

use super::tree;

/// Networks that are looked at before a database is said to hold no countries.
const LOOKED_AT: usize = 100_000;
/// How long the records of a database may take to be read, from first to last. Those of a real one of a million
/// networks take less than a second; some that are made for it would take days.
const MOST_TIME: Duration = Duration::from_secs(20);

/// Why a database is of no use.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// Not MaxMind's format, or damaged.
    #[error("the database is damaged: {0}")]
    Damaged(#[from] MaxMindDbError),
    /// A search tree whose nodes do not form one.
    #[error("the database is damaged: {0}")]
    Tree(#[from] tree::TreeError),
    /// A network that is none.
    #[error("the database is damaged: it holds a network of {0} bits")]
    Network(u8),
    /// Records that nobody would write: each is sound, and all of them together take too long.
    #[error("the database is damaged: its records take more than {} s to read", MOST_TIME.as_secs())]
    TooSlow,
    /// A database of something else.
    #[error("a `{0}` database holds no countries")]
    NoCountries(String),
}

/// An open database.
#[derive(Debug)]
pub struct CountryDatabase {
    reader: Reader<Arc<[u8]>>,
}

impl CountryDatabase {
    /// Opens a database and looks whether it is sound and holds countries.
    pub fn open(bytes: Vec<u8>) -> Result<Self, DatabaseError> {
        let bytes: Arc<[u8]> = bytes.into();
        let reader = Reader::from_source(bytes.clone())?;
        let metadata = reader.metadata();
        tree::check(&bytes, metadata.node_count, metadata.record_size)?;
        let database = Self { reader };
        let has_country = |found: &Result<(IpNet, Country), _>| match found {
            Ok((_, country)) => *country != Country::UNKNOWN,
            Err(_) => true,
        };
        let first = database.networks()?.take(LOOKED_AT).find(has_country);
        match first {
            Some(Err(error)) => Err(error),
            Some(Ok(_)) => Ok(database),
            None => Err(DatabaseError::NoCountries(database.kind().to_owned())),
        }
    }

    /// What the database calls itself.
    pub fn kind(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When it was made.
    pub fn built(&self) -> Option<Timestamp> {
        let since = Duration::from_secs(self.reader.metadata().build_epoch);
        UNIX_EPOCH.checked_add(since).and_then(|time| Timestamp::try_from(time).ok())
    }

    /// The country of an address, as two letters.
    pub fn country(&self, address: IpAddr) -> Option<[u8; 2]> {
        let record: Record<'_> = self.reader.lookup(address.to_canonical()).ok()?.decode().ok()??;
        record.country().code()
    }

    /// Every network of the database, IPv4 before IPv6, each with its country.
    pub fn networks(
        &self,
    ) -> Result<impl Iterator<Item = Result<(IpNet, Country), DatabaseError>>, DatabaseError> {
        self.networks_within(MOST_TIME)
    }

    /// The same, with so much time for its records.
    fn networks_within(
        &self,
        most: Duration,
    ) -> Result<impl Iterator<Item = Result<(IpNet, Country), DatabaseError>>, DatabaseError> {
        // Many networks share one record.
        let mut known: HashMap<usize, Country> = HashMap::new();
        let begun = Instant::now();
        let networks = self.reader.networks(maxminddb::WithinOptions::default())?;
        Ok(networks.map(move |found| {
            let found = found?;
            let network = found.network()?;
            let network = IpNet::new(network.ip(), network.prefix())
                .map_err(|_| DatabaseError::Network(network.prefix()))?;
            let country = match found.offset().and_then(|offset| known.get(&offset)) {
                Some(&country) => country,
                None if begun.elapsed() > most => return Err(DatabaseError::TooSlow),
                None => {
                    let record: Option<Record<'_>> = found.decode()?;
                    let country = record.map_or(Country::UNKNOWN, |record| record.country());
                    found.offset().map(|offset| known.insert(offset, country));
                    country
                }
            };
            Ok((network, country))
        }))
    }
}

/// The fields of a record that may name its country.
#[derive(Deserialize)]
struct Record<'d> {
    #[serde(borrow, default)]
    country: Option<Field<'d>>,
    #[serde(borrow, default)]
    country_code: Option<&'d str>,
    #[serde(borrow, default)]
    registered_country: Option<Field<'d>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Field<'d> {
    Text(&'d str),
    Table {
        #[serde(borrow, default)]
        iso_code: Option<&'d str>,
    },
}

impl Record<'_> {
    fn country(&self) -> Country {
        let code = |field: &Option<Field<'_>>| match field {
            Some(Field::Text(text)) => country_of(text),
            Some(Field::Table { iso_code }) => iso_code.and_then(country_of),
            None => None,
        };
        code(&self.country)
            .or_else(|| self.country_code.and_then(country_of))
            .or_else(|| code(&self.registered_country))
            .unwrap_or(Country::UNKNOWN)
    }
}

fn country_of(code: &str) -> Option<Country> {
    Country::from_code(code.as_bytes().try_into().ok()?)
}

#[cfg(test)]
mod tests {
    use mmdb_writer::{Value, Writer};

    use super::*;

    #[test]
    fn records_that_take_too_long_are_damage() {
        let mut writer = Writer::new("Test-Country");
        let record = Value::map([("country_code", Value::from("DE"))]);
        writer.insert_value("192.0.2.0/24".parse::<IpNet>().unwrap(), record).unwrap();
        let database = CountryDatabase::open(writer.to_bytes().unwrap()).unwrap();
        let last = |most| database.networks_within(most).unwrap().last().unwrap();
        assert!(last(MOST_TIME).is_ok());
        assert!(matches!(last(Duration::ZERO), Err(DatabaseError::TooSlow)));
    }
}
