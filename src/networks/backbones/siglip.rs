//! SigLIP's image tower: a vision transformer on single frames whose tokens a learned question sums up (Zhai et al.
//! 2023, arXiv:2303.15343), as transformers keeps it.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use classify_kernels::Precision;

use super::Backbone;
use crate::networks::transformer::{Block, LayerNorm, Names, Patches, Pooler, VitConfig};

/// A feature vector for each frame: its place among texts.
pub(crate) struct Siglip {
    vit: VitConfig,
    patches: Patches,
    /// `[places, hidden]`
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    pooler: Pooler,
}

impl Siglip {
    /// Tensors: `embeddings.{patch_embedding.*, position_embedding.weight}`, `encoder.layers.N.*`, `post_layernorm.*`,
    /// `head.*`.
    pub(crate) fn load(vb: VarBuilder, vit: &VitConfig, precision: Precision) -> Result<Self> {
        let (embeddings, hidden, sizes) = (vb.pp("embeddings"), vit.hidden_size, vit.sizes());
        let places: usize = vit.grid(1)?.iter().product();
        let layers = vb.pp("encoder.layers");
        Ok(Self {
            patches: Patches::load(embeddings.pp("patch_embedding"), hidden, vit.kernel(), precision)?,
            positions: embeddings.get((places, hidden), "position_embedding.weight")?,
            blocks: Block::stack(layers, &Names::CLIP, sizes, vit.num_hidden_layers, precision)?,
            norm: LayerNorm::load(vb.pp("post_layernorm"), hidden, vit.layer_norm_eps)?,
            pooler: Pooler::load_siglip(vb.pp("head"), sizes, precision)?,
            vit: vit.clone(),
        })
    }
}

impl Backbone for Siglip {
    fn feature_dim(&self) -> usize {
        self.vit.hidden_size
    }

    fn feature_steps(&self, frames: usize) -> usize {
        frames
    }

    fn check(&self, window: [usize; 3]) -> Result<()> {
        self.vit.check(window, false)
    }

    fn forward(&self, window: &Tensor) -> Result<Tensor> {
        let mut x = self.patches.forward(window)?.broadcast_add(&self.positions)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.pooler.forward(&self.norm.forward(&x)?)
    }
}
