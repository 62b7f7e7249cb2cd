//! `[[feed]]` and `[gate]` of config.toml: lists, where they come from, and what they may not do. Values only.

use std::time::Duration;

use ipnet::IpNet;

use super::read::DAY;
use crate::diagnostic::Place;
use crate::feeds::fetch::{Origin, Source};
use crate::feeds::formats::{Columns, Pointers};
use crate::feeds::{Category, Floor, Format, Limits};

mod read;

pub(super) use read::{feeds, gate};

/// One `[[feed]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// Its format.
    pub format: Format,
    /// Where generic CSV has what.
    pub columns: Columns,
    /// Where JSON has what.
    pub pointers: Pointers,
    /// The score of entries that carry none, 0 to 100.
    pub score: u8,
    /// Entries with a lower score are not listed.
    pub min_score: u8,
    /// The category of entries that carry none.
    pub category: Option<Category>,
    /// How often it is read again.
    pub refresh: Duration,
    /// How long entries are kept that are no longer in the list.
    pub expire: Duration,
    /// Whether it is used.
    pub enabled: bool,
    /// Whether its entries are addresses that no feed may list.
    pub never_block: bool,
    /// What a new list of it may not do.
    pub limits: Limits,
    /// Where it stands.
    pub place: Place,
}

/// `[gate]`: what holds for every list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateConfig {
    /// The shortest prefixes that a list may have.
    pub floor: Floor,
    /// Whether the well-known public resolvers are spared.
    pub public_resolvers: bool,
    /// What no list may block.
    pub never_block: Vec<IpNet>,
    /// How far back devices' far ends count: a new entry that covers one is held. Zero: none counts.
    pub impact: Duration,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self { floor: Floor::default(), public_resolvers: true, never_block: Vec::new(), impact: 30 * DAY }
    }
}

impl Feed {
    /// Whether it is fetched from a server, and not read from a file.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        matches!(self.source.origin, Origin::Server(_))
    }
}
