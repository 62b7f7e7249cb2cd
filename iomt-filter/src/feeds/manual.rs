//! Blocks that an operator added by hand. They are a feed of their own.

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The name of the feed that manual blocks are in.
pub const FEED: &str = "manual";

/// One block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualBlock {
    /// The addresses.
    pub target: IpNet,
    /// 0 to 100.
    pub score: u8,
    /// When it ends; never where there is nothing.
    pub until: Option<Timestamp>,
    /// Why.
    pub note: Option<String>,
    /// When it was added.
    pub added: Timestamp,
    /// By whom.
    pub by: String,
}
