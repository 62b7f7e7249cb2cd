//! A deviation of a device from what it always did, as an event: what is new of it, and the evidence.
//!
//! What is new is found by [`baseline::drift`](crate::baseline::drift); here it gets its shape and its words.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{NOTICE, Record, Word, microseconds};

/// The reason of every event that is a drift.
pub const DRIFT: &str = "drift";

/// What is another way than it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A far end that it had nothing to do with.
    NewPeer,
    /// A service, or who opens it, with a far end that it knows.
    NewService,
    /// A country that none of its far ends was in.
    NewCountry,
    /// More bytes in an hour than ever.
    Volume,
    /// Nothing of a device that always talks.
    Silence,
}

impl What {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::NewPeer, Self::NewService, Self::NewCountry, Self::Volume, Self::Silence];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewPeer => "new-peer",
            Self::NewService => "new-service",
            Self::NewCountry => "new-country",
            Self::Volume => "volume",
            Self::Silence => "silence",
        }
    }
}

/// What an event of a deviation holds beside the fields of every event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Its number: one that comes again after a crash has the same.
    pub number: i64,
    /// What is another way than it was.
    pub what: What,
    /// How many such things it stands for: far ends, services, countries; 1 for volume and silence. Where it is of
    /// several devices, all of theirs.
    pub count: u64,
    /// How many devices it is of.
    pub devices: u64,
    /// When the first of them was seen; of silence, when the device was last heard.
    #[serde(with = "microseconds")]
    pub first: Option<Timestamp>,
    /// When the last of them was.
    #[serde(with = "microseconds")]
    pub last: Option<Timestamp>,
    /// Some of what it stands for, the earliest first.
    pub evidence: Vec<Evidence>,
    /// Of volume and silence: what was measured.
    pub measured: Option<Measured>,
}

/// What was measured, and what it is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Bytes of the hour, or seconds of silence.
    pub found: u64,
    /// The most bytes of an hour, or the longest silence in seconds, of the time before.
    pub usual: u64,
    /// Beyond which value it is a deviation.
    pub limit: u64,
}

/// One of the things that an event of a deviation stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The device.
    pub device: String,
    /// Who opened, `from-device` or `to-device`; null of silence, as everything below.
    pub direction: Option<Word>,
    /// Who opened, by address.
    pub source: Option<IpAddr>,
    /// To whom.
    pub destination: Option<IpAddr>,
    /// IP protocol by name, or its number.
    pub protocol: Option<Word>,
    /// The port that was opened.
    pub port: Option<u16>,
    /// Country of the far end.
    pub country: Option<String>,
    /// `pass`, `would-drop`, `drop` or `reset`.
    pub verdict: Option<Word>,
    /// Why, where it did not pass by a rule.
    pub reason: Option<Word>,
    /// The rule that allowed it.
    pub rule: Option<String>,
    /// Packets, or frames that were dropped, as far as they were counted by then.
    pub packets: u64,
    /// Bytes of those that passed.
    pub bytes: u64,
}

impl Evidence {
    /// Of a device of which nothing was seen.
    #[must_use]
    pub fn of_nothing(device: &str) -> Self {
        Self {
            device: device.to_owned(),
            direction: None,
            source: None,
            destination: None,
            protocol: None,
            port: None,
            country: None,
            verdict: None,
            reason: None,
            rule: None,
            packets: 0,
            bytes: 0,
        }
    }

    /// The end that is not the device.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        match self.direction.as_deref() {
            Some("to-device") => self.source,
            _ => self.destination,
        }
    }

    fn service(&self) -> String {
        let protocol = self.protocol.as_deref().unwrap_or("ip");
        self.port.map_or_else(|| protocol.to_owned(), |port| format!("{port}/{protocol}"))
    }
}

/// `to 203.0.113.9 443/tcp in RU, drop: blocklist`
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(peer) = self.peer() else { return f.write_str(&self.device) };
        let way = if self.direction.as_deref() == Some("to-device") { "from" } else { "to" };
        write!(f, "{way} {peer} {}", self.service())?;
        if let Some(country) = &self.country {
            write!(f, " in {country}")?;
        }
        if let Some(verdict) = self.verdict.as_deref().filter(|verdict| *verdict != "pass") {
            write!(f, ", {verdict}")?;
        }
        match (&self.reason, &self.rule) {
            (Some(reason), _) => write!(f, ": {reason}"),
            (None, Some(rule)) => write!(f, ", rule {rule}"),
            (None, None) => Ok(()),
        }
    }
}

impl Record {
    /// A deviation of `device`, or of several where none is named. What the fields of every event say of ends and
    /// service is that of the first evidence, where it is of one device.
    #[must_use]
    pub fn of_drift(
        host: &str,
        time: Timestamp,
        device: Option<(&str, Option<String>)>,
        drift: Drift,
    ) -> Self {
        let note = drift.to_string();
        let named = device.as_ref().map(|(name, _)| (*name).to_owned());
        let first = drift.evidence.first().filter(|_| named.is_some()).cloned();
        let first = first.unwrap_or_else(|| Evidence::of_nothing(""));
        Self {
            time: Timestamp::from_microsecond(time.as_microsecond()).ok(),
            host: host.to_owned(),
            verdict: NOTICE.into(),
            reason: DRIFT.into(),
            profile: device.and_then(|(_, profile)| profile),
            device: named,
            direction: first.direction,
            ip_version: first.destination.map(|address| if address.is_ipv4() { 4 } else { 6 }),
            source: first.source,
            destination: first.destination,
            protocol: first.protocol,
            destination_port: first.port,
            country: first.country,
            rule: first.rule,
            note: Some(note),
            count: 1,
            drift: Some(Box::new(drift)),
            ..Self::default()
        }
    }
}

/// How much evidence is in words: the rest is in JSON.
const IN_WORDS: usize = 3;

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.devices > 1 {
            write!(f, "{} devices: ", self.devices)?;
        }
        let many = |one: &str, many: &str| match self.count {
            1 => format!("a {one}"),
            count => format!("{count} {many}"),
        };
        match self.what {
            What::NewPeer => f.write_str(&many("new peer", "new peers"))?,
            What::NewService => f.write_str(&many("new service", "new services"))?,
            What::NewCountry => f.write_str(&many("new country", "new countries"))?,
            What::Volume => f.write_str("more than ever in an hour")?,
            What::Silence => f.write_str("silent")?,
        }
        match (self.what, self.measured) {
            (What::Volume, Some(Measured { found, usual, .. })) => {
                write!(f, ", {found} bytes where {usual} were the most")?;
            }
            (_, Some(Measured { found, usual, .. })) => {
                write!(f, " for {}, where {} was the longest", Span(found), Span(usual))?;
            }
            (_, None) => {}
        }
        let said: Vec<String> = self.evidence.iter().take(IN_WORDS).map(|one| self.said(one)).collect();
        if said.is_empty() || (self.what == What::Silence && self.devices == 1) {
            return Ok(());
        }
        let more = self.count.max(self.devices).saturating_sub(said.len() as u64);
        let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
        write!(f, ": {}{rest}", said.join("; "))
    }
}

impl Drift {
    fn said(&self, evidence: &Evidence) -> String {
        match (self.devices > 1, evidence.peer()) {
            (true, Some(_)) => format!("{} {evidence}", evidence.device),
            (true, None) => evidence.device.clone(),
            (false, _) => evidence.to_string(),
        }
    }
}

/// Seconds in words: `3h 20m`.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, hours, minutes) = (self.0 / 86_400, self.0 / 3_600 % 24, self.0 / 60 % 60);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{}s", self.0),
            (0, 0, minutes) => write!(f, "{minutes}m"),
            (0, hours, minutes) => write!(f, "{hours}h {minutes}m"),
            (days, hours, _) => write!(f, "{days}d {hours}h"),
        }
    }
}
