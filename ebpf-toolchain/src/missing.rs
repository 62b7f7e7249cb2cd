//! What a route still lacks, and the commands that complete it.

use std::error::Error;
use std::fmt;

use crate::apt::{self, Offered};
use crate::found::Found;
use crate::route::{Route, is_called};
use crate::{DEBIAN_TOOLCHAIN, OVERRIDE};

/// The steps to a route, in the order to take them; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// One step a missing piece.
    pub steps: Vec<Step>,
}

/// One missing piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is missing, as a sentence without full stop.
    pub what: String,
    /// Lines for a shell, to run in this order. None when no command can help.
    pub commands: Vec<String>,
    /// Whether the commands install Debian packages, which takes root.
    pub packages: bool,
}

impl Step {
    /// A step that installs Debian packages, without questions and without recommended ones.
    pub fn install(what: impl Into<String>, packages: &[&str]) -> Self {
        let install = "DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends";
        let commands = vec![format!("{install} {}", packages.join(" "))];
        Self { what: what.into(), commands, packages: true }
    }

    /// A step of ordinary commands.
    pub fn run(what: impl Into<String>, command: impl Into<String>) -> Self {
        Self { what: what.into(), commands: vec![command.into()], packages: false }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "- {}", self.what)?;
        self.commands.iter().try_for_each(|command| write!(out, "\n    {command}"))
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no compiler for the XDP program; missing:")?;
        self.steps.iter().try_for_each(|step| write!(out, "\n{step}"))
    }
}

impl Error for Missing {}

/// Explains why there is no complete route; `route` is the compiler where only the linker lacks.
pub(crate) fn explain(found: &Found, route: Option<&Route>, offered: &Offered) -> Missing {
    let mut steps = Vec::new();
    if !found.rustup {
        let what = "`rustup` is not on the path: install it as https://rustup.rs says";
        steps.push(Step { what: what.to_owned(), commands: Vec::new(), packages: false });
    }
    if route.is_none() {
        steps.extend(compiler(found, offered));
    }
    if !found.linker {
        steps.extend(linker(found, offered));
    }
    Missing { steps }
}

fn compiler(found: &Found, offered: &Offered) -> Vec<Step> {
    let link = Step::run(
        "Debian's compiler is not linked into rustup",
        format!("rustup toolchain link {DEBIAN_TOOLCHAIN} /usr"),
    );
    match (&found.wanted, found.system_core, offered.compiler) {
        (Some(wanted), _, _) if wanted != DEBIAN_TOOLCHAIN => vec![unfit(found, wanted)],
        (_, true, _) => vec![link],
        (_, false, Some(packages)) => {
            vec![Step::install("a compiler with a `core` for BPF is not installed", &packages), link]
        }
        (_, false, None) => vec![Step::run(
            "a nightly compiler with `rust-src` is not installed",
            "rustup toolchain install nightly --profile minimal --component rust-src",
        )],
    }
}

/// The override names a toolchain that does not do.
fn unfit(found: &Found, wanted: &str) -> Step {
    if found.toolchains.iter().any(|toolchain| is_called(toolchain, wanted)) {
        Step::run(
            format!(
                "`{wanted}`, that {OVERRIDE} names, is too old, or has neither `rust-src` nor a `core` for BPF"
            ),
            format!("rustup component add rust-src --toolchain {wanted}"),
        )
    } else {
        Step::run(
            format!("`{wanted}`, that {OVERRIDE} names, is not installed"),
            format!("rustup toolchain install {wanted} --profile minimal --component rust-src"),
        )
    }
}

fn linker(found: &Found, offered: &Offered) -> Vec<Step> {
    let install =
        "cargo install bpf-linker --version 0.13.0 --locked --no-default-features --features llvm-22";
    let linker = |what: &str, command: String| Step::run(what, command);
    if !found.llvm && !offered.llvm {
        let what = "`bpf-linker` is not on the path (building it takes the development files of LLVM 22)";
        return vec![linker(what, install.to_owned())];
    }
    // The first is for bpf-linker's own build script, that else takes whichever `llvm-config` comes first.
    let prefixes = "LLVM_PREFIX=/usr/lib/llvm-22 LLVM_SYS_221_PREFIX=/usr/lib/llvm-22";
    let with_prefix = linker("`bpf-linker` is not on the path", format!("{prefixes} {install}"));
    if found.llvm {
        return vec![with_prefix];
    }
    let llvm =
        Step::install("the development files of LLVM 22, for `bpf-linker`, are not installed", &apt::LLVM);
    vec![llvm, with_prefix]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::found::{Release, Toolchain};

    const DEBIAN: Offered = Offered { compiler: Some(["rustc", "cargo", "libstd-rust-dev-bpf"]), llvm: true };

    fn commands(found: &Found, route: Option<&Route>, offered: &Offered) -> Vec<String> {
        explain(found, route, offered).steps.into_iter().flat_map(|step| step.commands).collect()
    }

    fn ends(commands: &[String]) -> Vec<&str> {
        commands.iter().filter_map(|command| command.rsplit(' ').next()).collect()
    }

    #[test]
    fn bare_debian_gets_compiler_link_llvm_and_linker() {
        let found = Found { rustup: true, ..Found::default() };
        let commands = commands(&found, None, &DEBIAN);
        assert_eq!(ends(&commands), ["libstd-rust-dev-bpf", "/usr", "libpolly-22-dev", "llvm-22"]);
    }

    #[test]
    fn installed_compiler_only_needs_the_link() {
        let found = Found { rustup: true, system_core: true, linker: true, ..Found::default() };
        assert_eq!(commands(&found, None, &DEBIAN), ["rustup toolchain link bpf-debian /usr"]);
    }

    #[test]
    fn another_distribution_gets_a_nightly() {
        let found = Found { rustup: true, ..Found::default() };
        assert_eq!(ends(&commands(&found, None, &Offered::default())), ["rust-src", "llvm-22"]);
    }

    #[test]
    fn only_the_linker_is_missing() {
        let found = Found { rustup: true, llvm: true, ..Found::default() };
        let route = Route::Nightly { toolchain: "nightly".to_owned() };
        let commands = commands(&found, Some(&route), &DEBIAN);
        assert_eq!(ends(&commands), ["llvm-22"]);
        assert!(commands[0].starts_with(
            "LLVM_PREFIX=/usr/lib/llvm-22 LLVM_SYS_221_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker "
        ));
    }

    #[test]
    fn override_without_source_or_not_installed_is_named() {
        let release = Release { major: 1, minor: 97, nightly: true };
        let bare = Toolchain { name: "mine".to_owned(), release, source: false, core: false };
        let mut found = Found { rustup: true, linker: true, toolchains: vec![bare], ..Found::default() };
        found.wanted = Some("mine".to_owned());
        assert_eq!(commands(&found, None, &DEBIAN), ["rustup component add rust-src --toolchain mine"]);
        found.wanted = Some("other".to_owned());
        assert!(commands(&found, None, &DEBIAN)[0].starts_with("rustup toolchain install other "));
    }

    #[test]
    fn message_lists_pieces_and_commands() {
        let found = Found { linker: true, ..Found::default() };
        let text = explain(&found, None, &Offered::default()).to_string();
        assert_eq!(
            text,
            "no compiler for the XDP program; missing:\n\
             - `rustup` is not on the path: install it as https://rustup.rs says\n\
             - a nightly compiler with `rust-src` is not installed\n    \
             rustup toolchain install nightly --profile minimal --component rust-src"
        );
    }
}
