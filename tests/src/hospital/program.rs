//! Other programs: those that keep running, and those that answer and end.
//!
//! A program inherits the network of the thread that starts it and keeps this one's mounts, `/sys/fs/bpf`
//! among them, which `ip netns exec` would hide. It has a process group of its own: Ctrl-C is for us.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait;
use crate::netns::Namespace;

/// How long a program may take to end when asked.
const FAREWELL: Duration = Duration::from_secs(5);
/// Lines of a log that an error quotes.
const QUOTED: usize = 20;

/// A program that keeps running; killed when this value goes.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it in a namespace. What it prints goes to the file `log`.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(inside: &Namespace, command: &mut Command, log: &Path) -> Result<Self> {
        let file = open_log(log)?;
        let output = file.try_clone().context("failed to share a log file")?;
        Self::spawn(inside, command.stdout(output).stderr(file), log)
    }

    /// Starts it with its standard output to be read by the caller.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn with_output(inside: &Namespace, command: &mut Command, log: &Path) -> Result<(Self, ChildStdout)> {
        let file = open_log(log)?;
        let mut program = Self::spawn(inside, command.stdout(Stdio::piped()).stderr(file), log)?;
        let output = program.child.stdout.take().context("no standard output")?;
        Ok((program, output))
    }

    fn spawn(inside: &Namespace, command: &mut Command, log: &Path) -> Result<Self> {
        let program = Path::new(command.get_program());
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let entered = inside.enter()?;
        let spawned = command.stdin(Stdio::null()).process_group(0).spawn();
        drop(entered);
        let child = spawned.with_context(|| format!("failed to start `{name}`"))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// That it still runs.
    ///
    /// # Errors
    /// When it does not, with the end of its log.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("failed to look after a program")? {
            bail!("`{}` ended ({status}):\n{}", self.name, self.tail());
        }
        Ok(())
    }

    /// Waits until it listens on a TCP port.
    ///
    /// # Errors
    /// When it ends, or does not within `limit`.
    pub fn wait_for_port(&mut self, port: u16, limit: Duration) -> Result<()> {
        let what = format!("`{}` to listen on port {port}", self.name);
        wait::until(&what, limit, || {
            self.check()?;
            Ok(listens(self.id(), port).then_some(()))
        })
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// When it does not end; it is killed then.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let what = format!("`{}` to end", self.name);
        wait::through(&what, FAREWELL, || self.child.try_wait().context("failed to look after a program"))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.id()).context("no such process id")?);
        kill(pid, signal).with_context(|| format!("failed to send {signal} to `{}`", self.name))
    }

    /// The end of what it said.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(QUOTED)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program that ended has said.
#[derive(Debug)]
pub struct Answer {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

impl Answer {
    /// Standard output of a program that succeeded.
    ///
    /// # Errors
    /// When it did not, with what it said.
    pub fn success(self, name: &str) -> Result<String> {
        ensure!(self.status.success(), "`{name}` failed ({}): {}", self.status, self.errors.trim());
        Ok(self.output)
    }
}

/// Runs a program in a namespace to its end, or kills it after `limit`.
///
/// # Errors
/// When there is no such program, or it takes longer.
pub fn run(inside: &Namespace, command: &mut Command, limit: Duration) -> Result<Answer> {
    let mut output = tempfile::tempfile().context("failed to make a temporary file")?;
    let mut errors = tempfile::tempfile().context("failed to make a temporary file")?;
    command.stdout(output.try_clone()?).stderr(errors.try_clone()?);
    let mut program = Program::spawn(inside, command, Path::new(""))?;
    let what = format!("`{}` to end", program.name);
    let status =
        wait::until(&what, limit, || program.child.try_wait().context("failed to look after a program"))?;
    Ok(Answer { status, output: text(&mut output)?, errors: text(&mut errors)? })
}

fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).context("failed to read a temporary file")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn open_log(path: &Path) -> Result<File> {
    let opened = File::options().create(true).append(true).open(path);
    opened.with_context(|| format!("failed to open `{}`", path.display()))
}

/// Whether someone in the network namespace of the process listens on the port, by the kernel's own
/// list: to try the port would be a connection that the program has to deal with.
fn listens(pid: u32, port: u16) -> bool {
    ["tcp", "tcp6"].iter().any(|table| {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        text.lines().skip(1).any(|line| is_listener(line, port))
    })
}

/// Reads a line of `/proc/net/tcp`: number, local address, remote address, state.
fn is_listener(line: &str, port: u16) -> bool {
    const LISTEN: &str = "0A";
    let mut fields = line.split_whitespace().skip(1);
    let local = fields.next().and_then(|local| local.rsplit_once(':'));
    let at = local.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    at == Some(port) && fields.nth(1) == Some(LISTEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let line = "   0: 00000000:0068 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0";
        assert!(is_listener(line, 104));
        assert!(!is_listener(line, 105));
        assert!(!is_listener(&line.replace(" 0A ", " 01 "), 104));
    }
}
