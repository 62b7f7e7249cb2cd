//! The two ways to a compiled program, and the choice between them.

use crate::found::{Found, Toolchain};

/// The crates that need unstable features of the compiler for BPF (inline assembly).
const UNSTABLE_CRATES: &str = "aya_ebpf";

/// A compiler for the kernel program. Each holds the name that `rustup run` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A nightly compiler with `rust-src`: builds `core` for BPF from source.
    Nightly {
        /// Its name in rustup.
        toolchain: String,
    },
    /// A stable compiler that brings a compiled `core` for BPF, as Debian's does.
    Debian {
        /// Its name in rustup.
        toolchain: String,
    },
}

impl Route {
    /// The name that `rustup run` takes.
    pub fn toolchain_name(&self) -> &str {
        match self {
            Self::Nightly { toolchain } | Self::Debian { toolchain } => toolchain,
        }
    }

    /// What has to stand in the environment of the build of `crate_name`.
    ///
    /// A stable compiler is allowed unstable features crate by crate, no more than is needed.
    pub fn environment(&self, crate_name: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::Nightly { .. } => Vec::new(),
            Self::Debian { .. } => {
                vec![("RUSTC_BOOTSTRAP", format!("{UNSTABLE_CRATES},{}", crate_name.replace('-', "_")))]
            }
        }
    }
}

/// The compiler alone; whether there is a linker is not asked here. In this order:
/// 1. the toolchain that the override names, or none;
/// 2. the newest nightly with the source of `core`;
/// 3. the newest compiler with a compiled `core` for BPF.
pub(crate) fn choose(found: &Found) -> Option<Route> {
    let allowed = |toolchain: &&Toolchain| {
        toolchain.release.is_new_enough()
            && found.wanted.as_ref().is_none_or(|wanted| is_called(toolchain, wanted))
    };
    let newest = |has_what_it_takes: fn(&Toolchain) -> bool| {
        let fit = found.toolchains.iter().filter(allowed).filter(|toolchain| has_what_it_takes(toolchain));
        fit.max_by_key(|toolchain| toolchain.release).map(|toolchain| toolchain.name.clone())
    };
    newest(|toolchain| toolchain.release.nightly && toolchain.source)
        .map(|toolchain| Route::Nightly { toolchain })
        .or_else(|| newest(|toolchain| toolchain.core).map(|toolchain| Route::Debian { toolchain }))
}

/// rustup lists `nightly` as `nightly-x86_64-unknown-linux-gnu`: both names are good.
pub(crate) fn is_called(toolchain: &Toolchain, wanted: &str) -> bool {
    let host = |rest: &str| rest.starts_with(&format!("-{}-", std::env::consts::ARCH));
    toolchain.name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || host(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::found::Release;

    fn toolchain(name: &str, release: &str, source: bool, core: bool) -> Toolchain {
        let release = Release::parse(release).unwrap();
        Toolchain { name: name.to_owned(), release, source, core }
    }

    fn choice(toolchains: &[Toolchain], wanted: Option<&str>) -> Option<Route> {
        let wanted = wanted.map(str::to_owned);
        choose(&Found { toolchains: toolchains.to_vec(), wanted, rustup: true, ..Found::default() })
    }

    fn nightly(name: &str) -> Option<Route> {
        Some(Route::Nightly { toolchain: name.to_owned() })
    }

    fn debian(name: &str) -> Option<Route> {
        Some(Route::Debian { toolchain: name.to_owned() })
    }

    #[test]
    fn nightly_with_source_goes_before_debian() {
        let both = [
            toolchain("bpf-debian", "1.96.0", false, true),
            toolchain("nightly", "1.97.0-nightly", true, false),
        ];
        assert_eq!(choice(&both, None), nightly("nightly"));
    }

    #[test]
    fn nightly_without_source_is_no_route() {
        let bare = toolchain("nightly", "1.97.0-nightly", false, false);
        assert_eq!(choice(std::slice::from_ref(&bare), None), None);
        assert_eq!(
            choice(&[bare, toolchain("bpf-debian", "1.96.0", false, true)], None),
            debian("bpf-debian")
        );
    }

    #[test]
    fn stable_with_source_is_no_route() {
        assert_eq!(choice(&[toolchain("stable", "1.96.0", true, false)], None), None);
    }

    #[test]
    fn newest_nightly_wins_and_one_older_than_the_workspace_never() {
        let old = toolchain("nightly-2024-01-01", "1.77.0-nightly", true, false);
        assert_eq!(choice(std::slice::from_ref(&old), None), None);
        let newer = toolchain("nightly-2026-03-01", "1.96.0-nightly", true, false);
        let newest = toolchain("nightly-2026-05-01", "1.97.0-nightly", true, false);
        assert_eq!(choice(&[newest, old, newer], None), nightly("nightly-2026-05-01"));
    }

    #[test]
    fn override_wins_and_has_no_substitute() {
        let both = [
            toolchain("bpf-debian", "1.96.0", false, true),
            toolchain(
                &format!("nightly-{}-unknown-linux-gnu", std::env::consts::ARCH),
                "1.97.0-nightly",
                true,
                false,
            ),
        ];
        assert_eq!(choice(&both, Some("bpf-debian")), debian("bpf-debian"));
        assert_eq!(choice(&both, Some("nightly")), nightly(&both[1].name));
        assert_eq!(choice(&both, Some("night")), None);
    }

    #[test]
    fn only_a_stable_compiler_is_allowed_more() {
        let environment = debian("x").unwrap().environment("iomt-filter-ebpf");
        assert_eq!(environment, [("RUSTC_BOOTSTRAP", "aya_ebpf,iomt_filter_ebpf".to_owned())]);
        assert!(nightly("x").unwrap().environment("iomt-filter-ebpf").is_empty());
    }
}
