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
mod weights;

pub use crate::networks::backbones::{BackboneConfig, LiteConfig};
pub use crate::networks::heads::{HeadConfig, LstmConfig};
pub use crate::video::{CropSize, Preprocess, Resample, Sampling, Size};
pub use config::{Calibration, ModelConfig};
pub use embedded::{DEFAULT_MODEL, embedded_models};
pub use export::onnx;
pub use folder::{ModelFiles, ModelFolder};
pub use weights::Weights;
