//! The head of everything that `classify train` makes: LSTM over time, then a linear layer.

use candle_core::{Result, Tensor};
use candle_nn::{Linear, Module, VarBuilder};

use super::{Dropout, Lstm, masked_mean};

/// `features → (x − mean) / std → LSTM → mean over time → linear`.
///
/// The mean over the LSTM's outputs, rather than its last one, lets every step of a short clip
/// speak with the same weight (as in Ng et al., "Beyond Short Snippets", 2015).
pub struct LstmHead {
    mean: Tensor,
    std: Tensor,
    lstm: Lstm,
    classifier: Linear,
    dropout: f64,
    delta: bool,
}

impl LstmHead {
    /// Tensors: `input_norm.mean`, `input_norm.std` `[D]` (of the training clips' features),
    /// `lstm.*` (see [`Lstm`]), `classifier.weight [classes, H]`, `classifier.bias`.
    pub fn load(
        dim: usize,
        hidden: usize,
        layers: usize,
        classes: usize,
        dropout: f64,
        delta: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        let norm = vb.pp("input_norm");
        let width = if delta { 2 * dim } else { dim };
        Ok(Self {
            mean: norm.get(dim, "mean")?,
            std: norm.get(dim, "std")?,
            lstm: Lstm::load(width, hidden, layers, vb.pp("lstm"))?,
            classifier: candle_nn::linear(hidden, classes, vb.pp("classifier"))?,
            dropout,
            delta,
        })
    }

    /// `features`: `[B, T, D]`, padded behind `lengths`. Returns logits `[B, classes]`.
    pub fn forward(
        &self,
        features: &Tensor,
        lengths: &[usize],
        mut dropout: Option<&mut Dropout>,
    ) -> Result<Tensor> {
        let mut x = features.broadcast_sub(&self.mean)?.broadcast_div(&self.std)?;
        if self.delta {
            x = Tensor::cat(&[&x, &change(&x)?], 2)?;
        }
        if let Some(dropout) = &mut dropout {
            x = dropout.apply(&x, self.dropout)?;
        }
        let hidden = self.lstm.forward(&x, lengths, dropout.as_deref_mut().map(|d| (d, self.dropout)))?;
        let mut pooled = masked_mean(&hidden, lengths)?;
        if let Some(dropout) = dropout {
            pooled = dropout.apply(&pooled, self.dropout)?;
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
