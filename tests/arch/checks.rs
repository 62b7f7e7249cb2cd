//! Every check of `doctor` is explained to users.

use std::fs;

use iomt_filter::doctor::Check;

use crate::sources::root;

#[test]
fn documented_checks_are_the_doctors() {
    let page = fs::read_to_string(root().join("docs/doctor.md")).unwrap();
    let rows: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let checks: Vec<_> = Check::ALL.iter().map(|check| check.name()).collect();
    assert_eq!(rows, checks, "the table of docs/doctor.md has another order, or other checks");
}
