//! `classify frames CLIP -o strip.png`: what the model saw.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::paths;
use crate::model::ModelFiles;
use crate::output::{filmstrip, tensor};
use crate::video::{DecodeOptions, Frames, Span, read_frames};
use crate::{Error, Result, bulk, files, stores};
use candle_core::{Device, Tensor};
use image::ImageFormat;

use super::console::Verbosity;
use super::fork::{self, Ended};
use super::model_args::ModelArgs;
use super::sink::refuse_existing;
use super::{Console, Status};

/// Draw the frames of a clip that the model sees, with their times, or write the numbers that its network is given
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The clip
    #[arg(value_name = "CLIP")]
    clip: PathBuf,
    /// The file to write: a picture (.png, .jpg), or the network's very input, windows × frames × height ×
    /// width × RGB (.safetensors, .npy)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Look at a stretch of the video that begins at this second [default: its beginning]
    #[arg(long, value_name = "SECONDS")]
    start: Option<f64>,
    /// Look at a stretch of the video that ends at this second [default: its end]
    #[arg(long, value_name = "SECONDS")]
    end: Option<f64>,
    /// Replace the file where it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

/// What is written.
enum Format {
    Picture(ImageFormat),
    Safetensors,
    Npy,
}

impl Format {
    /// By the ending of `output`.
    fn of(output: &Path) -> Result<Self> {
        let ending = output.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match ending.as_str() {
            "png" => Ok(Self::Picture(ImageFormat::Png)),
            "jpg" | "jpeg" => Ok(Self::Picture(ImageFormat::Jpeg)),
            "safetensors" => Ok(Self::Safetensors),
            "npy" => Ok(Self::Npy),
            _ => {
                let reason =
                    "the ending must be .png or .jpg, or .safetensors or .npy for the network's input";
                Err(Error::Usage(format!("{}: {reason}", stores::shown(output).display())))
            }
        }
    }
}

impl Args {
    /// Decode, draw, write.
    pub(super) fn run(self, console: &Console) -> Result<Status> {
        console.set_verbosity(self.verbosity);
        let format = Format::of(&self.output)?;
        refuse_existing(&self.output, self.force)?;
        let clip = &stores::unsigned(&paths::from_argument(&self.clip))?;
        let span = self.span()?;
        match fork::copy(Duration::MAX) {
            Some(Ended::WithStatus(code)) => return Ok(Status::from_code(code)),
            Some(Ended::Died(reason)) => return Err(Error::clip(clip, reason)),
            None => (),
        }
        let model = self.model.files()?;
        let options = DecodeOptions { threads: bulk::available_threads(), ..DecodeOptions::of(span) };
        let frames = read_frames(clip, &model.config.sampling, &model.preprocess, &options)?;
        for warning in &frames.warnings {
            console.warning(format!("{}: {warning}", clip.display()));
        }
        files::write_atomically(&self.output, &self.bytes(format, clip, &model, &frames)?)?;
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

    fn span(&self) -> Result<Option<Span>> {
        match (self.start, self.end) {
            (None, None) => Ok(None),
            (start, end) => Span::new(start.unwrap_or(0.0), end)
                .map(Some)
                .map_err(|reason| Error::Usage(format!("--start, --end: {reason}"))),
        }
    }

    fn bytes(&self, format: Format, clip: &Path, model: &ModelFiles, frames: &Frames) -> Result<Vec<u8>> {
        let wrong = |e: &dyn std::fmt::Display| Error::Usage(format!("{}: {e}", self.output.display()));
        if let Format::Picture(format) = format {
            let mut bytes = Cursor::new(Vec::new());
            filmstrip::grid(frames).write_to(&mut bytes, format).map_err(|e| wrong(&e))?;
            return Ok(bytes.into_inner());
        }
        // As the classifier does it.
        let window = |w| model.preprocess.normalise(frames, w, &Device::Cpu);
        let windows: Vec<Tensor> = (0..frames.windows).map(window).collect::<candle_core::Result<_>>()?;
        let input = Tensor::stack(&windows, 0)?;
        let numbers = input.flatten_all()?.to_vec1::<f32>()?;
        if let Format::Npy = format {
            return Ok(tensor::npy(input.dims(), &numbers));
        }
        let json = |value: serde_json::Result<String>| value.map_err(|e| wrong(&e));
        let metadata = [
            ("model", self.model.model.clone()),
            ("clip", clip.display().to_string()),
            ("sampling", json(serde_json::to_string(&model.config.sampling))?),
            ("preprocessor_config", json(serde_json::to_string(&model.preprocess))?),
        ];
        let metadata: HashMap<String, String> =
            metadata.into_iter().map(|(name, value)| (name.into(), value)).collect();
        tensor::safetensors(input.dims(), &numbers, &frames.times, metadata).map_err(|e| wrong(&e))
    }
}
