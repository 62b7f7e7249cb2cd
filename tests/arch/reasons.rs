//! Every reason that a user can meet is explained to users.

use std::fs;
use std::path::{Path, PathBuf};

use iomt_filter_common::Reason;

use crate::sources::root;

/// The pages that speak of reasons: where there is one, it must explain all of them.
fn pages(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let nested = paths.flat_map(|path| if path.is_dir() { pages(&path) } else { vec![path] });
    nested.filter(|path| path.file_name().is_some_and(|name| name == "reasons.md")).collect()
}

#[test]
fn documented_reasons_are_the_programs() {
    for page in pages(&root().join("docs")) {
        let text = fs::read_to_string(&page).unwrap();
        for reason in Reason::ALL {
            let row = format!("| `{}` |", reason.name());
            assert!(text.contains(&row), "{}: no row for `{}`", page.display(), reason.name());
        }
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("| `") else { continue };
            let name = rest.split('`').next().unwrap_or("");
            let is_known = Reason::ALL.iter().any(|reason| reason.name() == name);
            assert!(is_known, "{}: `{name}` is no reason", page.display());
        }
    }
}
