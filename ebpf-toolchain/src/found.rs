//! What lies on this machine: the facts that the choice is made from.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::OVERRIDE;

/// The facts, gathered once and then only read.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The toolchain that [`OVERRIDE`] names.
    pub(crate) wanted: Option<String>,
    pub(crate) rustup: bool,
    /// rustup's toolchains that answer.
    pub(crate) toolchains: Vec<Toolchain>,
    /// The distribution's compiler is installed with a `core` for BPF, linked into rustup or not.
    pub(crate) system_core: bool,
    /// `bpf-linker` is on the path and finds its libraries.
    pub(crate) linker: bool,
    /// LLVM's development files, that `bpf-linker` is built against, are installed.
    pub(crate) llvm: bool,
}

/// One toolchain that rustup can run.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    pub(crate) name: String,
    pub(crate) release: Release,
    /// The source of `core` is there, for `-Z build-std`.
    pub(crate) source: bool,
    /// A compiled `core` for BPF is there.
    pub(crate) core: bool,
}

/// A compiler's version, as far as the choice needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) nightly: bool,
}

impl Release {
    /// Reads `1.97.0-nightly`, or a package version such as `1.96.0+dfsg1-1~deb12u2`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Self { major, minor, nightly: text.ends_with("-nightly") || text.ends_with("-dev") })
    }

    /// Whether it takes the workspace's `rust-version`.
    pub(crate) fn is_new_enough(self) -> bool {
        Self::parse(env!("CARGO_PKG_RUST_VERSION"))
            .is_none_or(|oldest| (self.major, self.minor) >= (oldest.major, oldest.minor))
    }
}

impl Found {
    pub(crate) fn look() -> Self {
        let names = output("rustup", &["toolchain", "list"]);
        Self {
            wanted: env::var(OVERRIDE).ok().filter(|name| !name.is_empty()),
            rustup: names.is_some(),
            toolchains: toolchain_names(&names.unwrap_or_default()).filter_map(Toolchain::look).collect(),
            system_core: output("/usr/bin/rustc", &["--print", "sysroot"])
                .is_some_and(|sysroot| has_core(Path::new(sysroot.trim()))),
            linker: output("bpf-linker", &["--version"]).is_some(),
            llvm: ["bin/llvm-config", "lib/libPolly.a"]
                .iter()
                .all(|file| Path::new("/usr/lib/llvm-22").join(file).exists()),
        }
    }
}

impl Toolchain {
    /// None when it does not answer, as a link whose target is gone.
    fn look(name: &str) -> Option<Self> {
        let rustc = |arguments: &[&str]| output("rustup", &[&["run", name, "rustc"], arguments].concat());
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
        let version = rustc(&["--version", "--verbose"])?;
        let release = version.lines().find_map(|line| line.strip_prefix("release: "))?;
        Some(Self {
            name: name.to_owned(),
            release: Release::parse(release)?,
            source: sysroot.join("lib/rustlib/src/rust/library").is_dir(),
            core: has_core(&sysroot),
        })
    }
}

/// Reads the names out of `rustup toolchain list`, without marks such as `(default)`.
fn toolchain_names(list: &str) -> impl Iterator<Item = &str> {
    list.lines()
        .filter(|line| !line.starts_with("no installed toolchains"))
        .filter_map(|line| line.split_whitespace().next())
}

/// Whether a compiler and cargo stand beside a compiled `core` for BPF in this host's byte order.
fn has_core(sysroot: &Path) -> bool {
    let target = if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };
    let Ok(libraries) = fs::read_dir(sysroot.join("lib/rustlib").join(target).join("lib")) else {
        return false;
    };
    let is_core = |name: &str| name.starts_with("libcore-") && name.ends_with(".rlib");
    sysroot.join("bin/cargo").exists()
        && libraries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_core))
}

/// Standard output of a command that succeeded.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    // A missing toolchain must be reported, not downloaded.
    let output = Command::new(program)
        .args(arguments)
        .env("RUSTUP_AUTO_INSTALL", "0")
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_of_a_nightly_and_of_a_package() {
        let nightly = Release { major: 1, minor: 97, nightly: true };
        assert_eq!(Release::parse("1.97.0-nightly"), Some(nightly));
        let packaged = Release { major: 1, minor: 96, nightly: false };
        assert_eq!(Release::parse("1.96.0+dfsg1-1~deb12u2"), Some(packaged));
        assert_eq!(Release::parse("(none)"), None);
    }

    #[test]
    fn toolchain_list_with_marks_paths_and_nothing() {
        let names = |list| toolchain_names(list).collect::<Vec<_>>();
        assert_eq!(names("stable-x86_64 (active, default)\nbpf-debian\n"), ["stable-x86_64", "bpf-debian"]);
        assert!(names("no installed toolchains\n").is_empty());
    }

    #[test]
    fn a_folder_without_a_compiler_has_no_core() {
        assert!(!has_core(Path::new("/nonexistent")));
    }
}
