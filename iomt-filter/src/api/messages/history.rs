//! `GET /v1/flows/history`: who talked to whom.

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lookup::Talked;

/// Contacts that are told where nobody says how many.
pub const MOST_TALKED: usize = 1_000;

/// The query.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Only of this device.
    pub device: Option<String>,
    /// Only with far ends in this network.
    pub peer: Option<IpNet>,
    /// Only of what was seen then or later.
    pub since: Option<Timestamp>,
    /// How many at most; [`MOST_TALKED`] where nothing is said.
    pub limit: Option<usize>,
}

/// What a device had to do with a far end on one service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HistoryStatus {
    /// Who with whom, what, how much, when.
    #[serde(flatten)]
    pub talked: Talked,
    /// The device that the far end is, or the endpoint of the policy that it is in.
    pub name: Option<String>,
    /// Its country, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// The most severe entry that lists it now.
    pub listed: Option<Listed>,
    /// Packets that no rule allowed, and that passed because the device was in `monitor` or `learn`.
    pub outside: u64,
    /// When the last of those passed.
    pub last_outside: Option<Timestamp>,
}

/// An entry of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// The feed, `manual` for a block by hand.
    pub feed: Option<String>,
    /// The entry.
    pub entry: String,
    /// Its score.
    pub score: u8,
}
