//! The kernel: what it is, what it was told about BPF programs, and whether it takes ours.

use std::fs;
use std::path::Path;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::utsname::uname;

use crate::agent::core::chain;
use crate::datapath::{Datapath, LoadError, LoadOptions};

/// The kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// Whether it says how its own types are laid out.
    pub has_types: bool,
    /// `net.core.bpf_jit_enable`; nothing where it cannot be read, as in a network namespace.
    pub jit: Option<u8>,
    /// How it is locked down: `none`, `integrity`, `confidentiality`; nothing where that is not known.
    pub lockdown: Option<String>,
    /// Whether this process may lock as much memory as it likes.
    pub has_memory: bool,
    /// What it made of the filter's program.
    pub program: Trial,
}

/// What the kernel made of the filter's program, which was put on no interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trial {
    /// It took it.
    #[default]
    Taken,
    /// This process may not load any.
    NotAllowed,
    /// It refused it: why.
    Refused(String),
}

/// Few: it is not to remember any.
const FLOWS: u32 = 1_024;

impl Kernel {
    pub(super) fn read() -> Self {
        let release = uname().map(|name| name.release().to_string_lossy().into_owned());
        let number = |path| fs::read_to_string(path).ok()?.trim().parse().ok();
        Self {
            release: release.unwrap_or_default(),
            has_types: Path::new("/sys/kernel/btf/vmlinux").exists(),
            jit: number("/proc/sys/net/core/bpf_jit_enable"),
            lockdown: fs::read_to_string("/sys/kernel/security/lockdown")
                .ok()
                .and_then(|text| chosen(&text).map(str::to_owned)),
            has_memory: getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY),
            program: trial(),
        }
    }
}

/// The word in brackets: `none [integrity] confidentiality`.
fn chosen(text: &str) -> Option<&str> {
    Some(text.split_once('[')?.1.split_once(']')?.0)
}

/// Loads the program with tables that nobody else can reach, and lets go of both.
fn trial() -> Trial {
    match Datapath::load(&LoadOptions { flows: FLOWS, ..LoadOptions::default() }) {
        Ok(_) => Trial::Taken,
        Err(LoadError::NotAllowed(_)) => Trial::NotAllowed,
        Err(error) => Trial::Refused(chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lockdown_that_holds_is_in_brackets() {
        assert_eq!(chosen("none [integrity] confidentiality\n"), Some("integrity"));
        assert_eq!(chosen("none\n"), None);
    }

    #[test]
    fn the_kernel_has_a_release() {
        let kernel = Kernel::read();
        assert!(kernel.release.contains('.'), "{kernel:?}");
    }
}
