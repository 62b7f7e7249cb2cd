//! The program under test, run as a user runs it.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command that runs the program that `cargo xtask test` built, or else the one beside this test.
pub(crate) fn command() -> Command {
    let beside = || {
        let test = env::current_exe().unwrap();
        test.ancestors().nth(2).unwrap().join("iomt-filter")
    };
    let path = env::var_os("IOMT_FILTER_BIN").map_or_else(beside, PathBuf::from);
    assert!(path.exists(), "there is no `{}`: run `cargo xtask test`", path.display());
    let mut command = Command::new(path);
    command.env_remove("IOMT_FILTER_CONFIG");
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Answer {
    run_in(Path::new("."), arguments)
}

/// Runs it to its end, in a folder.
pub(crate) fn run_in(folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Answer {
    let output = command().current_dir(folder).args(arguments).output().expect("the program starts");
    Answer {
        code: output.status.code().expect("the program exits by itself"),
        stdout: String::from_utf8(output.stdout).expect("stdout is text"),
        stderr: String::from_utf8(output.stderr).expect("stderr is text"),
    }
}
