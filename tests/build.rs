//! Compiles the programs of the bench to BPF, as `bench` in `OUT_DIR`.
#![allow(clippy::print_stderr)] // how a build script speaks to its user

use std::process::ExitCode;

use ebpf_toolchain::Program;

const PROGRAM: Program<'_> = Program {
    package: "bench-ebpf",
    object: "bench",
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
