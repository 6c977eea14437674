//! CLIP's image tower: a vision transformer on single frames (Radford et al. 2021, arXiv:2103.00020), as transformers
//! keeps it.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use classify_kernels::Precision;
use serde::{Deserialize, Serialize};

use super::Backbone;
use crate::networks::transformer::{Block, LayerNorm, Linear, Names, Patches, VitConfig};

/// The settings, by transformers' names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipConfig {
    /// The sizes.
    #[serde(flatten)]
    pub vit: VitConfig,
    /// Length of a picture's vector, and of a text's.
    pub projection_dim: usize,
}

/// A feature vector for each frame: its place among texts.
pub(crate) struct Clip {
    config: ClipConfig,
    patches: Patches,
    /// `[1, 1, hidden]`
    class: Tensor,
    /// `[1 + places, hidden]`
    positions: Tensor,
    norm_before: LayerNorm,
    blocks: Vec<Block>,
    norm: LayerNorm,
    projection: Linear,
}

impl Clip {
    /// Tensors: `embeddings.{class_embedding, patch_embedding.weight, position_embedding.weight}`, `pre_layrnorm.*` (so
    /// spelt), `encoder.layers.N.*`, `post_layernorm.*`, `visual_projection.weight`.
    pub(crate) fn load(vb: VarBuilder, config: &ClipConfig, precision: Precision) -> Result<Self> {
        let (vit, embeddings) = (&config.vit, vb.pp("embeddings"));
        let (hidden, epsilon) = (vit.hidden_size, vit.layer_norm_eps);
        let places: usize = vit.grid(1)?.iter().product();
        let projection = vb.get((config.projection_dim, hidden), "visual_projection.weight")?;
        let layers = vb.pp("encoder.layers");
        Ok(Self {
            patches: Patches::load(embeddings.pp("patch_embedding"), hidden, vit.kernel(), precision)?,
            class: embeddings.get(hidden, "class_embedding")?.reshape((1, 1, hidden))?,
            positions: embeddings.get((1 + places, hidden), "position_embedding.weight")?,
            norm_before: LayerNorm::load(vb.pp("pre_layrnorm"), hidden, epsilon)?,
            blocks: Block::stack(layers, &Names::CLIP, vit.sizes(), vit.num_hidden_layers, precision)?,
            norm: LayerNorm::load(vb.pp("post_layernorm"), hidden, epsilon)?,
            projection: Linear::new(projection, None, precision)?,
            config: config.clone(),
        })
    }
}

impl Backbone for Clip {
    fn feature_dim(&self) -> usize {
        self.config.projection_dim
    }

    fn feature_steps(&self, frames: usize) -> usize {
        frames
    }

    fn check(&self, window: [usize; 3]) -> Result<()> {
        self.config.vit.check(window, false)
    }

    fn forward(&self, window: &Tensor) -> Result<Tensor> {
        let tokens = self.patches.forward(window)?;
        let (frames, _, hidden) = tokens.dims3()?;
        let class = self.class.broadcast_as((frames, 1, hidden))?;
        let x = Tensor::cat(&[&class, &tokens], 1)?.broadcast_add(&self.positions)?;
        let mut x = self.norm_before.forward(&x)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let class = self.norm.forward(&x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?)?;
        self.projection.forward(&class)
    }
}
