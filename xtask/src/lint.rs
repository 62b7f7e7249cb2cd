//! `lint`: the format, every lint of the workspace, the kernel program's as seen by the host, and what is linked in.

use anyhow::Result;

use crate::deny;
use crate::process;
use crate::setup;

pub(crate) fn run() -> Result<()> {
    process::run(&mut process::cargo(&["fmt", "--all", "--check"]))?;
    setup::ensure()?;
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"];
    process::run(&mut process::cargo(&arguments))?;
    deny::run()
}
