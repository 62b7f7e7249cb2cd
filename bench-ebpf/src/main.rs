//! The XDP programs of the bench. On other architectures than BPF this is an empty program.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod lookups;
#[cfg(target_arch = "bpf")]
mod program;
#[cfg(target_arch = "bpf")]
mod variant;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
