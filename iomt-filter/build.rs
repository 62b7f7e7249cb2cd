//! Compiles the XDP program to BPF, as `iomt-filter` in `OUT_DIR`.
#![allow(clippy::print_stderr)] // how a build script speaks to its user

use std::process::ExitCode;

use ebpf_toolchain::Program;

const PROGRAM: Program<'_> = Program {
    package: "iomt-filter-ebpf",
    object: "iomt-filter",
    sources: &["iomt-filter-common/src", "iomt-filter-common/Cargo.toml"],
};

fn main() -> ExitCode {
    match ebpf_toolchain::build(&PROGRAM) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
