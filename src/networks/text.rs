//! Text towers: what a text is among pictures (CLIP: Radford et al. 2021, arXiv:2103.00020; SigLIP: Zhai et al. 2023,
//! arXiv:2303.15343), as transformers keeps them.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use classify_kernels::Precision;

use super::transformer::{Block, LayerNorm, Linear, Names, Sizes};

/// A text tower's settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextConfig {
    pub(crate) kind: TextKind,
    pub(crate) vocab_size: usize,
    /// Most tokens of a text.
    pub(crate) max_tokens: usize,
    pub(crate) layers: usize,
    pub(crate) sizes: Sizes,
    /// Length of a text's vector, and of a picture's.
    pub(crate) projection_dim: usize,
}

/// Which token tells what the whole text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextKind {
    /// The end mark, which sees all before it; where its number isn't known, the largest one.
    Clip { end: Option<u32> },
    /// The last one of a text that is filled up to full length.
    Siglip,
}

/// A text to a vector.
pub(crate) struct TextTower {
    config: TextConfig,
    /// `[vocabulary, hidden]`
    tokens: Tensor,
    /// `[max_tokens, hidden]`
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    projection: Linear,
}

impl TextTower {
    /// Tensors: `embeddings.{token,position}_embedding.weight`, `encoder.layers.N.*`, `final_layer_norm.*` and
    /// `projection.weight` (CLIP) or `head.*` (SigLIP).
    pub(crate) fn load(vb: VarBuilder, config: &TextConfig, precision: Precision) -> Result<Self> {
        let &TextConfig { kind, vocab_size, max_tokens, layers, sizes, projection_dim } = config;
        let Sizes { hidden, epsilon, .. } = sizes;
        let mut blocks = Block::stack(vb.pp("encoder.layers"), &Names::CLIP, sizes, layers, precision)?;
        let projection = match kind {
            TextKind::Clip { .. } => {
                blocks = blocks.into_iter().map(Block::causal).collect();
                let weight = vb.get((projection_dim, hidden), "projection.weight")?;
                Linear::new(weight, None, precision)?
            }
            TextKind::Siglip => Linear::load(vb.pp("head"), hidden, projection_dim, precision)?,
        };
        Ok(Self {
            tokens: vb.get((vocab_size, hidden), "embeddings.token_embedding.weight")?,
            positions: vb.get((max_tokens, hidden), "embeddings.position_embedding.weight")?,
            blocks,
            norm: LayerNorm::load(vb.pp("final_layer_norm"), hidden, epsilon)?,
            projection,
            config: config.clone(),
        })
    }

    /// The vector `[projection_dim]` of the text that is made of the tokens `ids`.
    ///
    /// # Errors
    /// Where there are none or too many of them, or one that isn't in the vocabulary.
    pub(crate) fn forward(&self, ids: &[u32]) -> Result<Tensor> {
        let TextConfig { vocab_size, max_tokens, .. } = self.config;
        if ids.is_empty() || ids.len() > max_tokens {
            bail!("a text of {} tokens, 1 to {max_tokens} can be read", ids.len());
        }
        if let Some(id) = ids.iter().find(|id| **id as usize >= vocab_size) {
            bail!(
                "the tokenizer gives the token {id}, the network knows {vocab_size}: they don't belong together"
            );
        }
        let numbers = Tensor::new(ids, self.tokens.device())?;
        let x = (self.tokens.index_select(&numbers, 0)? + self.positions.narrow(0, 0, ids.len())?)?;
        let mut x = x.unsqueeze(0)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let told = self.norm.forward(&x)?.narrow(1, self.telling(ids), 1)?.contiguous()?;
        self.projection.forward(&told)?.flatten_all()
    }

    /// Which of `ids` tells what the text says.
    fn telling(&self, ids: &[u32]) -> usize {
        match self.config.kind {
            TextKind::Siglip => ids.len() - 1,
            TextKind::Clip { end: Some(end) } => ids.iter().position(|id| *id == end).unwrap_or(0),
            TextKind::Clip { end: None } => {
                let largest = ids.iter().max();
                ids.iter().position(|id| Some(id) == largest).unwrap_or(0)
            }
        }
    }
}
