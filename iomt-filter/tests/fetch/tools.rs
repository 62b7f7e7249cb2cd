//! Servers of others, fetched once into the build folder: nothing on the machine is changed. Where one can neither
//! be found nor fetched, the test that needs it says so and is skipped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// The version of OASIS's TAXII server that tests run.
const MEDALLION: &str = "medallion==3.0.0";

/// A process that ends with its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Python with medallion.
pub(crate) fn medallion() -> Option<PathBuf> {
    let folder = ready("medallion-3.0.0", |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let mut install = Command::new(folder.join("bin/python"));
        run(install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", MEDALLION]))
    })?;
    Some(folder.join("bin/python"))
}

/// The folder with `crowdsec` and `cscli`.
pub(crate) fn crowdsec() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let has_both = |folder: &PathBuf| ["crowdsec", "cscli"].iter().all(|name| folder.join(name).is_file());
    if let Some(folder) = std::env::split_paths(&paths).find(has_both) {
        return Some(folder);
    }
    let folder = ready("crowdsec-debian", |folder| {
        fs::create_dir(folder).map_err(|error| error.to_string())?;
        run(Command::new("apt-get").args(["download", "--quiet", "crowdsec"]).current_dir(folder))?;
        let files = fs::read_dir(folder).map_err(|error| error.to_string())?;
        let package = files.flatten().map(|entry| entry.path()).next().ok_or("nothing was downloaded")?;
        run(Command::new("dpkg-deb").arg("-x").arg(package).arg(folder))
    })?;
    Some(folder.join("usr/bin"))
}

/// A folder of tools, made where it is not there. Several processes may want it at once: each makes its own, and the
/// first to be done gives it its name.
fn ready(name: &str, make: impl FnOnce(&Path) -> Result<(), String>) -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools");
    let folder = tools.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    fs::create_dir_all(&tools).unwrap();
    let attempt = tempfile::tempdir_in(&tools).unwrap();
    let made = attempt.path().join(name);
    if let Err(reason) = make(&made) {
        eprintln!("skipped: `{name}` is not there and cannot be fetched: {reason}");
        return None;
    }
    if let Err(error) = fs::rename(&made, &folder) {
        assert!(folder.is_dir(), "{error}");
    }
    Some(folder)
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    output(command).map(drop)
}

/// The same, and what it says.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{shown}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Starts a program, and reads the first line that it says.
pub(crate) fn start(command: &mut Command) -> (Running, String) {
    let mut child = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    let mut reader = BufReader::new(child.0.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    // What it says later must go somewhere.
    thread::spawn(move || reader.lines().map_while(Result::ok).for_each(drop));
    (child, line.trim().to_owned())
}

/// Waits until something is so.
pub(crate) fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "{what} does not happen");
        thread::sleep(Duration::from_millis(50));
    }
}
