//! `classify check FOLDER`: which clips are broken, without labelling them.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::bulk::worker::{Checked, Pool, Request, Setup};
use crate::bulk::{self, Settings};
use crate::output::one_line;
use crate::{Error, Result};

use super::batch_args::{InputArgs, timeout};
use super::console::Verbosity;
use super::{Console, Status, interrupt};

/// List clips that are broken or damaged, without labelling them
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Clips, folders (searched with all below them) and patterns like 'a*.mp4'
    #[arg(required_unless_present = "list", value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    inputs: InputArgs,
    /// Write one JSON object a line, for good clips too
    #[arg(long)]
    json: bool,
    /// Give up on a clip after so long
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = timeout)]
    timeout: Duration,
    /// Cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    #[command(flatten)]
    verbosity: Verbosity,
}

impl Args {
    /// Decodes every picture of every clip. Status 1 where one is broken.
    pub(super) fn run(self, console: &Console) -> Result<Status> {
        console.set_verbosity(self.verbosity);
        let inputs = self.inputs.find(&self.paths)?;
        let clips: Arc<[PathBuf]> = inputs.clips.into();
        let threads = self.threads.map_or_else(bulk::available_threads, |n| n as usize);
        let settings = Settings { threads, stop: interrupt::flag(), ..Settings::default() };
        let setup = Setup::without_model(settings.threads_each(clips.len()));
        let pool = Pool::of_this_program(setup, self.timeout)?;
        console.start_progress(clips.len(), "clips");
        let work = clips.clone();
        let check = move |i: usize| pool.ask::<Checked>(&Request::check(&work[i]));
        let (mut broken, mut damaged, mut done) = (0, 0, 0);
        for (path, result) in clips.iter().zip(bulk::in_order(clips.len(), &settings, check)?) {
            let line = match &result {
                Ok(Checked { pictures, duration_s, warnings }) if self.json => serde_json::json!({
                    "path": path.to_string_lossy(), "frames": pictures, "duration_s": duration_s,
                    "warnings": warnings,
                })
                .to_string(),
                Ok(checked) if checked.warnings.is_empty() => String::new(),
                Ok(checked) => {
                    format!("damaged  {}: {}", one_line(&path.to_string_lossy()), checked.warnings.join("; "))
                }
                Err(error) => match self.json {
                    true => {
                        let reason = error.reason();
                        serde_json::json!({ "path": path.to_string_lossy(), "error": reason }).to_string()
                    }
                    false => format!("broken   {}", one_line(&error.to_string())),
                },
            };
            damaged += usize::from(result.as_ref().is_ok_and(|checked| !checked.warnings.is_empty()));
            broken += usize::from(result.is_err());
            done += 1;
            if !line.is_empty() {
                let written = console.aside(|| writeln!(std::io::stdout().lock(), "{line}"));
                match written {
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
                    other => other.map_err(|e| Error::io("standard output", e))?,
                }
            }
            console.step(broken);
        }
        console.end_progress();
        if settings.stop.load(Ordering::Relaxed) {
            console.note("interrupted");
            return Ok(Status::Interrupted);
        }
        console.note(format!(
            "{} of {done} clips are good, {damaged} damaged, {broken} broken",
            done - damaged - broken
        ));
        Ok(if broken > 0 { Status::SomeFailed } else { Status::Done })
    }
}
