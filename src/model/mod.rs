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
pub mod export;
mod folder;
mod weights;

pub use config::{BackboneConfig, Calibration, HeadConfig, LiteConfig, LstmConfig, ModelConfig};
pub use embedded::{DEFAULT_MODEL, embedded, embedded_models};
pub use folder::{ModelFiles, ModelFolder};
pub use weights::Weights;
