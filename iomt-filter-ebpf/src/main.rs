//! The XDP program: reads a frame, judges it, reports it, acts.
//!
//! What is decided, and in which order, stands in `iomt_filter_common::decide`. On other architectures
//! than BPF this crate is an empty program, so that lints and tests of the workspace reach it.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
// Compare and exchange: the kernel has it (5.12), `core::sync::atomic` does not for this target. And assembly, to
// read numbers wherever they lie.
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics, asm_experimental_arch), allow(internal_features))]

#[cfg(target_arch = "bpf")]
mod answer;
#[cfg(target_arch = "bpf")]
mod flows;
#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod lists;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod program;
#[cfg(target_arch = "bpf")]
mod report;
#[cfg(target_arch = "bpf")]
mod stages;
#[cfg(target_arch = "bpf")]
mod tables;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
