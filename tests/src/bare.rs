//! A bare Debian that boots: its own systemd, files that go away with it, and the network of a namespace.
//!
//! [`Debian::made`] is the tree, made once into the build folder. A [`Machine`] lays its own files over it, and is given
//! a folder of this machine's BPF file system as its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::hospital::program::Program;
use crate::hospital::wait;
use crate::netns::Namespace;
use crate::tools;

/// How long it may take to boot.
const BOOT: Duration = Duration::from_secs(120);

/// The files of a Debian as it is installed at the least, and systemd.
#[derive(Clone, Debug)]
pub struct Debian(PathBuf);

impl Debian {
    /// The tree, below `folder`; of the same release as this machine, whose programs run in it.
    ///
    /// # Errors
    /// When it is not there and cannot be fetched.
    pub fn made(folder: &Path) -> Result<Self> {
        let about = fs::read_to_string("/etc/os-release").context("failed to read `/etc/os-release`")?;
        let release = about.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let release = release.context("`/etc/os-release` names no release")?;
        let tree = tools::ready(folder, &format!("bare-{release}"), |made| {
            let mut make = Command::new("mmdebstrap");
            make.args([
                "--quiet",
                "--variant=minbase",
                "--include=systemd-sysv",
                "--dpkgopt=force-unsafe-io",
            ]);
            // What nobody reads here.
            make.args(
                ["man", "locale", "info"].map(|name| format!("--dpkgopt=path-exclude=/usr/share/{name}/*")),
            );
            tools::run(make.arg(release).arg(made))?;
            fs::remove_file(made.join("etc/dpkg/dpkg.cfg.d/99mmdebstrap")).context("no options of dpkg's")
        })?;
        Ok(Self(tree))
    }
}

/// One that runs; gone when this value is, with all that was written in it.
#[derive(Debug)]
pub struct Machine {
    boot: Program,
    root: Overlay,
    bpf: PathBuf,
    /// The last to go.
    _folder: TempDir,
}

impl Machine {
    /// Boots it in a namespace, as its network; `bpf` is the folder that is its `/sys/fs/bpf`.
    ///
    /// # Errors
    /// When it does not come up, with what it said.
    pub fn boot(debian: &Debian, inside: &Namespace, bpf: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("{}-bare-", inside.name())).tempdir()?;
        let root = Overlay::over(&debian.0, folder.path())?;
        fs::create_dir_all(bpf).with_context(|| format!("failed to make `{}`", bpf.display()))?;
        // As systemd mounts it.
        fs::set_permissions(bpf, fs::Permissions::from_mode(0o700))?;
        let mut boot = Command::new("systemd-nspawn");
        // No manager has to run on this machine, and none there may ask for one.
        boot.args(["--quiet", "--boot", "--register=no", "--keep-unit", "--link-journal=no"]);
        boot.arg("--capability=CAP_BPF,CAP_NET_ADMIN,CAP_PERFMON").arg("--system-call-filter=bpf");
        boot.arg(format!("--machine={}", inside.name()))
            .arg(format!("--directory={}", root.path().display()));
        boot.arg(format!("--network-namespace-path=/run/netns/{}", inside.name()));
        boot.arg(format!("--bind={}:/sys/fs/bpf", bpf.display()));
        let boot = Program::start(inside, &mut boot, &folder.path().join("console"))?;
        let mut machine = Self { boot, root, bpf: bpf.to_owned(), _folder: folder };
        let came = wait::until("a bare Debian to boot", BOOT, || {
            machine.boot.check()?;
            let Ok(output) = machine.output(&["systemctl", "is-system-running"]) else { return Ok(None) };
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Ok(["running", "degraded"].contains(&said.as_str()).then_some(()))
        });
        came.with_context(|| format!("it said:\n{}", machine.boot.tail()))?;
        Ok(machine)
    }

    /// A path of it, on this machine.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// Runs a command in it to its end.
    ///
    /// # Errors
    /// When it is not up, or there is no such command.
    pub fn output(&self, command: &[&str]) -> Result<Output> {
        let leader = self.leader().context("it is not up")?;
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]);
        enter.arg("--").args(command).env_clear();
        enter
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8");
        enter.stdin(std::process::Stdio::null());
        enter.output().with_context(|| format!("failed to run `{}`", command.join(" ")))
    }

    /// Runs a command in it that must succeed, and returns all that it said.
    ///
    /// # Errors
    /// When it fails, with the same.
    pub fn tell(&self, command: &[&str]) -> Result<String> {
        let output = self.output(command)?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "`{}`: {}: {}", command.join(" "), output.status, said.trim());
        Ok(said)
    }

    /// All of its files and folders, but for those that the kernel makes and those of a moment.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn files(&self) -> Result<Vec<String>> {
        let said = self.tell(&["find", "/", "-xdev", "-not", "-path", "/tmp/*"])?;
        let mut files: Vec<_> = said.lines().map(str::to_owned).collect();
        files.sort();
        Ok(files)
    }

    /// Its first process, by the number that it has here.
    fn leader(&self) -> Option<String> {
        let id = self.boot.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its processes end with their first one, which ends with what has booted it.
        let _ = self.boot.signal(nix::sys::signal::Signal::SIGKILL);
        let _ = wait::through("a bare Debian to end", BOOT, || Ok(self.boot.check().is_err().then_some(())));
        let _ = fs::remove_dir_all(&self.bpf);
    }
}

/// What an overlay mounts in its folder: what is written, and both together.
const PARTS: [&str; 2] = ["layers", "root"];

/// A folder laid over another one, which stays as it is.
#[derive(Debug)]
struct Overlay(PathBuf);

impl Overlay {
    fn over(lower: &Path, folder: &Path) -> Result<Self> {
        let [layers, root] = PARTS.map(|name| folder.join(name));
        fs::create_dir(&layers)?;
        // Not every file system can be laid over another.
        mount(Some("tmpfs"), &layers, Some("tmpfs"), MsFlags::empty(), None::<&str>)
            .context("failed to mount a disk")?;
        let (upper, work) = (layers.join("upper"), layers.join("work"));
        for made in [&upper, &work, &root] {
            fs::create_dir(made)?;
            fs::set_permissions(made, fs::Permissions::from_mode(0o755))?;
        }
        let options =
            format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
        mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .with_context(|| format!("failed to lay files over `{}`", lower.display()))?;
        Ok(Self(folder.to_owned()))
    }

    fn path(&self) -> PathBuf {
        self.0.join("root")
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        sweep(&self.0);
    }
}

/// Takes away what is mounted below the folder of one that was killed.
pub(crate) fn sweep(folder: &Path) {
    for name in PARTS.iter().rev() {
        let _ = umount2(&folder.join(name), MntFlags::MNT_DETACH);
    }
}
