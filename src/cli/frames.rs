//! `classify frames CLIP -o strip.png`: what the model saw.

use std::io::Cursor;
use std::path::PathBuf;
use std::time::Duration;

use crate::files::paths;
use crate::output::filmstrip;
use crate::video::{DecodeOptions, read_frames};
use crate::{Error, Result, bulk, files};
use image::ImageFormat;

use super::console::Verbosity;
use super::fork::{self, Ended};
use super::model_args::ModelArgs;
use super::sink::refuse_existing;
use super::{Console, Status};

/// Draw the frames of a clip that the model sees, with their times
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The clip
    #[arg(value_name = "CLIP")]
    clip: PathBuf,
    /// The picture to write: .png or .jpg
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the picture where it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

impl Args {
    /// Decode, draw, write.
    pub(super) fn run(self, console: &Console) -> Result<Status> {
        console.set_verbosity(self.verbosity);
        let format = match ImageFormat::from_path(&self.output) {
            Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
            _ => {
                let reason = "the ending must be .png or .jpg";
                return Err(Error::Usage(format!("{}: {reason}", self.output.display())));
            }
        };
        refuse_existing(&self.output, self.force)?;
        let clip = &paths::from_argument(&self.clip);
        match fork::copy(Duration::MAX) {
            Some(Ended::WithStatus(code)) => return Ok(Status::from_code(code)),
            Some(Ended::Died(reason)) => return Err(Error::clip(clip, reason)),
            None => (),
        }
        let model = self.model.files()?;
        let options = DecodeOptions { threads: bulk::available_threads(), ..DecodeOptions::default() };
        let frames = read_frames(clip, &model.config.sampling, &model.preprocess, &options)?;
        for warning in &frames.warnings {
            console.warning(format!("{}: {warning}", clip.display()));
        }
        let mut bytes = Cursor::new(Vec::new());
        filmstrip::grid(&frames)
            .write_to(&mut bytes, format)
            .map_err(|e| Error::Usage(format!("{}: {e}", self.output.display())))?;
        files::write_atomically(&self.output, bytes.get_ref())?;
        console.note(format!(
            "{}: {} frames of {}, {}×{} pixels each",
            self.output.display(),
            frames.times.len(),
            clip.display(),
            frames.width,
            frames.height
        ));
        Ok(Status::Done)
    }
}
