//! `bench`: measures the kernel program.

use anyhow::Result;

use crate::process;
use crate::setup;

/// `arguments` go to the bench.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    process::require_root("bench")?;
    setup::ensure()?;
    let mut bench =
        process::cargo(&["run", "--release", "--package", "iomt-filter-tests", "--bin", "bench", "--"]);
    process::run(bench.args(arguments))
}

/// Whether the tests' package has a bench.
pub(crate) fn is_there() -> bool {
    let binaries = process::workspace().join("tests/src/bin");
    ["bench.rs", "bench/main.rs"].iter().any(|file| binaries.join(file).is_file())
}
