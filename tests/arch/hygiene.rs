//! What a file may look like.

use crate::sources::all;

/// Longest file, its tests aside.
const MAX_LINES: usize = 500;

#[test]
fn no_file_is_two_files() {
    for source in all() {
        let lines = source.code().count();
        assert!(lines <= MAX_LINES, "{}: {lines} lines", source.path);
    }
}

#[test]
fn nothing_is_left_to_be_done() {
    for source in all() {
        for (number, line) in source.bare() {
            for word in ["todo!", "unimplemented!", "#[ignore", "dbg!"] {
                assert!(!line.contains(word), "{}:{number}: `{word}`", source.path);
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for source in all() {
        let first =
            source.text.lines().find(|line| !line.starts_with("#!") && !line.is_empty()).unwrap_or("");
        assert!(first.starts_with("//!"), "{}: no module documentation", source.path);
    }
}

#[test]
fn names_say_what_a_module_is_about() {
    for source in all() {
        for part in source.path.trim_end_matches(".rs").split('/') {
            let says_nothing = ["util", "utils", "helpers", "misc", "types", "manager"].contains(&part);
            assert!(!says_nothing, "{}: `{part}` is no name", source.path);
        }
    }
}
