//! Profiles of devices that ship: what is documented of what a kind of device says on the network, each rule with its
//! source, and made into a profile of this site's policy.
//!
//! The text of a file comes in and is read into a [`Shipped`]; with the site's [`Bindings`](crate::bindings::Bindings)
//! and the names of its policy, [`import`](import()) makes an [`Imported`] of it. Far ends that nobody is bound to keep
//! the name that the file gives them, for the site to define. Nothing here reads a file, and nothing is guessed.

mod file;
mod import;
mod text;

pub use file::{Need, Rule, Shipped, Source};
pub use import::{Imported, Missing, import};

/// Octets of a file at most.
pub const LARGEST: usize = 1 << 20;
