//! The head of what `classify train` makes unless asked otherwise: LSTM over time, then a linear layer.

use candle_core::{Result, Tensor};
use candle_nn::{Linear, Module, VarBuilder};

use super::{Dropout, Lstm, masked_mean};
use crate::model::LstmConfig;

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
