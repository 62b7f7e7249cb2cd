//! Boots a kernel, and reads what it said.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::debian::{Kernel, files};
use crate::process;
use crate::say;

/// An emulated machine needs half a minute; one that hangs is given up.
const SECONDS: &str = "1500";

/// What the kernel says of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    /// Instructions that the verifier walked through.
    pub(crate) verified: u64,
    /// Bytes of its bytecode.
    pub(crate) translated: u64,
    /// Bytes of its machine code.
    pub(crate) jited: u64,
    /// Milliseconds to verify and compile it.
    pub(crate) milliseconds: u64,
}

/// Whether the kernel takes the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It said nothing that could be read: it did not boot, or hung.
    #[default]
    None,
    Loaded(Program),
    /// The first line of the error.
    Refused(String),
}

/// One kernel's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) answer: Answer,
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    /// Whether the tests came to their end with success.
    pub(crate) has_ended: bool,
}

/// Boots the kernel; its console goes into a file.
pub(crate) fn boot(kernel: &Kernel, unpacked: &Path, initrd: &Path, folder: &Path) -> Result<Report> {
    let image = files(unpacked, &|name| name.starts_with("vmlinuz")).into_iter().next();
    let image = image.with_context(|| format!("failed to find an image in `{}`", unpacked.display()))?;
    let log = folder.join(format!("{}.log", kernel.release));
    let console = File::create(&log).with_context(|| format!("failed to write `{}`", log.display()))?;
    // Without KVM: it is not everywhere, and does not always work inside a virtual machine.
    let mut emulator = Command::new("timeout");
    emulator.args(["--foreground", "--kill-after=5", SECONDS, "qemu-system-x86_64"]);
    emulator.args(["-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "2048", "-nodefaults", "-no-reboot"]);
    // On a busy host the emulated timer comes late, and a kernel that looks would take it for none.
    let arguments = "console=ttyS0 quiet panic=-1 no_timer_check";
    emulator.args(["-display", "none", "-serial", "stdio", "-append", arguments]);
    emulator.arg("-kernel").arg(image).arg("-initrd").arg(initrd);
    emulator.stdin(Stdio::null()).stdout(console);
    say::progress(&format!("boot {}", kernel.release));
    let status =
        emulator.status().with_context(|| format!("failed to start `{}`", process::describe(&emulator)))?;
    if !status.success() {
        say::progress(&format!("{}: the emulator ended with {status}", kernel.release));
    }
    let said = fs::read(&log).with_context(|| format!("failed to read `{}`", log.display()))?;
    Ok(read(&String::from_utf8_lossy(&said)))
}

/// Reads a console, where the name of a test may stand before what it prints. The last count of tests is
/// that of all of them.
fn read(console: &str) -> Report {
    let mut report = Report::default();
    for line in console.lines().map(str::trim) {
        if let Some((_, sentence)) = line.split_once("refused: ") {
            report.answer = Answer::Refused(sentence.to_owned());
        } else if let Some((_, facts)) = line.split_once("program: ") {
            report.answer = program(facts).map_or(Answer::None, Answer::Loaded);
        } else if let Some(result) = line.strip_prefix("test result: ") {
            (report.passed, report.failed) = (count(result, " passed"), count(result, " failed"));
        } else if let Some(code) = line.strip_prefix("ended: ") {
            report.has_ended = code == "0";
        }
    }
    report
}

/// `N instructions verified, N bytes translated, N bytes of machine code, N ms to load`.
fn program(facts: &str) -> Option<Program> {
    let mut numbers = facts.split(", ").map(|fact| fact.split(' ').next().and_then(|word| word.parse().ok()));
    let mut next = || numbers.next().flatten();
    Some(Program { verified: next()?, translated: next()?, jited: next()?, milliseconds: next()? })
}

/// The number in front of `word`.
fn count(result: &str, word: &str) -> u32 {
    let before = result.split(word).next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_that_takes_the_program_and_passes() {
        let console = "SeaBIOS\r\nrunning 1 test\r\n\
            test program::the_program_is_taken ... program: 900 instructions verified, 80 bytes translated, 70 bytes of machine code, 60 ms to load\r\n\
            test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 5 filtered out; finished in 1.00s\r\n\
            test result: ok. 6 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9.00s\r\n\
            ended: 0\r\n";
        let program = Program { verified: 900, translated: 80, jited: 70, milliseconds: 60 };
        let expected = Report { answer: Answer::Loaded(program), passed: 6, failed: 0, has_ended: true };
        assert_eq!(read(console), expected);
    }

    #[test]
    fn kernel_that_refuses() {
        let report = read(
            "test program::taken ... refused: kernel 5.10 cannot run this program: it needs 6.1 or newer\r\n\r\nthread\r\n",
        );
        let sentence = "kernel 5.10 cannot run this program: it needs 6.1 or newer";
        assert_eq!(report.answer, Answer::Refused(sentence.to_owned()));
        assert!(!report.has_ended);
    }

    #[test]
    fn kernel_that_hangs_said_nothing() {
        assert_eq!(read("SeaBIOS\r\n"), Report::default());
    }
}
