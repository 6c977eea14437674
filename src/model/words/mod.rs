//! Labels in plain words, for networks that learned pictures and texts together.

#[cfg(feature = "words")]
mod descriptions;
#[cfg(feature = "words")]
mod embed;

#[cfg(feature = "words")]
pub use descriptions::{Description, descriptions};
#[cfg(feature = "words")]
pub(super) use embed::Text;
#[cfg(all(test, feature = "words"))]
pub(super) use embed::{Tokens, scale_and_bias};

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::Scoring;
use crate::networks::backbones::BackboneConfig;
use crate::networks::heads::{Prompts, WordsHead};

/// Labels, and what they are among pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Words {
    /// What results say.
    pub labels: Vec<String>,
    /// A vector for each.
    vectors: Vec<Vec<f32>>,
    scale: f64,
    bias: f64,
    /// Each score stands for itself.
    alone: bool,
}

impl Words {
    /// As a head for the features of `backbone`, which have the length `dim`; `vb` holds the model's weights.
    pub(crate) fn head(&self, backbone: &BackboneConfig, dim: usize, vb: VarBuilder) -> Result<WordsHead> {
        let numbers: Vec<f32> = self.vectors.concat();
        let texts = Tensor::from_vec(numbers, (self.labels.len(), dim), vb.device())?;
        match backbone {
            BackboneConfig::Xclip(config) => {
                let prompts = Prompts::load(vb.pp("text.prompts_generator"), config)?;
                WordsHead::with_prompts(&texts, self.scale, prompts)
            }
            _ => WordsHead::new(&texts, self.scale, self.bias),
        }
    }

    /// What turns nearness into scores.
    pub(super) fn scoring(&self) -> Scoring {
        if self.alone { Scoring::Sigmoid } else { Scoring::Softmax }
    }
}
