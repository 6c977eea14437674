//! Which model, and how it looks at a clip: the same for every command that uses one.

use crate::model::{Changes, DEFAULT_MODEL, ModelFiles, is_unnamed};
use crate::{Classifier, Error, Result};
use candle_core::Device;

use super::Console;
use super::look::LookArgs;

/// The model and how it looks at a clip.
#[derive(Debug, clap::Args)]
pub(super) struct ModelArgs {
    /// A model inside the program or a pulled one (see `classify models`), or a model folder
    #[arg(short, long, value_name = "NAME|DIR", default_value = DEFAULT_MODEL)]
    pub model: String,
    #[command(flatten)]
    pub look: LookArgs,
    /// Where the network runs
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu, hide_short_help = true)]
    pub device: DeviceName,
}

/// Where a network can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum DeviceName {
    /// This machine's processor
    Cpu,
    /// The first NVIDIA GPU; the program must be built with `--features cuda`
    Cuda,
}

impl DeviceName {
    /// The device, or why it can't be used.
    pub(super) fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda if !cfg!(feature = "cuda") => Err(Error::Usage(
                "--device cuda: this program was built without it; build it with `--features cuda`".into(),
            )),
            Self::Cuda => Device::new_cuda(0).map_err(|e| Error::Usage(format!("--device cuda: {e}"))),
        }
    }
}

impl ModelArgs {
    /// The model's files, set up as asked.
    pub(super) fn files(&self) -> Result<ModelFiles> {
        let files = ModelFiles::named(&self.model)?.changed(&self.changes());
        files.config.sampling.check().map_err(Error::Usage)?;
        Ok(files)
    }

    /// What is asked for.
    pub(super) fn changes(&self) -> Changes {
        let [windows, frames, size] = self.look.numbers();
        Changes { windows, frames, size, ..Changes::default() }
    }

    /// The model, set up as asked.
    pub(super) fn load(&self) -> Result<Classifier> {
        Classifier::of_files(self.files()?, &self.device.open()?)
    }
}

/// Says where a model's labels are none: transformers makes up names where nobody gave any.
pub(super) fn warn_of_unnamed(model: &str, files: &ModelFiles, console: &Console) {
    if is_unnamed(&files.config.id2label) {
        console.warning(format!(
            "{model} doesn't say what its labels mean: they are called LABEL_0, LABEL_1 and so on; its card may say"
        ));
    }
}
