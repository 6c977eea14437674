//! What turns logits into scores.

use candle_core::{D, Result, Tensor};
use candle_nn::ops::{sigmoid, softmax};
use serde::{Deserialize, Serialize};

/// What turns logits into scores, and so what a score is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scoring {
    /// The labels share what there is: a clip shows one of them.
    #[default]
    Softmax,
    /// Each label's score stands for itself: a clip shows none, one or several.
    Sigmoid,
}

impl Scoring {
    /// Scores of logits `[…, classes]`, of the same shape, each between 0 and 1.
    pub(crate) fn scores(self, logits: &Tensor) -> Result<Tensor> {
        match self {
            Self::Softmax => softmax(logits, D::Minus1),
            Self::Sigmoid => sigmoid(logits),
        }
    }

    /// Whether the labels share what there is.
    pub fn is_softmax(&self) -> bool {
        *self == Self::Softmax
    }
}
