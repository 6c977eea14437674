//! Options for folders of thousands, left alone over night.

use std::path::PathBuf;
use std::time::Duration;

use crate::bulk::Inputs;
use crate::bulk::{Shard, Trust, read_list};
use crate::{Error, Result};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Many clips")]
pub(super) struct BatchArgs {
    #[command(flatten)]
    pub inputs: InputArgs,
    /// Go on where an earlier run with the same output file stopped, and label what is new or has changed
    #[arg(long, requires = "output")]
    resume: bool,
    /// With --resume, see by their content which clips have changed, not by size and time of change
    #[arg(long, requires = "output", hide_short_help = true)]
    checksum: bool,
    /// With --resume, try clips again that failed
    #[arg(long, requires = "resume", hide_short_help = true)]
    retry_failed: bool,
    /// Give up on a clip after so long; it becomes an error, and the others go on
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "300",
        value_parser = timeout,
        hide_short_help = true
    )]
    pub timeout: Duration,
}

impl BatchArgs {
    /// What to believe of an earlier run.
    pub(super) fn trust(&self) -> Trust {
        Trust { resume: self.resume, checksum: self.checksum, retry_failed: self.retry_failed }
    }
}

/// Inputs beside the paths of the command line.
#[derive(Debug, clap::Args)]
pub(super) struct InputArgs {
    /// Take the I-th of N shares of the inputs: for several machines (I from 1 to N, or from 0 to N-1)
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Also take the paths in a file, one a line; - is standard input
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Paths in --list end with a zero byte, as `find -print0` writes them
    #[arg(short = '0', long, requires = "list", hide_short_help = true)]
    pub null: bool,
}

impl InputArgs {
    /// All inputs: those of the command line, then the list's, and of these this machine's share.
    pub(super) fn find(&self, paths: &[PathBuf]) -> Result<Inputs> {
        let mut all = paths.to_vec();
        if let Some(list) = &self.list {
            all.extend(read_list(list, self.null)?);
        }
        let mut inputs = Inputs::find(&all)?;
        if inputs.clips.is_empty() {
            let skipped = match inputs.skipped {
                0 => String::new(),
                n => format!(" ({n} files have other endings; name a file itself to have it tried)"),
            };
            let names: Vec<_> = all.iter().take(3).map(|p| p.display().to_string()).collect();
            let more = if all.len() > 3 { ", …" } else { "" };
            let names = if names.is_empty() { "an empty list".into() } else { names.join(", ") + more };
            return Err(Error::Usage(format!("no input found: no video in {names}{skipped}")));
        }
        if let Some(shard) = self.shard {
            inputs.clips.retain(|clip| shard.takes(clip));
        }
        Ok(inputs)
    }
}

/// A time limit in seconds.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1e6 => Ok(Duration::from_secs_f64(value)),
        _ => Err("must be a number of seconds above 0".into()),
    }
}
