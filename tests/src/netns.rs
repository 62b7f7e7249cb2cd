//! Network namespaces for one test: made by it, and gone with it, together with every process in them.
//!
//! Names carry the process and a counter, so that tests of several checkouts run side by side. Interfaces
//! are created inside the namespaces; the host's own network is never touched.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

/// Why this machine cannot make network namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSupported {
    /// The tests do not run as root.
    NotRoot,
    /// Root, but without the right (a container).
    NotPermitted,
    /// There is no `ip` command.
    NoCommand,
}

/// Whether tests with namespaces can run here.
///
/// # Errors
/// What is missing. A kernel that answers anything else should have namespaces: then creating them
/// fails, and so does the test.
pub fn available() -> Result<(), NotSupported> {
    if !Uid::effective().is_root() {
        return Err(NotSupported::NotRoot);
    }
    if Command::new("ip").arg("-V").output().is_err() {
        return Err(NotSupported::NoCommand);
    }
    let attempt = std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET)).join();
    match attempt {
        Ok(Err(Errno::EPERM)) => Err(NotSupported::NotPermitted),
        _ => Ok(()),
    }
}

/// Namespaces that belong together, and what runs in them. Dropping it kills and deletes everything.
#[derive(Debug)]
pub struct Netns {
    prefix: String,
    namespaces: Vec<String>,
    children: Vec<Child>,
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

impl Netns {
    /// No namespaces yet; those to come begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("{prefix}-{}-{number}", std::process::id());
        Self { prefix, namespaces: Vec::new(), children: Vec::new() }
    }

    /// What the names of its namespaces on this machine begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Creates a namespace with its loopback up, and says what it is called on this machine.
    ///
    /// # Errors
    /// When `ip` cannot.
    pub fn add(&mut self, name: &str) -> Result<Namespace> {
        let name = format!("{}-{name}", self.prefix);
        ip(&["netns", "add", &name])?;
        self.namespaces.push(name.clone());
        let namespace = Namespace { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Creates a cable between two interfaces, both up.
    ///
    /// # Errors
    /// When `ip` cannot.
    pub fn cable(&self, a: (&Namespace, &str), b: (&Namespace, &str)) -> Result<()> {
        ip(&[
            "link", "add", a.1, "netns", &a.0.name, "type", "veth", "peer", "name", b.1, "netns", &b.0.name,
        ])?;
        a.0.ip(&["link", "set", a.1, "up"])?;
        b.0.ip(&["link", "set", b.1, "up"])
    }

    /// Starts `command` in a namespace and lets it run until this value goes away; its output is piped.
    /// Returns its process id.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&mut self, namespace: &Namespace, command: &[&str]) -> Result<u32> {
        let mut command = namespace.command(command);
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().context("failed to start `ip netns exec`")?;
        let id = child.id();
        self.children.push(child);
        Ok(id)
    }

    /// The process that [`spawn`](Self::spawn) started under this id, to read its output or to end it.
    pub fn child(&mut self, id: u32) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.id() == id)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for name in &self.namespaces {
            remove(name);
        }
    }
}

/// Removes the namespaces under `prefix` whose process was killed before it could, and what runs in them.
/// Returns what their names begin with.
pub fn sweep(prefix: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut swept = BTreeSet::new();
    for name in names {
        let Some((process, number)) = owner(prefix, &name) else { continue };
        if !Path::new("/proc").join(process).exists() {
            remove(&name);
            swept.insert(format!("{prefix}-{process}-{number}"));
        }
    }
    swept
}

/// The process and the counter in a name.
fn owner<'n>(prefix: &str, name: &'n str) -> Option<(&'n str, &'n str)> {
    let mut parts = name.strip_prefix(prefix)?.strip_prefix('-')?.split('-');
    let numbers = parts.next().zip(parts.next())?;
    let is_number = |part: &str| part.parse::<u32>().is_ok();
    (is_number(numbers.0) && is_number(numbers.1)).then_some(numbers)
}

fn remove(name: &str) {
    for process in processes_in(name) {
        let _ = kill(process, Signal::SIGKILL);
    }
    let _ = ip(&["netns", "delete", name]);
}

/// One namespace, by its name on this machine.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives an interface an address, without waiting for duplicate detection.
    ///
    /// # Errors
    /// When `ip` cannot.
    pub fn address(&self, interface: &str, prefix: &str) -> Result<()> {
        let mut arguments = vec!["address", "add", prefix, "dev", interface];
        if prefix.contains(':') {
            arguments.push("nodad");
        }
        self.ip(&arguments)
    }

    /// Adds a route, `via` a router.
    ///
    /// # Errors
    /// When `ip` cannot.
    pub fn route(&self, prefix: &str, via: &str) -> Result<()> {
        self.ip(&["route", "add", prefix, "via", via])
    }

    /// Forwards packets between its interfaces from now on.
    ///
    /// # Errors
    /// When the settings cannot be written.
    pub fn forward(&self) -> Result<()> {
        self.inside(|| -> io::Result<()> {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
            std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
        })?
        .context("failed to turn forwarding on")
    }

    /// Runs `ip` in it.
    ///
    /// # Errors
    /// When `ip` cannot.
    pub fn ip(&self, arguments: &[&str]) -> Result<()> {
        ip(&[&["-n", self.name.as_str()], arguments].concat())
    }

    /// Runs a command in it to the end and returns what it printed, whatever its exit code.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output(&self, command: &[&str]) -> Result<Output> {
        self.command(command).output().with_context(|| format!("failed to run `{}`", command.join(" ")))
    }

    /// Runs a command in it that must succeed, and returns its standard output.
    ///
    /// # Errors
    /// When it cannot be started, or fails.
    pub fn run(&self, command: &[&str]) -> Result<String> {
        success(self.output(command)?, command)
    }

    /// A command to be run in it.
    pub fn command(&self, command: &[&str]) -> Command {
        let mut ip = Command::new("ip");
        ip.args(["netns", "exec", &self.name]).args(command);
        ip
    }

    /// Moves the current thread into it until the answer is dropped. Sockets stay where they were opened.
    ///
    /// # Errors
    /// When the namespace cannot be opened or entered.
    pub fn enter(&self) -> Result<Entered> {
        let before =
            File::open("/proc/thread-self/ns/net").context("failed to open `/proc/thread-self/ns/net`")?;
        let path = format!("/run/netns/{}", self.name);
        let there = File::open(&path).with_context(|| format!("failed to open `{path}`"))?;
        setns(there, CloneFlags::CLONE_NEWNET).with_context(|| format!("failed to enter `{}`", self.name))?;
        Ok(Entered { before, not_send: std::marker::PhantomData })
    }

    /// Runs `work` on a thread of its own inside the namespace.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let thread = || -> Result<T> {
            let _entered = self.enter()?;
            Ok(work())
        };
        let joined = std::thread::scope(|scope| scope.spawn(thread).join());
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// The current thread is in a namespace; dropping this takes it back.
#[must_use]
#[derive(Debug)]
pub struct Entered {
    before: File,
    not_send: std::marker::PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        // A thread that stayed behind would run somebody else's test in the wrong network.
        if setns(&self.before, CloneFlags::CLONE_NEWNET).is_err() {
            std::process::abort();
        }
    }
}

/// Processes in a namespace, this one excepted.
fn processes_in(name: &str) -> Vec<Pid> {
    let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.split_whitespace().filter_map(|number| number.parse().ok()).map(Pid::from_raw);
    found.filter(|process| *process != Pid::this()).collect()
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("failed to run `ip`")?;
    success(output, &[&["ip"], arguments].concat()).map(drop)
}

fn success(output: Output, command: &[&str]) -> Result<String> {
    if !output.status.success() {
        bail!(
            "`{}`: {}: {}",
            command.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_in_the_name() {
        assert_eq!(owner("iomt-demo", "iomt-demo-77-0-ct"), Some(("77", "0")));
        assert_eq!(owner("iomt-demo", "iomt-demo-ct-0"), None);
        assert_eq!(owner("iomt-demo", "iomt-test-77-0-ct"), None);
    }
}
