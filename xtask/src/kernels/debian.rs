//! Debian's kernels for virtual machines: which there are, and their files.
//!
//! They are looked for in the suites below, at the place that this machine has its own packages from, by
//! an index of their own: the machine's package lists and sources stay as they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::process;

/// Suites with a kernel of their own, the oldest first. One that is gone is left out.
const SUITES: [&str; 4] = ["bullseye", "bookworm", "trixie", "sid"];
const FLAVOUR: &str = "-cloud-amd64";

/// A kernel that can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// `uname -r` without the flavour.
    pub(crate) release: String,
    packages: Vec<String>,
}

impl Kernel {
    /// Major and minor number.
    pub(crate) fn series(&self) -> (u32, u32) {
        let mut numbers = numbers(&self.release).into_iter();
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

/// All kernels that can be had.
pub(crate) struct Offered(Vec<Kernel>);

/// Asks for the packages of all suites.
pub(crate) fn offered(folder: &Path) -> Result<Offered> {
    let index = Index::make(folder)?;
    process::run(index.apt("apt-get").args(["update", "--quiet", "--quiet"]))?;
    Ok(read(&output(index.apt("apt-cache").args(["pkgnames", "linux-"]))?))
}

/// Reads `apt-cache pkgnames`. Until 6.12 a kernel is one package; since, image and modules are two.
fn read(names: &str) -> Offered {
    let whole = |name: &str| Some(name.strip_prefix("linux-image-")?.strip_suffix("-unsigned")?.to_owned());
    let binary = |name: &str| name.strip_prefix("linux-binary-unsigned-").map(str::to_owned);
    let kernel = |name: &str| {
        let (full, packages) = match (whole(name), binary(name)) {
            (Some(full), _) => (full, vec![name.to_owned()]),
            (None, Some(full)) => {
                let modules = format!("linux-modules-{full}");
                (full, vec![name.to_owned(), modules])
            }
            (None, None) => return None,
        };
        let release = full.strip_suffix(FLAVOUR)?;
        release
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| Kernel { release: release.to_owned(), packages })
    };
    Offered(names.lines().filter_map(kernel).collect())
}

impl Offered {
    /// The newest of each series; with `wanted`, of those that begin with one of these words.
    pub(crate) fn select(&self, wanted: &[String]) -> Result<Vec<Kernel>> {
        let mut newest = BTreeMap::new();
        for word in wanted {
            let found = self.0.iter().filter(|kernel| begins(&kernel.release, word));
            let Some(kernel) = found.max_by_key(|kernel| numbers(&kernel.release)) else {
                bail!("no kernel `{word}` is offered; there are {}", self.names());
            };
            newest.insert(numbers(&kernel.release), kernel);
        }
        if wanted.is_empty() {
            for kernel in &self.0 {
                let of_series = self.0.iter().filter(|other| other.series() == kernel.series());
                if of_series.map(|other| numbers(&other.release)).max() == Some(numbers(&kernel.release)) {
                    newest.insert(numbers(&kernel.release), kernel);
                }
            }
        }
        ensure!(!newest.is_empty(), "no kernel for virtual machines is offered");
        Ok(newest.into_values().cloned().collect())
    }

    fn names(&self) -> String {
        let mut releases: Vec<&str> = self.0.iter().map(|kernel| kernel.release.as_str()).collect();
        releases.sort_by_key(|release| numbers(release));
        releases.iter().map(|release| format!("`{release}`")).collect::<Vec<_>>().join(", ")
    }
}

/// The folder with the kernel's files, downloaded once.
pub(crate) fn unpack(kernel: &Kernel, folder: &Path) -> Result<PathBuf> {
    let done = folder.join(&kernel.release);
    if done.is_dir() {
        return Ok(done);
    }
    let partial = folder.join(format!("{}.partial", kernel.release));
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("failed to remove `{}`", partial.display()))?;
    }
    fs::create_dir_all(&partial).with_context(|| format!("failed to make `{}`", partial.display()))?;
    let mut download = Index::make(folder)?.apt("apt-get");
    process::run(
        download.args(["download", "--quiet", "--quiet"]).args(&kernel.packages).current_dir(&partial),
    )?;
    for package in files(&partial, &|name| name.ends_with(".deb")) {
        process::run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&partial))?;
        fs::remove_file(&package).with_context(|| format!("failed to remove `{}`", package.display()))?;
    }
    fs::rename(&partial, &done).with_context(|| format!("failed to make `{}`", done.display()))?;
    Ok(done)
}

/// Files below `folder` whose name is wanted.
pub(crate) fn files(folder: &Path, is_wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&path, is_wanted));
        } else if entry.file_name().to_str().is_some_and(is_wanted) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What a program prints.
fn output(command: &mut Command) -> Result<String> {
    let line = process::describe(command);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("failed to start `{line}`"))?;
    ensure!(output.status.success(), "`{line}` failed: {}", output.status);
    String::from_utf8(output.stdout).with_context(|| format!("failed to read `{line}`"))
}

/// A package index beside the machine's own.
struct Index {
    folder: PathBuf,
}

impl Index {
    /// Writes its sources.
    fn make(folder: &Path) -> Result<Self> {
        let index = Self { folder: folder.join("index") };
        let lists = index.folder.join("lists/partial");
        fs::create_dir_all(&lists).with_context(|| format!("failed to make `{}`", lists.display()))?;
        let known = output(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)",
            "Created-By: Packages",
        ]))?;
        let place = place(&known).context("this machine has no packages from Debian's main archive")?;
        for (name, content) in [("sources.list", sources_at(place)), ("apt.conf", settings_in(&index.folder))]
        {
            let path = index.folder.join(name);
            fs::write(&path, content).with_context(|| format!("failed to write `{}`", path.display()))?;
        }
        Ok(index)
    }

    /// A program of apt that sees this index alone.
    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.folder.join("apt.conf"));
        command
    }
}

/// Whoever downloads may enter a folder below somebody's home, which apt's own user may not.
fn settings_in(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "Dir::Etc::SourceList \"{folder}/sources.list\";\n\
         Dir::Etc::SourceParts \"/dev/null\";\n\
         Dir::State::Lists \"{folder}/lists\";\n\
         Dir::Cache \"{folder}\";\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\n"
    )
}

/// Where Debian's main archive is, for this machine.
fn place(targets: &str) -> Option<&str> {
    targets.lines().find_map(|line| line.strip_prefix("Debian Debian main "))
}

fn sources_at(place: &str) -> String {
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let source = |suite| format!("deb [arch=amd64 signed-by={keyring}] {place} {suite} main\n");
    SUITES.map(source).concat()
}

/// Whether `release` is `word`, or goes on from it behind a number's end.
fn begins(release: &str, word: &str) -> bool {
    release.strip_prefix(word).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn numbers(release: &str) -> Vec<u32> {
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "linux-image-6.1.0-9-cloud-amd64-unsigned\n\
        linux-image-6.1.0-56-cloud-amd64-unsigned\n\
        linux-image-6.1.0-56-amd64-unsigned\n\
        linux-image-6.12.5+deb13-cloud-amd64-unsigned\n\
        linux-image-6.12.5+deb13-cloud-amd64\n\
        linux-binary-unsigned-7.2.13+deb14-cloud-amd64\n\
        linux-headers-6.1.0-9-cloud-amd64\n";

    fn releases(wanted: &[&str]) -> Vec<String> {
        let wanted: Vec<String> = wanted.iter().map(|word| (*word).to_owned()).collect();
        read(NAMES).select(&wanted).unwrap().into_iter().map(|kernel| kernel.release).collect()
    }

    #[test]
    fn newest_of_each_series_by_number() {
        assert_eq!(releases(&[]), ["6.1.0-56", "6.12.5+deb13", "7.2.13+deb14"]);
    }

    #[test]
    fn series_is_no_beginning_of_another() {
        assert_eq!(releases(&["6.1"]), ["6.1.0-56"]);
        assert_eq!(releases(&["7", "6.1.0-9"]), ["6.1.0-9", "7.2.13+deb14"]);
    }

    #[test]
    fn kernel_that_is_not_offered_is_named_with_those_that_are() {
        let error = read(NAMES).select(&["5.4".to_owned()]).unwrap_err().to_string();
        assert!(
            error.starts_with("no kernel `5.4` is offered; there are `6.1.0-9`, `6.1.0-56`, "),
            "{error}"
        );
    }

    #[test]
    fn image_and_modules_in_two_packages() {
        let kernels = read(NAMES).select(&["7.2".to_owned()]).unwrap();
        let packages =
            ["linux-binary-unsigned-7.2.13+deb14-cloud-amd64", "linux-modules-7.2.13+deb14-cloud-amd64"];
        assert_eq!(kernels[0].packages, packages);
        assert_eq!(kernels[0].series(), (7, 2));
    }

    #[test]
    fn place_of_the_main_archive() {
        let targets = "Other Other main tor+http://a/\nDebian Debian-Security main http://b/\n\
            Debian Debian main http://c/debian/\n";
        assert_eq!(place(targets), Some("http://c/debian/"));
    }
}
