//! The rules of this repository, as tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod boundaries;
mod checks;
mod hygiene;
mod metrics;
mod oldest_kernel;
mod reasons;
mod sources;
