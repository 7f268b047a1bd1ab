//! The `provost` command: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    provost::cli::main()
}
