//! Threat lists: fetched ([`mod@fetch`]) when it is time ([`schedule`]), read ([`formats`]), put in order and kept
//! ([`list`]), held back where they would hurt ([`guard`] for entries, [`gate`] for lists), put together ([`merge`]).
//!
//! Bytes and scores come in, rows of listings go out, and an account of everything that did not make
//! it. Nothing here but [`mod@fetch`] reads files or the network.

pub mod schedule;
pub mod fetch;
pub mod entry;
pub mod formats;
pub mod list;
pub mod guard;
pub mod gate;
pub mod manual;
pub mod merge;

pub use entry::{About, Category, Domain, Entry};
pub use formats::{Format, Parsed, Reading, Reject};
pub use gate::{FarEnd, Held, Limits};
pub use guard::{Floor, Guard, Reason, Removed};
pub use list::List;
pub use manual::ManualBlock;
