//! Compiles a program to BPF from a build script, by the route that was found.
#![allow(clippy::print_stdout)] // how a build script speaks to cargo

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::Route;

/// The instruction set: `v3` has 32-bit arithmetic and jumps, and every kernel that runs XDP programs
/// with fragments (5.18) has it. The compiler's own choice is older, longer, and slower to verify.
const TARGET_CPU: &str = "v3";

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
/// workspace.
///
/// # Errors
/// When no route is complete, or the compiler refuses the program.
pub fn build(program: &Program<'_>) -> Result<()> {
    println!("cargo:rerun-if-env-changed={}", crate::OVERRIDE);
    let manifest = variable("CARGO_MANIFEST_DIR")?;
    let workspace = Path::new(&manifest).parent().context("failed to find the workspace")?;
    for source in program.sources.iter().chain(&[program.package, "Cargo.toml", "Cargo.lock"]) {
        println!("cargo:rerun-if-changed={}", workspace.join(source).display());
    }

    let route = crate::find().context("run `cargo xtask setup`")?;
    let out = PathBuf::from(variable("OUT_DIR")?);
    let target = if variable("CARGO_CFG_TARGET_ENDIAN")? == "big" { "bpfeb" } else { "bpfel" };
    let target = format!("{target}-unknown-none");
    // Not the outer build's folder, which that build has locked.
    let folder = out.join("bpf");
    let mut cargo = cargo(&route, program.package, &target)?;
    cargo.current_dir(workspace).arg("--target-dir").arg(&folder);
    let output = cargo.output().with_context(|| format!("failed to start {cargo:?}"))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "failed to compile `{}`\n{messages}", program.package);
    for line in messages.lines() {
        println!("cargo:warning={line}");
    }
    let compiled = folder.join(target).join("release").join(program.package);
    fs::copy(&compiled, out.join(program.object))
        .with_context(|| format!("failed to copy `{}`", compiled.display()))?;
    Ok(())
}

/// The inner build. It writes nothing but warnings and errors.
fn cargo(route: &Route, package: &str, target: &str) -> Result<Command> {
    let mut flags = vec![
        format!("--cfg=bpf_target_arch=\"{}\"", target_arch()?), // what `aya-ebpf` has per architecture
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        format!("-Ctarget-cpu={TARGET_CPU}"),
    ];
    // Of the outer build's flags, those that keep paths of this machine out: its BTF names sources.
    let outer = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    flags.extend(
        outer.split('\x1f').filter(|flag| flag.starts_with("--remap-path-prefix=")).map(str::to_owned),
    );
    let mut cargo = Command::new("rustup");
    cargo
        .args(["run", route.toolchain_name(), "cargo", "build", "--quiet", "--release", "--bins"])
        .args(["--package", package, "--target", target])
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .envs(route.environment(package))
        // They name the outer build's compiler.
        .env_remove("RUSTC")
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    if let Route::Nightly { .. } = route {
        cargo.args(["-Z", "build-std=core"]);
    }
    Ok(cargo)
}

/// The architecture whose kernel is to run the program, as `aya-ebpf` calls it.
fn target_arch() -> Result<String> {
    let arch = variable("CARGO_CFG_TARGET_ARCH")?;
    Ok(if arch.starts_with("riscv64") { "riscv64".to_owned() } else { arch })
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("failed to read `{name}`"))
}
