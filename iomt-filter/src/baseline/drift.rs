//! What a device does that it never did: a far end, a service, a country, more in an hour than ever, nothing at all.
//!
//! What is known of a device ([`Known`]) and what a reading saw of it come in; whether that is told goes out. Times here
//! are seconds for which was watched, and not of a clock: what nobody watched is neither silence nor learned, and a clock
//! that is set changes nothing. Nothing here reads a database, a map or a clock.

mod folding;
mod known;

pub use folding::{Folding, MOST_DEVICES, Told, fold};
pub use known::{Beyond, Hour, Known};

/// An hour, in seconds.
pub const HOUR: u64 = 3_600;
/// A day, in seconds.
pub const DAY: u64 = 24 * HOUR;
/// Days of which is remembered what was usual: four weeks hold what happens once a month.
pub const PAST_DAYS: u64 = 30;
