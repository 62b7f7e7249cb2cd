//! Real traffic through network namespaces. Needs root; says so where it has to skip.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod namespaces;
