//! A head that wasn't trained: how near a clip's frames are to texts.

use candle_core::{D, Result, Tensor};

/// Frames and texts are vectors in one space; the score of a text is the cosine between it and the mean of the frames'
/// directions, times the scale that the towers were trained with.
#[derive(Debug, Clone)]
pub struct WordsHead {
    /// `[classes, D]`, each of length 1.
    texts: Tensor,
    scale: f64,
    bias: f64,
}

impl WordsHead {
    /// `texts`: `[classes, D]`.
    pub(crate) fn new(texts: &Tensor, scale: f64, bias: f64) -> Result<Self> {
        Ok(Self { texts: direction(texts)?, scale, bias })
    }

    /// `features`: `[windows, T', D]`. Returns the clip's logits `[classes]`.
    pub(crate) fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let clip = direction(&direction(&features.flatten(0, 1)?)?.mean_keepdim(0)?)?;
        let cosines = clip.matmul(&self.texts.t()?)?.squeeze(0)?;
        cosines.affine(self.scale, self.bias)
    }
}

/// Vectors of the last dimension with length 1.
pub(crate) fn direction(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?)
}
