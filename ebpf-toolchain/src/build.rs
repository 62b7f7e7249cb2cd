//! Compiles a program to BPF from a build script, by the route that was found.
#![allow(clippy::print_stdout)] // how a build script speaks to cargo

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain};

/// A program to compile.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Its package, a folder of the workspace; the package builds a binary of the same name.
    pub package: &'a str,
    /// The name that the object gets in `OUT_DIR`.
    pub object: &'a str,
    /// What else it is made of: files and folders of the workspace.
    pub sources: &'a [&'a str],
}

/// Compiles `program` into `OUT_DIR`. Only for a build script of a package whose folder lies in the
/// workspace, and only while that has one thread.
///
/// # Errors
/// When no route is complete, or the compiler refuses the program.
pub fn build(program: &Program<'_>) -> Result<()> {
    println!("cargo:rerun-if-env-changed={}", crate::OVERRIDE);
    let manifest = env::var("CARGO_MANIFEST_DIR").context("failed to read `CARGO_MANIFEST_DIR`")?;
    let workspace = Path::new(&manifest).parent().context("failed to find the workspace")?;
    for source in program.sources.iter().chain(&["Cargo.toml", "Cargo.lock"]) {
        println!("cargo:rerun-if-changed={}", workspace.join(source).display());
    }

    let route = crate::find().context("run `cargo xtask setup`")?;
    // Every line that the inner cargo writes comes out as a warning: only let it write those.
    let quiet = ("CARGO_TERM_QUIET", "true".to_owned());
    for (key, value) in route.environment(program.package).into_iter().chain([quiet]) {
        // SAFETY: the build script has no other thread that could read the environment.
        unsafe { env::set_var(key, value) };
    }
    let root = workspace.join(program.package);
    let root_dir = root.to_str().context("failed to name the program's folder: it is not UTF-8")?;
    let package = Package { name: program.package, root_dir, ..Package::default() };
    aya_build::build_ebpf([package], Toolchain::Custom(route.toolchain_name()))?;
    let out = PathBuf::from(env::var_os("OUT_DIR").context("failed to read `OUT_DIR`")?);
    fs::rename(out.join(program.package), out.join(program.object))
        .context("failed to name the compiled program")
}
