//! `classify man`.

use std::path::PathBuf;

use crate::{Error, Result};
use clap::CommandFactory;

use super::completions::print;
use super::{Cli, Status};

/// Print the man page
///
/// To read it: classify man | man -l -
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write this page and one for each command into a folder instead
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Args {
    /// To standard output or into a folder.
    pub(super) fn run(self) -> Result<Status> {
        // A page's head has room for one line: without FFmpeg's version.
        let command = Cli::command().version(env!("CARGO_PKG_VERSION"));
        if let Some(folder) = self.output {
            std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
            clap_mangen::generate_to(command, &folder).map_err(|e| Error::io(&folder, e))?;
            return Ok(Status::Done);
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(|e| Error::io("man page", e))?;
        print(&page)
    }
}
