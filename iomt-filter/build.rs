//! Compiles the XDP program to BPF, as `iomt-filter` in `OUT_DIR`.
#![allow(clippy::print_stdout, clippy::print_stderr)] // how a build script speaks to cargo

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use aya_build::{Package, Toolchain};

/// The package, and the binary that it builds.
const PROGRAM: &str = "iomt-filter-ebpf";

/// The name that the loader embeds it by.
const OBJECT: &str = "iomt-filter";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<()> {
    println!("cargo:rerun-if-env-changed={}", ebpf_toolchain::OVERRIDE);
    let agent = env::var("CARGO_MANIFEST_DIR").context("failed to read `CARGO_MANIFEST_DIR`")?;
    let workspace = Path::new(&agent).parent().context("failed to find the workspace")?;
    // What else the program is made of; `aya-build` names the package itself.
    for source in ["iomt-filter-common/src", "iomt-filter-common/Cargo.toml", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", workspace.join(source).display());
    }

    let route = ebpf_toolchain::find().context("run `cargo xtask setup`")?;
    // Every line that the inner cargo writes comes out as a warning: only let it write those.
    let quiet = ("CARGO_TERM_QUIET", "true".to_owned());
    for (key, value) in route.environment(PROGRAM).into_iter().chain([quiet]) {
        // SAFETY: this build script has no other thread yet that could read the environment.
        unsafe { env::set_var(key, value) };
    }
    let root = workspace.join(PROGRAM);
    let root_dir = root.to_str().context("failed to name the program's folder: it is not UTF-8")?;
    let package = Package { name: PROGRAM, root_dir, ..Package::default() };
    aya_build::build_ebpf([package], Toolchain::Custom(route.toolchain_name()))?;
    let out = PathBuf::from(env::var_os("OUT_DIR").context("failed to read `OUT_DIR`")?);
    fs::rename(out.join(PROGRAM), out.join(OBJECT)).context("failed to name the compiled program")
}
