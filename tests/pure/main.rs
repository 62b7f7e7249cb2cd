//! Parsing and judging on byte slices: no root, no kernel, no clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod cases;
mod contract;
mod countries;
mod differential;
mod metamorphic;
mod reading;
mod worlds;
