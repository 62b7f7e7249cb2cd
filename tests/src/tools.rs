//! Programs that tests run beside those that are installed, fetched once into the build folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A Debian package, unpacked and not installed, because it would start a server; below `folder`.
///
/// # Errors
/// When it is not there and cannot be fetched.
pub fn debian(folder: &Path, package: &str) -> Result<PathBuf> {
    ready(folder, &format!("{package}-debian"), |made| {
        let fetched = made.with_extension("fetched");
        fs::create_dir(&fetched)?;
        run(Command::new("apt-get").args(["download", "--quiet", package]).current_dir(&fetched))?;
        let file = fs::read_dir(&fetched)?.next().context("nothing was downloaded")??.path();
        run(Command::new("dpkg-deb").arg("--extract").arg(file).arg(made)).map(drop)
    })
}

/// Python with a package of this version, below `folder`: the interpreter.
///
/// # Errors
/// As [`debian`].
pub fn python(folder: &Path, package: &str, version: &str) -> Result<PathBuf> {
    let environment = ready(folder, &format!("{package}-{version}"), |made| {
        run(Command::new("python3").args(["-m", "venv"]).arg(made))?;
        let mut install = Command::new(made.join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        run(install.arg(format!("{package}=={version}"))).map(drop)
    })?;
    Ok(environment.join("bin/python"))
}

/// A folder of tools, made where it is not there. Several processes may want it at once: each makes its own, and the
/// first to be done gives it its name.
pub(crate) fn ready(folder: &Path, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let tools = folder.join("tools");
    let ready = tools.join(name);
    if !ready.is_dir() {
        fs::create_dir_all(&tools)?;
        let attempt = tempfile::tempdir_in(&tools)?;
        let made = attempt.path().join(name);
        make(&made)?;
        if let Err(error) = fs::rename(&made, &ready) {
            ensure!(ready.is_dir(), "{error}");
        }
    }
    Ok(ready)
}

/// Runs a program that must succeed; returns all that it says.
///
/// # Errors
/// When it does not, with what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "{command:?}: {}", said.trim());
    Ok(said)
}
