//! `kernels`: the program under other kernels than this machine's, each booted in an emulator.
//!
//! What goes in are names of releases, what comes out is a table. Nothing on this machine changes but
//! `target/kernels`, and the packages that are missing.

mod debian;
mod initrd;
mod guest;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::compile;
use crate::packages::EMULATOR;
use crate::process;
use crate::say;
use crate::setup;
use guest::{Answer, Report};

/// Fails with 1 where a kernel that the README promises does not run the program or fails a test, or an
/// older one refuses without the sentence that says why.
pub(crate) fn run(wanted: &[String]) -> Result<ExitCode> {
    ensure!(cfg!(target_arch = "x86_64"), "only kernels for x86-64 are booted, and only there");
    setup::ensure_with(&EMULATOR)?;
    let readme =
        fs::read_to_string(process::workspace().join("README.md")).context("failed to read README")?;
    let oldest = promised(&readme).context("the README does not say `Linux N.N or newer`")?;
    let test = compile::test("kernel")?;
    let folder = folder(&test);
    fs::create_dir_all(&folder).with_context(|| format!("failed to make `{}`", folder.display()))?;

    let mut rows = Vec::new();
    let mut has_failed = false;
    for kernel in debian::offered(&folder)?.select(wanted)? {
        let unpacked = debian::unpack(&kernel, &folder)?;
        let initrd = initrd::make(&kernel, &unpacked, &test, &folder)?;
        let report = guest::boot(&kernel, &unpacked, &initrd, &folder)?;
        let is_promised = kernel.series() >= oldest;
        has_failed |= !is_as_said(&report, is_promised);
        rows.push(table::row(&kernel.release, is_promised, &report));
    }
    say::result(&table::show(&rows));
    say::progress("times are those of an emulated processor: compare them with each other only");
    say::progress(&format!("what the kernels said is in `{}`", folder.display()));
    Ok(if has_failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// A promised kernel passes; an older one does too, or says that it is too old.
fn is_as_said(report: &Report, is_promised: bool) -> bool {
    match &report.answer {
        Answer::Loaded(_) => report.has_ended && report.passed > 0 && report.failed == 0,
        Answer::Refused(sentence) => !is_promised && sentence.contains(" cannot run this program: it needs "),
        Answer::None => false,
    }
}

/// `Linux 6.1 or newer`, as the README says it.
fn promised(readme: &str) -> Option<(u32, u32)> {
    let words: Vec<&str> = readme.split_whitespace().collect();
    words.windows(4).find_map(|window| match window {
        ["Linux", release, "or", newer] if newer.starts_with("newer") => {
            let (major, minor) = release.split_once('.')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        }
        _ => None,
    })
}

/// `kernels` in the folder that cargo builds in, three above a test binary.
fn folder(test: &Path) -> PathBuf {
    test.ancestors().nth(3).unwrap_or(Path::new("target")).join("kernels")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_kernel_of_the_readme() {
        let readme = fs::read_to_string(process::workspace().join("README.md")).unwrap();
        assert!(promised(&readme).is_some());
        assert_eq!(promised("It needs Linux 6.1\nor newer, and more"), Some((6, 1)));
        assert_eq!(promised("It needs Linux"), None);
    }

    #[test]
    fn too_old_is_an_answer_where_nothing_was_promised() {
        let sentence = "kernel 5.10 cannot run this program: it needs 6.1 or newer";
        let mut report = Report { answer: Answer::Refused(sentence.to_owned()), ..Report::default() };
        assert!(is_as_said(&report, false));
        assert!(!is_as_said(&report, true));
        report.answer = Answer::Refused("the kernel refused the program: R1 type=inv".to_owned());
        assert!(!is_as_said(&report, false));
        report.answer = Answer::None;
        assert!(!is_as_said(&report, false));
    }
}
