//! `demo`: the filter at work, on the agent as it is built for use.

use anyhow::Result;

use crate::compile;
use crate::process;
use crate::setup;

/// `keep` leaves the network namespaces and the filter in place.
pub(crate) fn run(keep: bool, arguments: &[String]) -> Result<()> {
    process::require_root("demo")?;
    setup::ensure()?;
    // Both at once: one by one they would share no dependency whose features differ between them.
    let both = ["--package", "iomt-filter", "--package", "iomt-filter-tests"];
    let bins = ["--release", "--bin", "iomt-filter", "--bin", "demo"];
    let agent = compile::agent(&[&both[..], &bins].concat())?;
    let mut demo =
        process::cargo(&["run", "--release", "--package", "iomt-filter-tests", "--bin", "demo", "--"]);
    demo.args(keep.then_some("--keep")).args(arguments).env("IOMT_FILTER_BIN", agent);
    process::become_program(&mut demo)
}
