//! `setup`: installs what is missing, says each thing it does, and does nothing the second time.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use ebpf_toolchain::{Route, Step};

use crate::packages::{CYCLONEDX, DENY, PACKAGER, PEERS, PROGRAMS, Program, Tool};
use crate::process;
use crate::say;

const TOOLS: [Tool; 2] = [CYCLONEDX, DENY];

/// Where links, programs and maps are pinned.
const BPFFS: &str = "/sys/fs/bpf";

/// Completes the machine and says what is there.
pub(crate) fn run() -> Result<()> {
    let route = ensure_with(&PEERS)?;
    ensure_tools(&PACKAGER, &TOOLS)?;
    say::progress(&format!("`{}` and `bpf-linker`: the kernel program's compiler", route.toolchain_name()));
    let programs = PROGRAMS.iter().chain(&PEERS).chain(&PACKAGER);
    let tools = TOOLS.iter().map(|tool| (tool.name, tool.reason));
    for (name, reason) in programs.map(|program| (program.name, program.reason)).chain(tools) {
        say::progress(&format!("`{name}`: {reason}"));
    }
    Ok(())
}

/// Returns the compiler's route once everything is there.
pub(crate) fn ensure() -> Result<Route> {
    ensure_with(&[])
}

/// The same, and `more` programs with it.
pub(crate) fn ensure_with(more: &[Program]) -> Result<Route> {
    let mut looked = Looked::look(more);
    if looked.missing().any(|step| step.packages) && may_install() {
        process::run(Command::new("apt-get").args(["update", "--quiet", "--quiet"]))?;
        // Which packages there are decides which steps lead to a compiler.
        looked = Looked::look(more);
    }
    if looked.missing().next().is_some() && !may_install() {
        bail!("installing what is missing takes root and `apt-get`; run:\n{}", looked.list());
    }
    for step in looked.missing() {
        carry_out(step)?;
    }
    // Looking again, and not the steps' success, says whether it is complete.
    match Looked::look(more) {
        Looked { route: Ok(route), other } if other.is_empty() => {
            say::progress("setup: everything is there");
            Ok(route)
        }
        incomplete => bail!("this is still missing:\n{}", incomplete.list()),
    }
}

/// The same, and programs of cargo's with it.
pub(crate) fn ensure_tools(more: &[Program], tools: &[Tool]) -> Result<()> {
    ensure_with(more)?;
    tools.iter().try_for_each(ensure_tool)
}

/// Builds a program of cargo's where it is missing or has another version.
pub(crate) fn ensure_tool(tool: &Tool) -> Result<()> {
    let verb = tool.name.trim_start_matches("cargo-");
    let said = process::output(&mut process::cargo(&[verb, "--version"]));
    if said.is_ok_and(|said| has_version(&String::from_utf8_lossy(&said), tool.version)) {
        return Ok(());
    }
    say::progress(&format!("`{} {}` is not installed: {}", tool.name, tool.version, tool.reason));
    // Built fast and not to be fast: it runs for a moment.
    let mut install =
        process::cargo(&["install", "--locked", "--force", "--debug", "--config", "profile.dev.debug=false"]);
    process::run(install.arg(format!("{}@{}", tool.name, tool.version)))
}

/// Reads `cargo-deny 0.20.2`.
fn has_version(said: &str, version: &str) -> bool {
    said.split_whitespace().any(|word| word == version)
}

/// What a look at the machine found.
struct Looked {
    route: Result<Route, ebpf_toolchain::Missing>,
    other: Vec<Step>,
}

impl Looked {
    fn look(more: &[Program]) -> Self {
        let absent = PROGRAMS.iter().chain(more).filter(|program| !process::is_on_path(program.name));
        let programs = absent.map(|program| {
            let what = format!("`{}` is not installed: {}", program.name, program.reason);
            Step::install(what, &[program.package])
        });
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let bpffs = (process::is_root() && !is_mounted(&mounts))
            .then(|| Step::run("the BPF file system is not mounted", format!("mount -t bpf bpf {BPFFS}")));
        Self { route: ebpf_toolchain::find(), other: programs.chain(bpffs).collect() }
    }

    fn missing(&self) -> impl Iterator<Item = &Step> {
        let compiler = self.route.as_ref().err();
        compiler.into_iter().flat_map(|missing| &missing.steps).chain(&self.other)
    }

    fn list(&self) -> String {
        self.missing().map(Step::to_string).collect::<Vec<_>>().join("\n")
    }
}

fn may_install() -> bool {
    process::is_root() && Path::new("/usr/bin/apt-get").exists()
}

fn carry_out(step: &Step) -> Result<()> {
    say::progress(&step.what);
    if step.commands.is_empty() {
        bail!("this cannot be installed from here: {}", step.what);
    }
    for command in &step.commands {
        process::run(Command::new("sh").args(["-c", command]))?;
    }
    Ok(())
}

/// Reads `/proc/self/mounts`.
fn is_mounted(mounts: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == Some(BPFFS) && fields.next() == Some("bpf")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_of_a_tool() {
        assert!(has_version("cargo-deny 0.20.2\n", "0.20.2"));
        assert!(!has_version("cargo-deny 0.20.21\n", "0.20.2"));
    }

    #[test]
    fn bpf_file_system_in_the_mounts() {
        assert!(is_mounted("sysfs /sys sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw,relatime 0 0\n"));
        assert!(!is_mounted("sysfs /sys sysfs rw 0 0\nnone /sys/fs/bpf tmpfs rw 0 0\n"));
    }
}
