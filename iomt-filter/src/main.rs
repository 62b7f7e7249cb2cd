//! The `iomt-filter` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    iomt_filter::cli::main()
}
