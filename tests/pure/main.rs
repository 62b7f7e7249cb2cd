//! Parsing and judging on byte slices: no root, no kernel, no clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod again;
mod any_bytes;
mod cases;
mod contract;
mod countries;
mod differential;
mod feed_corpus;
mod feed_formats;
mod invariants;
mod lookups;
mod mud_corpus;
mod sbom_corpus;
mod plans;
mod reading;
mod top;
mod worlds;
