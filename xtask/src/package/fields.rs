//! Fields of the package's control file that depend on the machine: its architecture, and the libraries that the program
//! is linked with.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;

/// The machine's, as Debian names it.
#[derive(Debug)]
pub(crate) struct Architecture(String);

impl Architecture {
    pub(crate) fn ask() -> Result<Self> {
        let said = process::output(Command::new("dpkg").arg("--print-architecture"))?;
        Ok(Self(String::from_utf8(said).context("the architecture is no text")?.trim().to_owned()))
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The packages that have the program's shared libraries, with the versions that it needs; `folder` is for files on the
/// way.
pub(crate) fn libraries(folder: &Path, program: &Path) -> Result<String> {
    // The tool wants to be in a source package.
    fs::create_dir_all(folder.join("debian"))?;
    fs::write(
        folder.join("debian/control"),
        "Source: iomt-filter\n\nPackage: iomt-filter\nArchitecture: any\n",
    )?;
    let program = fs::canonicalize(program).with_context(|| format!("no `{}`", program.display()))?;
    let mut ask = Command::new("dpkg-shlibdeps");
    let said = process::output(ask.current_dir(folder).arg("-O").arg(program))?;
    let said = String::from_utf8(said).context("`dpkg-shlibdeps` gave no text")?;
    let depends = said.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    Ok(depends.context("`dpkg-shlibdeps` named no library")?.to_owned())
}
