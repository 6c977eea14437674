//! `classify completions SHELL`.

use std::io::{Write, stdout};

use crate::{Error, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Status};

/// Print completions for a shell
///
/// Bash: classify completions bash > ~/.local/share/bash-completion/completions/classify
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    /// To standard output.
    pub(super) fn run(self) -> Result<Status> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "classify", &mut script);
        print(&script)
    }
}

/// Writes `bytes` to standard output; a closed pipe is no error.
pub(super) fn print(bytes: &[u8]) -> Result<Status> {
    match stdout().lock().write_all(bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("standard output", error))
        }
        _ => Ok(Status::Done),
    }
}
