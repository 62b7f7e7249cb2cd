//! The program in the kernel, by `BPF_PROG_TEST_RUN`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod cases;
mod changes;
mod differential;
mod explain;
mod generations;
mod plans;
mod program;
mod swaps;
mod tampering;
mod unprivileged;
mod watching;
