//! Runs other programs, and knows which of them this user may run.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::say;

/// The cargo that runs this command.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.args(arguments).current_dir(workspace());
    cargo
}

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Shows the command, runs it and fails when it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    say::progress(&format!("run `{line}`"));
    let status = command.status().with_context(|| format!("failed to start `{line}`"))?;
    ensure!(status.success(), "`{line}` failed: {status}");
    Ok(())
}

/// Runs the command, fails when it does, and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let line = describe(command);
    let output = command.output().with_context(|| format!("failed to start `{line}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{line}` failed: {}: {}", output.status, said.trim());
    Ok(output.stdout)
}

/// Shows the command and becomes it, so that Ctrl-C is its own to deal with. Returns when it cannot.
pub(crate) fn become_program(command: &mut Command) -> Result<()> {
    let line = describe(command);
    say::progress(&format!("run `{line}`"));
    let error = command.exec();
    Err(error).with_context(|| format!("failed to start `{line}`"))
}

/// The command as one would type it.
pub(crate) fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words: Vec<_> =
        std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

/// Stops, before anything is built, a command that needs network namespaces and BPF.
pub(crate) fn require_root(verb: &str) -> Result<()> {
    ensure!(is_root(), "this needs root for network namespaces and BPF: run `sudo -E cargo xtask {verb}`");
    Ok(())
}

/// Whether the effective user is root: the owner of its own entry in `/proc`.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

/// Whether `program` would be found.
pub(crate) fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(Path::new);
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
        || system.iter().any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_is_described_as_typed() {
        assert_eq!(
            describe(Command::new("/usr/bin/cargo").args(["test", "--workspace"])),
            "cargo test --workspace"
        );
    }

    #[test]
    fn failed_command_is_an_error_that_names_it() {
        let error = run(&mut Command::new("false")).unwrap_err();
        assert!(error.to_string().starts_with("`false` failed: "), "{error}");
    }

    #[test]
    fn workspace_holds_this_package() {
        assert!(workspace().join("xtask/Cargo.toml").is_file());
    }
}
