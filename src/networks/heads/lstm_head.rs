//! The head of what `classify train` makes unless asked otherwise: LSTM over time, then a linear layer.

use candle_core::{Result, Tensor};
use candle_nn::{Linear, Module, VarBuilder};
use serde::{Deserialize, Serialize};

use super::{Dropout, Lstm, masked_mean};

/// The sizes of an LSTM head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LstmConfig {
    /// Length of the state.
    pub hidden_size: usize,
    /// Layers, each reading the one below.
    pub num_layers: usize,
    /// Share of values dropped in training: of each layer's input and of the classifier's.
    pub dropout: f64,
    /// The LSTM also reads the change of each feature since the step before (its input is `2·D` wide).
    #[serde(default)]
    pub delta: bool,
    /// The classifier also reads the features' mean over time beside the LSTM's, so that the LSTM
    /// has only to learn what the mean can't say.
    #[serde(default)]
    pub skip: bool,
}

impl LstmConfig {
    /// Length of an LSTM input step, for features of length `dim`.
    pub fn input_width(&self, dim: usize) -> usize {
        if self.delta { 2 * dim } else { dim }
    }

    /// Length of the classifier's input.
    pub fn pooled_width(&self, dim: usize) -> usize {
        if self.skip { self.hidden_size + dim } else { self.hidden_size }
    }
}

/// `features → (x − mean) / std → LSTM → mean over time → linear`.
///
/// The mean over the LSTM's outputs, rather than its last one, lets every step of a short clip
/// speak with the same weight (as in Ng et al., "Beyond Short Snippets", 2015).
pub struct LstmHead {
    config: LstmConfig,
    mean: Tensor,
    std: Tensor,
    lstm: Lstm,
    classifier: Linear,
}

impl LstmHead {
    /// Tensors: `input_norm.mean`, `input_norm.std` `[D]` (of the training clips' features),
    /// `lstm.*` (see [`Lstm`]), `classifier.weight [classes, H]` (`H + D` with
    /// [`skip`](LstmConfig::skip)), `classifier.bias`.
    pub fn load(dim: usize, classes: usize, config: LstmConfig, vb: VarBuilder) -> Result<Self> {
        let norm = vb.pp("input_norm");
        let LstmConfig { hidden_size, num_layers, .. } = config;
        Ok(Self {
            config,
            mean: norm.get(dim, "mean")?,
            std: norm.get(dim, "std")?,
            lstm: Lstm::load(config.input_width(dim), hidden_size, num_layers, vb.pp("lstm"))?,
            classifier: candle_nn::linear(config.pooled_width(dim), classes, vb.pp("classifier"))?,
        })
    }

    /// `features`: `[B, T, D]`, padded behind `lengths`. Returns logits `[B, classes]`.
    pub fn forward(
        &self,
        features: &Tensor,
        lengths: &[usize],
        mut dropout: Option<&mut Dropout>,
    ) -> Result<Tensor> {
        let LstmConfig { dropout: rate, delta, skip, .. } = self.config;
        let features = features.broadcast_sub(&self.mean)?.broadcast_div(&self.std)?;
        let mut x = if delta { Tensor::cat(&[&features, &change(&features)?], 2)? } else { features.clone() };
        if let Some(dropout) = &mut dropout {
            x = dropout.apply(&x, rate)?;
        }
        let hidden = self.lstm.forward(&x, lengths, dropout.as_deref_mut().map(|d| (d, rate)))?;
        let mut pooled = masked_mean(&hidden, lengths)?;
        if skip {
            pooled = Tensor::cat(&[&pooled, &masked_mean(&features, lengths)?], 1)?;
        }
        if let Some(dropout) = dropout {
            pooled = dropout.apply(&pooled, rate)?;
        }
        self.classifier.forward(&pooled)
    }
}

/// Each step less the one before, 0 at the first: `[B, T, D]` → the same.
fn change(x: &Tensor) -> Result<Tensor> {
    let (_, steps, _) = x.dims3()?;
    let first = x.narrow(1, 0, 1)?.zeros_like()?;
    if steps == 1 {
        return Ok(first);
    }
    let rest = (x.narrow(1, 1, steps - 1)? - x.narrow(1, 0, steps - 1)?)?;
    Tensor::cat(&[&first, &rest], 1)
}
