//! What runs as metrics, in the text format of OpenMetrics 1.0.
//!
//! What `status` and `devices` show comes in, a text goes out. Nothing is computed here that they do not show, and
//! nothing is read: no kernel, no file, no clock. `docs/metrics.md` explains every family, and tests hold it to that.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use crate::api::messages::{DeviceStatus, Status};
use crate::intent::{FeedReport, GeoReport};

mod family;
mod agent;
mod attached;
mod content;
mod change;
mod outlets;
mod traffic;

pub use family::{Family, Kind};

/// What a family's name begins with.
pub const PREFIX: &str = "iomt_filter";

/// What the text is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is shown, of one moment.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What `status` shows.
    pub status: Status,
    /// What `devices` shows.
    pub devices: Vec<DeviceStatus>,
    /// The feeds in `status`, and how often each is to be read again, in seconds.
    pub feeds: Vec<(Arc<FeedReport>, Option<u64>)>,
    /// The country database in `status`.
    pub geo: Option<GeoReport>,
    /// Grants that hold.
    pub grants: usize,
    /// When.
    pub now: Timestamp,
}

impl Picture {
    /// Seconds from `then` until now, 0 where it lies ahead.
    fn since(&self, then: Timestamp) -> f64 {
        self.now.duration_since(then).as_secs_f64().max(0.0)
    }
}

/// Every family, in the order in which they are served.
pub fn families() -> impl Iterator<Item = &'static Family> {
    let all: [&[Family]; 6] = [
        &agent::FAMILIES,
        &attached::FAMILIES,
        &content::FAMILIES,
        &change::FAMILIES,
        &traffic::FAMILIES,
        &outlets::FAMILIES,
    ];
    all.into_iter().flatten()
}

/// Writes it down.
///
/// # Errors
/// When a family cannot be encoded.
pub fn text(picture: Picture) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Shown(picture)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Shown(Picture);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        families().try_for_each(|family| family.encode(&self.0, &mut encoder))
    }
}

#[cfg(test)]
mod tests;
