//! `classify export MODEL --onnx -o FILE`: a model for other programs.

use std::path::PathBuf;

use crate::model::{ModelFolder, onnx};
use crate::{Result, files};
use candle_core::Device;

use super::console::Verbosity;
use super::sink::refuse_existing;
use super::{Console, Status};

/// Write a model as ONNX, for onnxruntime and other programs
///
/// ONNX: input `frames`, f32 [1, T, 3, H, W], RGB, normalised as the model's
/// preprocessor_config.json says; output `logits`, f32 [1, classes]; the labels are in the
/// metadata, as a JSON list.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A model inside the program, a pulled one, or a model folder
    #[arg(value_name = "NAME|DIR")]
    model: String,
    /// As ONNX
    #[arg(long, required = true)]
    onnx: bool,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file where it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    verbosity: Verbosity,
}

impl Args {
    /// Load, translate, write.
    pub(super) fn run(self, console: &Console) -> Result<Status> {
        console.set_verbosity(self.verbosity);
        refuse_existing(&self.output, self.force)?;
        let folder = ModelFolder::named(&self.model, &Device::Cpu)?;
        let bytes = onnx(&folder)?;
        files::write_atomically(&self.output, &bytes)?;
        let megabytes = bytes.len() as f64 / 1e6;
        console.note(format!("{}: {} as ONNX, {megabytes:.1} MB", self.output.display(), folder.name()));
        Ok(Status::Done)
    }
}
