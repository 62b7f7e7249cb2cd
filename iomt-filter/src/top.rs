//! The live screen: what the agent says, once a second, on a terminal.
//!
//! [`asking`] asks and tells, [`model`] knows what was told and what the keys made of it, [`view`] draws that into a
//! buffer, [`screen`] is the terminal. Model, layout, pages and view do no I/O and read no clock; nothing here changes
//! anything.

pub mod plain;
pub mod layout;
pub mod model;
pub mod page;
pub mod view;
pub mod asking;
pub mod screen;
