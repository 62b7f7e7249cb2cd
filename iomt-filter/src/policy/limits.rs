//! `limits`: how much a device of a profile may send, be sent and have open.
//!
//! A `limits` table comes in, numbers by key go out. A number that a profile does not say is that of
//! `[defaults]`, each key by itself.

use std::ops::RangeInclusive;

use iomt_filter_common::policy as table;

use crate::document::{Reader, Section};

/// Flows of a device in a minute, where nothing else is said.
pub const FLOWS: u32 = 16_384;
/// A second holds that many at most: more than a link of 100 Gbit/s carries.
const RATES: RangeInclusive<u32> = 1..=200_000_000;
/// The table of all devices together remembers that many.
const MOST_FLOWS: RangeInclusive<u32> = 1..=131_072;
const HELP: &str = "leave it out for no limit of its own; `mode = \"quarantine\"` stops a device";

/// `limits`, each where it is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `from.packets`: packets a second from the device.
    pub packets_from: Option<u32>,
    /// `to.packets`: packets a second to the device.
    pub packets_to: Option<u32>,
    /// `from.connections`: new connections a second from the device.
    pub connections_from: Option<u32>,
    /// `to.connections`: new connections a second to the device.
    pub connections_to: Option<u32>,
    /// `flows`: flows with traffic in one minute.
    pub flows: Option<u32>,
}

impl Limits {
    /// Reads `limits` of a section.
    pub(super) fn read<'s>(parent: &Section<'_, 's>, reader: &mut Reader<'s>) -> Self {
        let Some(section) = parent.section("limits", &["from", "to", "flows"], reader) else {
            return Self::default();
        };
        let mut rates = |key: &str| {
            let side = section.section(key, &["packets", "connections"], reader);
            let mut rate = |key: &str| side.as_ref()?.number_within(key, RATES, HELP, reader);
            (rate("packets"), rate("connections"))
        };
        let (packets_from, connections_from) = rates("from");
        let (packets_to, connections_to) = rates("to");
        let flows = section.number_within("flows", MOST_FLOWS, HELP, reader);
        Self { packets_from, packets_to, connections_from, connections_to, flows }
    }

    /// These, and what they do not say as `others` say it.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            packets_from: self.packets_from.or(others.packets_from),
            packets_to: self.packets_to.or(others.packets_to),
            connections_from: self.connections_from.or(others.connections_from),
            connections_to: self.connections_to.or(others.connections_to),
            flows: self.flows.or(others.flows),
        }
    }

    /// As the tables hold them: 0 is no limit.
    #[must_use]
    pub fn row(self) -> table::Limits {
        table::Limits {
            packets_from: self.packets_from.unwrap_or(0),
            packets_to: self.packets_to.unwrap_or(0),
            connections_from: self.connections_from.unwrap_or(0),
            connections_to: self.connections_to.unwrap_or(0),
            flows: self.flows.unwrap_or(FLOWS),
            reserved: 0,
        }
    }
}
