//! The package's own folder: control file, maintainer scripts, checksums.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Packer;
use super::contents::{self, EXECUTABLE, PLAIN};
use crate::process;

/// What runs on the machine that the package is installed on.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Writes it for a version.
pub(crate) fn write(packer: &Packer, version: &str) -> Result<()> {
    let folder = packer.tree.join("DEBIAN");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("failed to empty `{}`", folder.display()))?;
    }
    let files = files_below(&packer.tree)?;
    contents::folder(&folder)?;
    contents::write(&folder.join("control"), &control(packer, version, &files)?, PLAIN)?;
    let mut sums = Command::new("md5sum");
    sums.current_dir(&packer.tree).args(&files);
    contents::write(&folder.join("md5sums"), &process::output(&mut sums)?, PLAIN)?;
    for script in SCRIPTS {
        let from = process::workspace().join("packaging/debian").join(script);
        contents::copy(&from, &folder.join(script), EXECUTABLE)?;
    }
    Ok(())
}

fn control(packer: &Packer, version: &str, files: &[PathBuf]) -> Result<Vec<u8>> {
    let mut size = 0;
    for file in files {
        size += fs::metadata(packer.tree.join(file))?.len().div_ceil(1024);
    }
    let mut text = String::new();
    let fields = [
        ("Package", "iomt-filter"),
        ("Version", version),
        ("Architecture", &packer.architecture.to_string()),
        ("Maintainer", &packer.changelog.maintainer),
        ("Installed-Size", &size.to_string()),
        ("Depends", &format!("{}, systemd (>= 247)", packer.depends)),
        // For feeds and bundles from servers whose certificates have to be checked.
        ("Recommends", "ca-certificates"),
        ("Suggests", "bash-completion, prometheus"),
        ("Section", "net"),
        ("Priority", "optional"),
    ];
    for (name, value) in fields {
        writeln!(text, "{name}: {value}")?;
    }
    text.push_str(
        "Description: keeps medical devices to the traffic that they need\n \
         CT scanners, infusion pumps and patient monitors run systems that cannot be\n \
         patched. iomt-filter runs on a host between them and everything else: an XDP\n \
         program judges every packet by the device that it belongs to, the allow-list\n \
         of that device's profile, threat lists, and the country of the far end.\n \
         .\n \
         It judges nothing until it is configured. What it has attached judges on while\n \
         the package is upgraded.\n",
    );
    Ok(text.into_bytes())
}

/// All files below a folder, by their path from there, sorted.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    fn collect(folder: &Path, from: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("failed to read `{}`", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                collect(&path, from, found)?;
            } else {
                found.push(path.strip_prefix(from)?.to_owned());
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    collect(folder, folder, &mut found)?;
    found.sort();
    Ok(found)
}
