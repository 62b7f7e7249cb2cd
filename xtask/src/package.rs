//! `package`: the Debian package, made of what cargo builds and of `packaging/`.
//!
//! What comes out depends on the sources, the compiler and `SOURCE_DATE_EPOCH` alone: without one, time is that of the
//! changelog. Nothing is installed, and nothing outside of the build folder changes.

mod bill;
mod changelog;
mod contents;
mod control;
mod copyright;
mod fields;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::compile;
use crate::packages::{CYCLONEDX, PACKAGER};
use crate::process;
use crate::say;
use crate::setup;
use changelog::Changelog;
use fields::Architecture;

/// How the program inside is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// For use.
    Release,
    /// For tests, as they have it already.
    Debug,
}

impl Build {
    /// How the package is compressed: what is unpacked again at once is not worth the time.
    const fn compression(self) -> [&'static str; 2] {
        match self {
            Self::Release => ["-Zxz", "-z6"],
            Self::Debug => ["-Zgzip", "-z1"],
        }
    }
}

/// Builds and packs, shows what `lintian` says, and prints the package's path.
pub(crate) fn run(folder: Option<PathBuf>) -> Result<()> {
    setup::ensure_tools(&PACKAGER, &[CYCLONEDX])?;
    let build_folder = target().join("package");
    let program = program(Build::Release, &build_folder)?;
    let packer = Packer::of(&program, Build::Release, &build_folder)?;
    let package = packer.pack(&packer.changelog.version, &folder.unwrap_or(build_folder))?;
    // What it finds depends on its version: here it is for whoever packs, in the test it decides.
    let _ = lint(&package);
    say::result(&package.display().to_string());
    Ok(())
}

/// Installs, upgrades, removes and purges it in a bare Debian that it makes, under counted traffic.
///
/// The program in it is the debug build, which the other tests have built: a release build would take longer than all
/// that is tested here.
pub(crate) fn test() -> Result<()> {
    process::require_root("package --test")?;
    setup::ensure_tools(&PACKAGER, &[CYCLONEDX])?;
    let folder = target().join("tmp/package");
    let program = program(Build::Debug, &folder)?;
    let packer = Packer::of(&program, Build::Debug, &folder)?;
    let old = packer.pack(&packer.changelog.version, &folder)?;
    lint(&old)?;
    let again = fs::read(&old).with_context(|| format!("failed to read `{}`", old.display()))?;
    let same = packer.pack(&packer.changelog.version, &folder)?;
    ensure!(fs::read(&same).ok().as_ref() == Some(&again), "packing twice gives two different packages");
    let new = packer.pack(&format!("{}+next", packer.changelog.version), &folder)?;
    let mut test = process::cargo(&["test", "--package", "iomt-filter-tests", "--test", "netns", "package"]);
    test.args(["--", "--nocapture"]).env("IOMT_FILTER_BIN", &program);
    process::run(test.env("IOMT_FILTER_PACKAGES", std::env::join_paths([old, new])?))
}

/// Cargo's build folder.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| process::workspace().join("target"), PathBuf::from)
}

fn program(build: Build, folder: &Path) -> Result<PathBuf> {
    match build {
        Build::Debug => {
            let both = ["--package", "iomt-filter", "--package", "iomt-filter-tests"];
            compile::agent(&[&both[..], &["--bin", "iomt-filter", "--test", "netns"]].concat())
        }
        // In a folder of its own: its flags would have `cargo xtask build` build everything anew.
        Build::Release => compile::agent_without_paths(folder),
    }
}

/// What every package of one program has in common.
struct Packer {
    changelog: Changelog,
    architecture: Architecture,
    tree: PathBuf,
    depends: String,
    epoch: String,
    build: Build,
}

impl Packer {
    /// Lays out the files of a package below `folder`.
    fn of(program: &Path, build: Build, folder: &Path) -> Result<Self> {
        let changelog = Changelog::read()?;
        let epoch = std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| changelog.timestamp.clone());
        let tree = folder.join("tree");
        if tree.exists() {
            fs::remove_dir_all(&tree).with_context(|| format!("failed to empty `{}`", tree.display()))?;
        }
        contents::lay_out(&tree, program, &epoch)?;
        let depends = fields::libraries(folder, &tree.join(contents::PROGRAM))?;
        Ok(Self { changelog, architecture: Architecture::ask()?, tree, depends, epoch, build })
    }

    /// Makes the package of a version in `folder`, and returns its path.
    fn pack(&self, version: &str, folder: &Path) -> Result<PathBuf> {
        control::write(self, version)?;
        fs::create_dir_all(folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
        let path = folder.join(format!("iomt-filter_{version}_{}.deb", self.architecture));
        let mut pack = Command::new("dpkg-deb");
        pack.arg("--root-owner-group")
            .args(self.build.compression())
            .arg("--build")
            .arg(&self.tree)
            .arg(&path);
        process::run(pack.env("SOURCE_DATE_EPOCH", &self.epoch).stdout(std::io::stderr()))?;
        Ok(path)
    }
}

/// Asks `lintian`, which fails for errors and warnings.
fn lint(package: &Path) -> Result<()> {
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error,warning", "--allow-root"]).arg(package);
    process::run(lintian.stdout(std::io::stderr()))
}
