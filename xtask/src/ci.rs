//! `ci`: what a change has to pass, cheapest first.

use anyhow::Result;

use crate::bench;
use crate::lint;
use crate::process;
use crate::test;

pub(crate) fn run() -> Result<()> {
    process::require_root("ci")?;
    lint::run()?;
    test::run(&[])?;
    if bench::is_there() {
        bench::run(&["--short".to_owned()])?;
    }
    Ok(())
}
