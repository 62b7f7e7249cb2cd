//! Manufacturer usage descriptions (RFC 8520): what a maker says that a device needs, as rules of the policy, and rules
//! of the policy as such a file.
//!
//! The bytes of a file come in and are [`read`](read()) into a [`Mud`]; with the site's [`Bindings`] and the addresses of
//! its names, [`import`] makes an [`Imported`] of it. [`export`] goes the other way. A file is somebody else's: it is
//! bounded, nothing in it is guessed, and no text of it is shown as it stands. Nothing here reads a file, asks a name
//! server or looks at a clock.

mod entry;
mod object;
mod ports;
mod read;
mod acl;
mod far;
mod import;
mod merge;
mod report;
mod document;
mod export;
mod validate;

pub use crate::bindings::Bindings;
pub use export::{ExportError, Exported, Exporting, export};
pub use import::{Ground, import};
pub use read::{About, LARGEST, Mud, ReadError, read};
pub use report::{Answer, Imported, LeftOut, Rule};
pub use validate::validate;
