//! What an event means on this host: names behind numbers, the far end's country, the time of day.

use std::net::IpAddr;

use iomt_filter_common::event::Event;
use iomt_filter_common::geo::Country;
use iomt_filter_common::reputation::Listing;
use iomt_filter_common::{Address, Reason};
use ipnet::IpNet;
use jiff::Timestamp;

use super::{Expected, Record};
use crate::rows::{Names, Prefix};

/// What only this host knows.
#[derive(Clone, Copy)]
pub struct EnrichContext<'c> {
    /// The host's name.
    pub host: &'c str,
    /// The name of an interface by its index.
    pub interface: &'c dyn Fn(u32) -> Option<String>,
    /// The country of an address, as two letters; the program's own answer is used where this has none.
    pub country: &'c dyn Fn(IpAddr) -> Option<[u8; 2]>,
    /// What the inventory expects of a device, by its number.
    pub expected: &'c dyn Fn(u32) -> Option<Expected>,
    /// Nanoseconds from 1970 to where the event's clock begins: when the host booted, or 0 in a replay.
    pub time_base: i128,
}

/// Fills in the fields that the frame itself does not hold.
pub(super) fn add(record: &mut Record, event: &Event, names: &Names, context: &EnrichContext<'_>) {
    let decision = &event.decision;
    // As exact as it is written and kept: what reads it back finds the same.
    let time = Timestamp::from_nanosecond(context.time_base + i128::from(event.time)).ok();
    record.time = time.and_then(|time| Timestamp::from_microsecond(time.as_microsecond()).ok());
    record.host = context.host.to_owned();
    record.interface = match event.interface {
        0 => None,
        index => Some((context.interface)(index).unwrap_or_else(|| number(index))),
    };
    record.device = named(decision.device, names.devices.get(&decision.device));
    record.profile = named(decision.profile, names.profiles.get(&decision.profile));
    record.rule = named(decision.rule, names.rules.get(&decision.rule));
    if decision.reason() == Some(Reason::Spoofed) && decision.device != 0 {
        record.expected = (context.expected)(decision.device);
    }
    let far = record.peer().map(Address::from);
    record.country = far.and_then(|far| country(far, Country(decision.country), context));
    let listing = decision.listing;
    if listing != Listing::NONE {
        record.feed = named(listing.feed, names.feeds.get(&listing.feed));
        record.entry = far.and_then(|far| entry(far, listing.prefix_bits));
        record.score = Some(listing.score);
    }
}

/// The name of a number; the number itself where it has lost its name, nothing for 0.
fn named<N: Into<u32>>(value: N, name: Option<&String>) -> Option<String> {
    match value.into() {
        0 => None,
        value => Some(name.cloned().unwrap_or_else(|| number(value))),
    }
}

fn number(number: u32) -> String {
    format!("#{number}")
}

fn country(far: Address, known: Country, context: &EnrichContext<'_>) -> Option<String> {
    if !far.has_country() {
        return None;
    }
    let code = (context.country)(far.into()).or(known.code())?;
    Some(String::from_utf8_lossy(&code).into_owned())
}

/// The list entry that matched `far`: its address cut to the entry's length.
fn entry(far: Address, bits: u8) -> Option<String> {
    let shift = if far.is_v4() { iomt_filter_common::addr::IPV4_PREFIX_BITS } else { 0 };
    let net = IpNet::new(far.into(), bits.saturating_sub(shift)).ok()?;
    Some(Prefix::from(net).to_string())
}
