//! `fuzz`: the kernel program against the reference model, for as long as one likes.

use anyhow::Result;

use crate::process;
use crate::setup;

/// `arguments` go to the fuzzer, whose exit code is this command's: 1 for a difference.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    process::require_root("fuzz")?;
    setup::ensure()?;
    let mut fuzz =
        process::cargo(&["run", "--release", "--package", "iomt-filter-tests", "--bin", "fuzz", "--"]);
    process::become_program(fuzz.args(arguments))
}
