//! The command `classify`.

use std::process::ExitCode;

fn main() -> ExitCode {
    classify::cli::main()
}
