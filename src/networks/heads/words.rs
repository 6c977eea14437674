//! A head that wasn't trained: how near a clip is to texts.

use candle_core::{D, Result, Tensor};

use super::Prompts;

/// Clips and texts are vectors in one space; the score of a text is the cosine between it and the clip, times the scale
/// that the towers were trained with.
pub struct WordsHead {
    /// `[classes, D]`, each of length 1 but where clips change them.
    texts: Tensor,
    scale: f64,
    bias: f64,
    prompts: Option<Prompts>,
}

impl WordsHead {
    /// `texts`: `[classes, D]`.
    pub(crate) fn new(texts: &Tensor, scale: f64, bias: f64) -> Result<Self> {
        Ok(Self { texts: direction(texts)?, scale, bias, prompts: None })
    }

    /// The same for texts that each clip changes.
    pub(crate) fn with_prompts(texts: &Tensor, scale: f64, prompts: Prompts) -> Result<Self> {
        Ok(Self { texts: texts.clone(), scale, bias: 0.0, prompts: Some(prompts) })
    }

    /// `features`: `[windows, T', D]`, vectors of frames whose directions are averaged, or with prompts that of the
    /// window, and behind it those of places. Returns the clip's logits `[classes]`.
    pub(crate) fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let cosines = match &self.prompts {
            None => {
                let clip = direction(&direction(&features.flatten(0, 1)?)?.mean_keepdim(0)?)?;
                clip.matmul(&self.texts.t()?)?
            }
            Some(prompts) => {
                let (windows, steps, _) = features.dims3()?;
                let of_window = |window| {
                    let features = features.get(window)?;
                    let texts = prompts.forward(&self.texts, &features.narrow(0, 1, steps - 1)?)?;
                    direction(&features.narrow(0, 0, 1)?)?.matmul(&direction(&texts)?.t()?)
                };
                let windows: Vec<Tensor> = (0..windows).map(of_window).collect::<Result<_>>()?;
                Tensor::cat(&windows, 0)?.mean_keepdim(0)?
            }
        };
        cosines.squeeze(0)?.affine(self.scale, self.bias)
    }
}

/// Vectors of the last dimension with length 1.
pub(crate) fn direction(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?)
}
