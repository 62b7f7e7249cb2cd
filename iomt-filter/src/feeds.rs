//! Threat lists: fetched ([`mod@fetch`]), read ([`formats`]), held back where they would hurt ([`guard`]), put together
//! ([`merge`]).
//!
//! Bytes and scores come in, rows of listings go out, and an account of everything that did not make
//! it. Nothing here but [`mod@fetch`] reads files or the network.

pub mod schedule;
pub mod fetch;
pub mod entry;
pub mod formats;
pub mod guard;
pub mod manual;
pub mod merge;

pub use entry::{About, Category, Domain, Entry};
pub use formats::{Format, Parsed, Reading, Reject};
pub use guard::{Guard, Reason, Removed};
pub use manual::ManualBlock;
