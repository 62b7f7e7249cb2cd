//! `bench`: measures the kernel program.

use anyhow::Result;

use crate::process;
use crate::setup;

/// `arguments` go to the bench.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    process::require_root("bench")?;
    setup::run()?;
    let mut bench =
        process::cargo(&["run", "--release", "--package", "iomt-filter-tests", "--bin", "bench", "--"]);
    process::run(bench.args(arguments))
}
