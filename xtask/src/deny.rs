//! What may be linked in: licences, bans and sources of all dependencies, and known holes in them, by `deny.toml`.

use std::process::Stdio;

use anyhow::Result;

use crate::packages::DENY;
use crate::process;
use crate::say;
use crate::setup;

/// Asks `cargo deny`. Where the list of known holes cannot be fetched, that is said, and everything else is checked.
pub(crate) fn run() -> Result<()> {
    setup::ensure_tool(&DENY)?;
    let mut fetch = process::cargo(&["deny", "fetch", "db"]);
    let is_there =
        fetch.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    let mut checks = vec!["deny", "--locked", "--workspace", "check", "licenses", "bans", "sources"];
    if is_there {
        checks.push("advisories");
    } else {
        say::progress(
            "skipped: the list of known holes (RustSec) cannot be fetched; `cargo deny fetch db` says why",
        );
    }
    process::run(&mut process::cargo(&checks))
}
