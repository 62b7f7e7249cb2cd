//! `build`: the agent with its kernel program inside.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process;
use crate::say;
use crate::setup;

/// Builds for use, and prints the binary's path.
pub(crate) fn run() -> Result<()> {
    setup::ensure()?;
    let agent = agent(&["--release", "--package", "iomt-filter"])?;
    say::result(&agent.display().to_string());
    Ok(())
}

/// Builds what `selection` says, the agent among it, and returns the agent's path.
pub(crate) fn agent(selection: &[&str]) -> Result<PathBuf> {
    let manifest = process::workspace().join("iomt-filter/Cargo.toml");
    built(process::cargo(&["build"]), selection, |message| is_binary(message, &manifest))
}

/// Builds the agent for use in a folder of its own, with no path of this machine inside, and returns its path.
pub(crate) fn agent_without_paths(folder: &Path) -> Result<PathBuf> {
    let manifest = process::workspace().join("iomt-filter/Cargo.toml");
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or(home).context("there is no `HOME`")?;
    let flags = [(process::workspace(), "/iomt-filter"), (&home, "/cargo")]
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    let mut cargo = process::cargo(&["build"]);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).arg("--target-dir").arg(folder);
    built(cargo, &["--release", "--locked", "--package", "iomt-filter"], |message| {
        is_binary(message, &manifest)
    })
}

/// Builds the integration test `name` of the tests' package, and returns its path.
pub(crate) fn test(name: &str) -> Result<PathBuf> {
    let selection = ["--package", "iomt-filter-tests", "--test", name];
    built(process::cargo(&["test", "--no-run"]), &selection, |message| {
        message["target"]["kind"][0] == "test" && message["target"]["name"] == name
    })
}

fn built(mut cargo: Command, selection: &[&str], is_wanted: impl Fn(&Value) -> bool) -> Result<PathBuf> {
    cargo.arg("--message-format=json-render-diagnostics");
    cargo.args(selection).stdin(Stdio::null()).stderr(Stdio::inherit());
    let line = process::describe(&cargo);
    say::progress(&format!("run `{line}`"));
    let output = cargo.output().with_context(|| format!("failed to start `{line}`"))?;
    ensure!(output.status.success(), "`{line}` failed: {}", output.status);
    let messages = String::from_utf8(output.stdout).with_context(|| format!("failed to read `{line}`"))?;
    executable(&messages, is_wanted).with_context(|| format!("`{line}` built nothing of that kind"))
}

/// The first binary that is wanted, in cargo's messages, one JSON object a line.
fn executable(messages: &str, is_wanted: impl Fn(&Value) -> bool) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let path = message["executable"].as_str()?;
        is_wanted(&message).then(|| PathBuf::from(path))
    })
}

/// Whether a message is about the binary, and not the unit tests, of the package with this manifest.
fn is_binary(message: &Value, manifest: &Path) -> bool {
    let is_ours = message["manifest_path"].as_str().map(Path::new) == Some(manifest);
    is_ours && message["target"]["kind"][0] == "bin" && message["profile"]["test"] == false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agent_among_test_binaries_and_other_packages() {
        let message = |package: &str, test: bool, path: &str| {
            serde_json::json!({
                "manifest_path": format!("/w/{package}/Cargo.toml"), "target": {"kind": ["bin"]},
                "profile": {"test": test}, "executable": path,
            })
            .to_string()
        };
        let messages = [
            message("tests", false, "/t/demo"),
            message("agent", true, "/t/agent-0123"),
            message("agent", false, "/t/agent"),
        ];
        let manifest = Path::new("/w/agent/Cargo.toml");
        let found = executable(&messages.join("\n"), |message| is_binary(message, manifest));
        assert_eq!(found, Some(PathBuf::from("/t/agent")));
    }
}
