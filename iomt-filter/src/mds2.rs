//! Tables of the ports that a maker discloses beside its MDS2 (ANSI/NEMA HN 1-2019), as CSV: rules of the policy.
//!
//! The form itself asks about ports in words; what makers and hospitals exchange is a table, and none is standard. So
//! columns are found by their titles, in any order; what a line means is taken as it stands or not at all. The bytes of
//! a file come in and are [`read`](read()) into a [`Table`]; with the site's [`Bindings`](crate::bindings::Bindings),
//! [`import`](import()) makes an [`Imported`] of it. Nothing here reads a file, and no text of one is shown as it stands.

mod column;
mod table;
mod ports;
mod line;
mod import;
mod report;

pub use import::{Ground, ImportError, import};
pub use report::{Imported, LeftOut, Rule};
pub use table::{LARGEST, ReadError, Table, read};
