//! The oldest kernel that users are told of is the one that the loader knows.

use std::fs;

use iomt_filter::datapath::load::OLDEST_KERNEL;

use crate::sources::root;

#[test]
fn the_readme_and_the_loader_name_the_same_kernel() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (major, minor) = OLDEST_KERNEL;
    let promise = format!("Linux {major}.{minor} or newer");
    assert!(readme.contains(&promise), "the README does not say `{promise}`");
}
