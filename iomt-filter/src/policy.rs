//! Policy: what the user wrote ([`source`]), what it means ([`model`]), what is loaded ([`compile`]).
//!
//! A text and its name come in, [`Rows`](crate::rows::Rows) go out. Nothing here reads files, touches
//! the kernel or the network.

pub mod error;
pub mod builtin;
pub mod service;
pub(crate) mod wording;
pub mod peer;
pub mod limits;
pub mod source;
pub mod model;
mod resolve;
pub mod overlap;
pub mod classes;
mod matrix;
pub mod compile;

pub use compile::{Extras, compile};
pub use model::Policy;
pub use resolve::Vocabulary;
pub(crate) use resolve::is_name;
