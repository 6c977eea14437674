//! Model folders: all that is needed to run a model, in the way of the transformers library.
//!
//! | file | what it says |
//! |---|---|
//! | `config.json` | architecture, sampling, labels: [`ModelConfig`] |
//! | `preprocessor_config.json` | resize, crop, normalisation: [`Preprocess`](crate::video::Preprocess) |
//! | `model.safetensors` | weights, `backbone.*` and `head.*`, under PyTorch's names: [`Weights`] |
//! | `README.md` | the model card: data, licence, accuracy and the command that measured it |

mod config;
mod embedded;
mod export;
mod folder;
pub mod hub;
mod knowing;
mod known;
mod scoring;
mod tensors;
mod trained;
mod transformers;
mod weights;
mod words;

pub use crate::networks::backbones::{
    BackboneConfig, ClipConfig, Features, LiteConfig, VideoMaeConfig, Vjepa2Config, XclipConfig,
};
pub use crate::networks::heads::{HeadConfig, LstmConfig};
pub use crate::networks::transformer::{Activation, VitConfig};
pub use crate::video::{CropSize, Preprocess, Resample, Sampling, Size};
pub use config::{Calibration, ModelConfig};
pub use embedded::{DEFAULT_MODEL, embedded_models};
pub use export::onnx;
pub(crate) use folder::name;
pub use folder::{Changes, ModelFiles, ModelFolder};
pub use knowing::{KnowingConfig, Parts, Prototypes, Scale, roots};
pub use known::{KnownModel, Origin, is_unnamed, known_models};
pub use scoring::Scoring;
pub use tensors::Tensors;
pub use trained::{remember_trained, trained_models};
pub use weights::Weights;
pub use words::Words;
#[cfg(feature = "words")]
pub use words::{Description, descriptions};
