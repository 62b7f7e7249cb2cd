//! `ci`: what a change has to pass, cheapest first.

use anyhow::Result;

use crate::bench;
use crate::lint;
use crate::package;
use crate::process;
use crate::prove;
use crate::test;

pub(crate) fn run() -> Result<()> {
    process::require_root("ci")?;
    lint::run()?;
    test::run(&[])?;
    // By itself: it counts what gets through while others want the processors too.
    prove::run(true)?;
    package::test()?;
    if bench::is_there() {
        bench::run(&["--short".to_owned()])?;
    }
    Ok(())
}
