//! `test`: all tests of all packages.

use anyhow::Result;

use crate::compile;
use crate::process;
use crate::setup;

/// `arguments` go to `cargo test`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    process::require_root("test")?;
    setup::ensure()?;
    let agent = compile::agent(&["--workspace", "--bins", "--tests"])?;
    let mut test = process::cargo(&["test", "--workspace", "--no-fail-fast"]);
    test.args(arguments).env("IOMT_FILTER_BIN", agent);
    process::run(&mut test)
}
