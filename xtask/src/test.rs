//! `test`: all tests of all packages.

use anyhow::Result;

use crate::compile;
use crate::process;
use crate::setup;

/// Every package with tests. The kernel program has none of its own, and its stub for the host
/// would be built under the agent's name.
const PACKAGES: [&str; 3] = ["--workspace", "--exclude", "iomt-filter-ebpf"];

/// `arguments` go to `cargo test`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    process::require_root("test")?;
    setup::run()?;
    let agent = compile::agent(&[&PACKAGES[..], &["--bins", "--tests"]].concat())?;
    let mut test = process::cargo(&["test", "--no-fail-fast"]);
    test.args(PACKAGES).args(arguments).env("IOMT_FILTER_BIN", agent);
    process::run(&mut test)
}
