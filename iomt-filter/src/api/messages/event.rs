//! What is asked about events, and what is said of where they go.

use std::collections::BTreeMap;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::events::Record;
use crate::policy::peer;

/// The query of `GET /v1/events`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Go on with new events as they come.
    #[serde(default)]
    pub follow: bool,
    /// Only events since then.
    pub since: Option<Timestamp>,
    /// Only events until then.
    pub until: Option<Timestamp>,
    /// Only of this device.
    pub device: Option<String>,
    /// Only for this reason.
    pub reason: Option<String>,
    /// Only with a far end of this address or prefix.
    #[serde(default, deserialize_with = "network")]
    pub peer: Option<IpNet>,
    /// The latest this many.
    pub limit: Option<usize>,
}

impl EventQuery {
    /// Whether an event is asked for.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        self.since.is_none_or(|since| record.time.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| record.time.is_some_and(|time| time <= until))
            && self.device.as_ref().is_none_or(|device| record.device.as_ref() == Some(device))
            && self.reason.as_ref().is_none_or(|reason| *reason == record.reason)
            && self.peer.is_none_or(|network| record.peer().is_some_and(|peer| network.contains(&peer)))
    }
}

/// An address or a prefix.
fn network<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<IpNet>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    peer::network(&text).map(Some).map_err(serde::de::Error::custom)
}

/// How events are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveStatus {
    /// The database.
    pub path: String,
    /// Events in it, when they were last counted.
    pub kept: Option<u64>,
    /// Its size in bytes, at the same time.
    pub bytes: u64,
    /// Why they are not kept at the moment.
    pub error: Option<String>,
    /// Where a database is that was damaged, where one was since the agent started.
    pub moved_aside: Option<String>,
    /// What became of the records that were read.
    #[serde(flatten)]
    pub events: Emission,
}

/// Where events go, and how that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// `file`, `syslog` or `journald`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How events are written, where there is a choice.
    pub format: Option<String>,
    /// The file, server or socket.
    pub target: String,
    /// `up`, or `down` while it takes none.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
    /// Why it is down.
    pub error: Option<String>,
    /// What became of the records that were read.
    #[serde(flatten)]
    pub events: Emission,
}

/// What became of the records that the agent has read since it started, by verdict: `emitted + lost + waiting` is the
/// number of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emission {
    /// Those that went on.
    #[serde(default)]
    pub emitted: BTreeMap<String, u64>,
    /// Those that did not, and will not.
    #[serde(default)]
    pub lost: BTreeMap<String, u64>,
    /// Those that are still to go on.
    #[serde(default)]
    pub waiting: BTreeMap<String, u64>,
}
