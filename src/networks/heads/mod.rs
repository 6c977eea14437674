//! Heads: what turns a clip's features over time into its logits.

mod config;
mod dropout;
mod lstm;
mod lstm_head;
mod mean;
mod prompts;
mod words;

pub use config::HeadConfig;
pub(crate) use dropout::Dropout;
pub use lstm::Lstm;
pub use lstm_head::LstmConfig;
pub(crate) use lstm_head::LstmHead;
pub(crate) use mean::MeanHead;
pub(crate) use prompts::Prompts;
pub use words::WordsHead;
#[cfg(any(test, feature = "words"))]
pub(crate) use words::direction;

use candle_core::{Result, Tensor, bail};

/// A head, as `config.json` names it.
pub enum Head {
    /// An LSTM.
    Lstm(LstmHead),
    /// A mean over time.
    Mean(MeanHead),
    /// Nearness to texts.
    Words(WordsHead),
}

impl Head {
    /// `features`: `[windows, T', D]`. Returns the clip's logits `[classes]`.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        match self {
            Self::Lstm(head) => {
                let (windows, steps, dim) = features.dims3()?;
                let sequence = features.reshape((1, windows * steps, dim))?;
                head.forward(&sequence, &[windows * steps], None)?.squeeze(0)
            }
            Self::Mean(head) => head.forward(features),
            Self::Words(head) => head.forward(features),
        }
    }

    /// The same for labels that stand for themselves: what any of the windows shows the clip shows, so that each is read
    /// alone, and a label has the highest of their logits. In a mean over all, what only a part of the clip shows would
    /// drown. Texts are compared with the whole clip in any case.
    pub fn forward_any(&self, features: &Tensor) -> Result<Tensor> {
        match self {
            Self::Words(_) => self.forward(features),
            _ => any_window(features, |window| self.forward(window)),
        }
    }

    /// `features`: `[B, T, D]`, padded behind each clip's own `lengths`. Returns logits `[B, classes]`.
    ///
    /// `dropout` is given in training only.
    pub fn forward_batch(
        &self,
        features: &Tensor,
        lengths: &[usize],
        dropout: Option<&mut Dropout>,
    ) -> Result<Tensor> {
        match self {
            Self::Lstm(head) => head.forward(features, lengths, dropout),
            Self::Mean(head) => head.forward_batch(features, lengths),
            Self::Words(_) => bail!("a head of texts isn't trained"),
        }
    }
}

/// The highest logit of each label, `[classes]`, that `logits` gives one of the windows of `features` `[windows, T', D]`.
pub(crate) fn any_window(features: &Tensor, logits: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let windows = (0..features.dim(0)?).map(|window| logits(&features.narrow(0, window, 1)?));
    Tensor::stack(&windows.collect::<Result<Vec<_>>>()?, 0)?.max(0)
}

/// `[B, T, 1]`: 1 where step `t` belongs to the clip, 0 where it is padding.
fn step_mask(lengths: &[usize], steps: usize, like: &Tensor) -> Result<Tensor> {
    let mask: Vec<f32> =
        lengths.iter().flat_map(|&n| (0..steps).map(move |t| if t < n { 1.0 } else { 0.0 })).collect();
    Tensor::from_vec(mask, (lengths.len(), steps, 1), like.device())
}

/// Mean over the steps that are no padding: `[B, T, D]` → `[B, D]`.
fn masked_mean(x: &Tensor, lengths: &[usize]) -> Result<Tensor> {
    let (_, steps, _) = x.dims3()?;
    let counts: Vec<f32> = lengths.iter().map(|&n| n.max(1) as f32).collect();
    let counts = Tensor::from_vec(counts, (lengths.len(), 1), x.device())?;
    x.broadcast_mul(&step_mask(lengths, steps, x)?)?.sum(1)?.broadcast_div(&counts)
}
