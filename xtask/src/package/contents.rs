//! The package's files, and where they are installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{bill, changelog, copyright};
use crate::process;

/// The program.
pub(crate) const PROGRAM: &str = "usr/bin/iomt-filter";
const DOCUMENTS: &str = "usr/share/doc/iomt-filter";
const SHARE: &str = "usr/share/iomt-filter";
const MANUAL: &str = "usr/share/man/man1";
/// Modes of files.
pub(crate) const PLAIN: u32 = 0o644;
pub(crate) const EXECUTABLE: u32 = 0o755;

/// Files as they are in the repository, from and to.
const FILES: [(&str, &str); 7] = [
    ("packaging/iomt-filter.service", "usr/lib/systemd/system/iomt-filter.service"),
    ("packaging/iomt-filter.sysusers", "usr/lib/sysusers.d/iomt-filter.conf"),
    ("packaging/iomt-filter.tmpfiles", "usr/lib/tmpfiles.d/iomt-filter.conf"),
    ("packaging/debian/lintian-overrides", "usr/share/lintian/overrides/iomt-filter"),
    ("README.md", "usr/share/doc/iomt-filter/README.md"),
    ("SECURITY.md", "usr/share/doc/iomt-filter/SECURITY.md"),
    ("ARCHITECTURE.md", "usr/share/doc/iomt-filter/ARCHITECTURE.md"),
];

/// Folders, all that is in them.
const FOLDERS: [(&str, &str); 5] = [
    ("docs", "usr/share/doc/iomt-filter/docs"),
    ("examples", "usr/share/doc/iomt-filter/examples"),
    ("packaging/grafana", "usr/share/iomt-filter/grafana"),
    ("packaging/prometheus", "usr/share/iomt-filter/prometheus"),
    ("packaging/profiles", "usr/share/iomt-filter/profiles"),
];

/// Which file a shell looks for.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/iomt-filter"),
    ("zsh", "usr/share/zsh/vendor-completions/_iomt-filter"),
    ("fish", "usr/share/fish/vendor_completions.d/iomt-filter.fish"),
];

/// Lays out everything below `tree`, for a program that was built; `epoch` is the time of what has one inside.
pub(crate) fn lay_out(tree: &Path, program: &Path, epoch: &str) -> Result<()> {
    let workspace = process::workspace();
    let installed = tree.join(PROGRAM);
    copy(program, &installed, EXECUTABLE)?;
    process::run(
        Command::new("strip").args(["--strip-unneeded", "--remove-section=.comment"]).arg(&installed),
    )?;
    for (from, to) in FILES {
        copy(&workspace.join(from), &tree.join(to), PLAIN)?;
    }
    for (from, to) in FOLDERS.map(|(from, to)| (workspace.join(from), to)) {
        if from.is_dir() {
            copy_all(&from, &tree.join(to))?;
        }
    }
    for (shell, to) in COMPLETIONS {
        let text = process::output(Command::new(program).args(["completions", shell]))?;
        write(&tree.join(to), &text, PLAIN)?;
    }
    folder(&tree.join(MANUAL))?;
    process::output(Command::new(program).args(["man", "--folder"]).arg(tree.join(MANUAL)))?;
    write(&tree.join(DOCUMENTS).join("copyright"), copyright::text()?.as_bytes(), PLAIN)?;
    let changes = tree.join(DOCUMENTS).join("changelog.Debian");
    copy(&changelog::path(), &changes, PLAIN)?;
    for (name, bill) in bill::of_materials(epoch)? {
        write(&tree.join(SHARE).join(name), &bill, PLAIN)?;
    }
    compress(&changes)?;
    for entry in fs::read_dir(tree.join(MANUAL))? {
        compress(&entry?.path())?;
    }
    Ok(())
}

/// As Debian wants it: as small as can be, without name and time.
fn compress(path: &Path) -> Result<()> {
    process::output(Command::new("gzip").args(["--best", "--no-name"]).arg(path))?;
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    mode(&PathBuf::from(name), PLAIN)
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("failed to read `{}`", from.display()))? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy_all(&from, &to)? } else { copy(&from, &to, PLAIN)? }
    }
    Ok(())
}

/// Copies a file, and makes its folder.
pub(crate) fn copy(from: &Path, to: &Path, permissions: u32) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("failed to read `{}`", from.display()))?;
    write(to, &bytes, permissions)
}

/// Writes a file, and makes its folder.
pub(crate) fn write(to: &Path, bytes: &[u8], permissions: u32) -> Result<()> {
    folder(to.parent().unwrap_or(to))?;
    fs::write(to, bytes).with_context(|| format!("failed to write `{}`", to.display()))?;
    mode(to, permissions)
}

/// Makes a folder and those above it, with the mode of installed ones whatever the user's mask says.
pub(crate) fn folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    folder(path.parent().unwrap_or(path))?;
    fs::create_dir(path).with_context(|| format!("failed to make `{}`", path.display()))?;
    mode(path, EXECUTABLE)
}

fn mode(path: &Path, permissions: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(permissions))
        .with_context(|| format!("failed to set the mode of `{}`", path.display()))
}
