//! The bills of materials (CycloneDX): which crates are in the agent, and which in its kernel program.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::process;

/// What the tool calls its files; it puts one beside the manifest of every member.
const NAME: &str = "bill-of-materials.cdx";

/// Names of files, and what is in them; `epoch` is when they were made.
pub(crate) fn of_materials(epoch: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let bills = PARTS.iter().map(|part| {
        let bill = of(part, epoch);
        let removed = remove();
        let bill = bill?;
        removed.map(|()| (format!("{}.cdx.json", part.package), bill))
    });
    bills.collect()
}

/// A package whose crates are listed, on the target that it is built for.
pub(crate) struct Part {
    pub(crate) package: &'static str,
    /// None where it is the machine's own.
    pub(crate) target: Option<&'static str>,
}

/// All that the program consists of.
pub(crate) const PARTS: [Part; 2] = [
    Part { package: "iomt-filter", target: None },
    Part { package: "iomt-filter-ebpf", target: Some("bpfel-unknown-none") },
];

fn of(part: &Part, epoch: &str) -> Result<Vec<u8>> {
    let folder = process::workspace().join(part.package);
    let mut bill = process::cargo(&["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5"]);
    bill.args(["--no-build-deps", "--override-filename", NAME]);
    bill.args(part.target.map(|target| format!("--target={target}")));
    bill.arg("--manifest-path").arg(folder.join("Cargo.toml"));
    process::output(bill.env("SOURCE_DATE_EPOCH", epoch))?;
    let path = folder.join(format!("{NAME}.json"));
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
    // Where this checkout lies is nobody's business, and differs between two of them.
    let ours = format!("path+file://{}", process::workspace().display());
    Ok(text.replace(&ours, "path+file://").into_bytes())
}

/// Takes them out of the sources again.
fn remove() -> Result<()> {
    for entry in fs::read_dir(process::workspace()).context("failed to read the workspace")? {
        let path: PathBuf = entry?.path().join(format!("{NAME}.json"));
        if path.is_file() {
            fs::remove_file(&path).with_context(|| format!("failed to remove `{}`", path.display()))?;
        }
    }
    Ok(())
}
