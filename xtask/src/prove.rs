//! `prove`: that nothing leaks and nothing is lost whatever happens to the agent, by counting every packet.

use anyhow::Result;

use crate::compile;
use crate::process;
use crate::setup;

/// Takes a quarter of an hour; a minute with `few` of everything.
pub(crate) fn run(few: bool) -> Result<()> {
    process::require_root("prove")?;
    setup::ensure()?;
    let agent =
        compile::agent(&["--package", "iomt-filter", "--package", "iomt-filter-tests", "--bins", "--tests"])?;
    let mut test = process::cargo(&["test", "--package", "iomt-filter-tests", "--test", "netns", "hitless"]);
    test.args(["--", "--nocapture", "--test-threads", "1"]);
    process::run(
        test.env("IOMT_FILTER_BIN", agent).env("IOMT_FILTER_PROOF", if few { "few" } else { "full" }),
    )
}
