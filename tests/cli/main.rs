//! The command line: exit codes, standard output and standard error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod program;
mod captures;
mod readme;
mod replay;
mod explain;
mod plan;
mod bundle;
mod doctor;
mod audit;
mod corpus;
mod feed;
mod service;
mod prometheus;
mod events;
mod mud;
mod profiles;
mod mds2;
mod top;
mod risk;
