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
