//! Network namespaces that go away again.
//!
//! A namespace has a name under `/run/netns`, so that `ip netns exec` reaches it. Programs and closures
//! enter it alone: mounts stay as they are, `/sys/fs/bpf` among them, which `ip netns exec` would hide.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::Signal;

const FOLDER: &str = "/run/netns";

/// A network namespace; gone when this value is.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: Arc<File>,
}

impl Namespace {
    /// Makes a namespace with this name, which no other may have.
    ///
    /// # Errors
    /// When `ip` is not there, the user is not root, or the name is taken.
    pub fn new(name: &str) -> Result<Self> {
        ip_netns(&["add", name])?;
        let path = Path::new(FOLDER).join(name);
        match File::open(&path) {
            Ok(file) => Ok(Self { name: name.to_owned(), file: Arc::new(file) }),
            Err(error) => {
                // What could not be opened cannot be guarded either.
                let _ = ip_netns(&["del", name]);
                Err(error).with_context(|| format!("failed to open `{}`", path.display()))
            }
        }
    }

    /// Its name, for `ip netns exec`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` on a thread inside. Sockets made there stay inside, wherever they go.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or `work` fails.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let entered = || {
            setns(&*self.file, CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("failed to enter the namespace `{}`", self.name))?;
            work()
        };
        let joined = thread::scope(|scope| scope.spawn(entered).join());
        joined.map_err(|_| anyhow!("a thread in the namespace `{}` panicked", self.name))?
    }

    /// A program that will run inside, in a process group of its own, and that ends with the thread
    /// that starts it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let file = Arc::clone(&self.file);
        let enter = move || {
            setns(&*file, CloneFlags::CLONE_NEWNET)?;
            prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)
        };
        // SAFETY: between fork and exec the closure makes two system calls, on a descriptor that it owns;
        // it allocates nothing and takes no lock.
        unsafe { command.pre_exec(enter) };
        command.process_group(0);
        command
    }

    /// Runs `ip -batch` inside, on one command a line.
    ///
    /// # Errors
    /// When a line fails.
    pub fn ip(&self, lines: &str) -> Result<()> {
        let mut ip = self.command("ip");
        ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = ip.spawn().context("failed to start `ip`")?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(lines.as_bytes()).context("failed to write to `ip`")?;
        }
        let output = child.wait_with_output().context("failed to wait for `ip`")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`ip` failed in `{}`: {}", self.name, said.trim());
        Ok(())
    }

    /// Sets a `sysctl` below `net/`.
    ///
    /// # Errors
    /// When there is no such setting.
    pub fn set(&self, setting: &str, value: &str) -> Result<()> {
        let path = PathBuf::from("/proc/sys/net").join(setting);
        self.run(|| {
            std::fs::write(&path, value).with_context(|| format!("failed to write `{}`", path.display()))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = ip_netns(&["del", &self.name]);
    }
}

/// A prefix for namespace names that no other process uses: `KIND-PID`.
#[must_use]
pub fn prefix(kind: &str) -> String {
    format!("{kind}-{}", process::id())
}

/// Whether namespaces of this process are left.
#[must_use]
pub fn are_left(kind: &str) -> bool {
    names().iter().any(|name| owner(kind, name) == Some(process::id()))
}

/// Deletes the namespaces `KIND-PID-…` whose process was killed before it could. Returns their names.
pub fn sweep(kind: &str) -> Vec<String> {
    let mut names = names();
    names.retain(|name| owner(kind, name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
    names.retain(|name| ip_netns(&["del", name]).is_ok());
    names
}

fn names() -> Vec<String> {
    let entries = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn owner(kind: &str, name: &str) -> Option<u32> {
    name.strip_prefix(kind)?.strip_prefix('-')?.split('-').next()?.parse().ok()
}

fn ip_netns(arguments: &[&str]) -> Result<()> {
    let mut ip = Command::new("ip");
    let output = ip.arg("netns").args(arguments).output().context("failed to start `ip`")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`ip netns {}` failed: {}", arguments.join(" "), said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_in_the_name() {
        assert_eq!(owner("iomt-demo", "iomt-demo-77-ct"), Some(77));
        assert_eq!(owner("iomt-demo", "iomt-demo-ct"), None);
        assert_eq!(owner("iomt-demo", "iomt-test-77-ct"), None);
    }
}
