//! `build`: the agent with its kernel program inside.

use std::path::{Path, PathBuf};
use std::process::Stdio;

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
    let mut cargo = process::cargo(&["build", "--message-format=json-render-diagnostics"]);
    cargo.args(selection).stdin(Stdio::null()).stderr(Stdio::inherit());
    let line = process::describe(&cargo);
    say::progress(&format!("run `{line}`"));
    let output = cargo.output().with_context(|| format!("failed to start `{line}`"))?;
    ensure!(output.status.success(), "`{line}` failed: {}", output.status);
    let messages = String::from_utf8(output.stdout).with_context(|| format!("failed to read `{line}`"))?;
    let manifest = process::workspace().join("iomt-filter/Cargo.toml");
    executable(&messages, &manifest).with_context(|| format!("`{line}` built no `iomt-filter`"))
}

/// The binary of the package with this manifest, in cargo's messages, one JSON object a line.
fn executable(messages: &str, manifest: &Path) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let is_ours = message["manifest_path"].as_str().map(Path::new) == Some(manifest);
        let is_binary = message["target"]["kind"][0] == "bin" && message["profile"]["test"] == false;
        let path = message["executable"].as_str()?;
        (is_ours && is_binary).then(|| PathBuf::from(path))
    })
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
        let found = executable(&messages.join("\n"), Path::new("/w/agent/Cargo.toml"));
        assert_eq!(found, Some(PathBuf::from("/t/agent")));
    }
}
