//! What Debian's packages could add, asked only when something is missing.

use crate::found::{Release, output};

/// The distribution's compiler, cargo and BPF `core`, newest naming first. A stable release carries
/// a compiler newer than its own under `-web`, for browsers.
const COMPILERS: [[&str; 3]; 2] =
    [["rustc", "cargo", "libstd-rust-dev-bpf"], ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"]];

/// LLVM as `bpf-linker` is built against it: not older than any compiler of either route.
pub(crate) const LLVM: [&str; 2] = ["llvm-22-dev", "libpolly-22-dev"];

/// What `apt-get install` would find.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Offered {
    /// A compiler that is new enough and has a `core` for BPF.
    pub(crate) compiler: Option<[&'static str; 3]>,
    pub(crate) llvm: bool,
}

impl Offered {
    pub(crate) fn ask() -> Self {
        let names = COMPILERS.iter().flatten().chain(&LLVM).copied();
        let arguments: Vec<&str> = std::iter::once("policy").chain(names).collect();
        Self::read(&output("apt-cache", &arguments).unwrap_or_default())
    }

    /// Reads `apt-cache policy`.
    fn read(policy: &str) -> Self {
        let is_new_enough = |package: &str| {
            candidate(policy, package).and_then(Release::parse).is_some_and(Release::is_new_enough)
        };
        Self {
            compiler: COMPILERS.into_iter().find(|packages| packages.iter().all(|name| is_new_enough(name))),
            llvm: LLVM.iter().all(|package| candidate(policy, package).is_some()),
        }
    }
}

/// The version that would be installed.
fn candidate<'a>(policy: &'a str, package: &str) -> Option<&'a str> {
    policy
        .lines()
        .skip_while(|line| line.strip_suffix(':') != Some(package))
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .find_map(|line| line.trim_start().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(versions: &[(&str, &str)]) -> String {
        let block = |(package, version): &(&str, &str)| {
            format!("{package}:\n  Installed: (none)\n  Candidate: {version}\n  Version table:\n")
        };
        versions.iter().map(block).collect()
    }

    #[test]
    fn old_compiler_beside_a_new_one_for_browsers() {
        let policy = policy(&[
            ("rustc", "1.63.0+dfsg1-2"),
            ("cargo", "0.66.0"),
            ("rustc-web", "1.96.0+dfsg1-1~deb12u2"),
            ("cargo-web", "1.96.0+dfsg1-1~deb12u2"),
            ("libstd-rust-web-dev-bpf", "1.96.0+dfsg1-1~deb12u2"),
            ("llvm-22-dev", "1:22.1.8-1~deb12u1"),
            ("libpolly-22-dev", "1:22.1.8-1~deb12u1"),
        ]);
        assert_eq!(Offered::read(&policy), Offered { compiler: Some(COMPILERS[1]), llvm: true });
    }

    #[test]
    fn compiler_that_is_new_enough_without_a_browser_build() {
        let policy = policy(&[
            ("rustc", "1.97.1+dfsg1-1"),
            ("cargo", "1.97.1+dfsg1-1"),
            ("libstd-rust-dev-bpf", "1.97.1+dfsg1-1"),
            ("llvm-22-dev", "(none)"),
        ]);
        assert_eq!(Offered::read(&policy), Offered { compiler: Some(COMPILERS[0]), llvm: false });
    }

    #[test]
    fn another_distribution_offers_nothing() {
        assert_eq!(Offered::read(""), Offered::default());
    }
}
