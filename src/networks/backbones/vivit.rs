//! ViViT's first model: a vision transformer on tubelets with a class token (Arnab et al. 2021, arXiv:2103.15691), as
//! transformers keeps it.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use classify_kernels::Precision;

use super::Features;
use super::over_time::{OverTime, mean_over_space};
use crate::networks::transformer::{Block, LayerNorm, Names, Patches, VitConfig};

/// A feature vector for every two frames: the mean of the tokens that stand for them.
pub(crate) struct Vivit {
    vit: VitConfig,
    patches: Patches,
    /// `[1, 1, hidden]`
    class: Tensor,
    /// `[1, 1 + tokens, hidden]`
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl Vivit {
    /// Tensors: `embeddings.{cls_token, position_embeddings, patch_embeddings.projection.*}`, `encoder.layer.N.*`,
    /// `layernorm.*`.
    pub(crate) fn load(vb: VarBuilder, vit: &VitConfig, precision: Precision) -> Result<Self> {
        let (embeddings, hidden) = (vb.pp("embeddings"), vit.hidden_size);
        let tokens: usize = vit.grid(vit.num_frames)?.iter().product();
        let projection = embeddings.pp("patch_embeddings.projection");
        let layers = vb.pp("encoder.layer");
        Ok(Self {
            patches: Patches::load(projection, hidden, vit.kernel(), precision)?,
            class: embeddings.get((1, 1, hidden), "cls_token")?,
            positions: embeddings.get((1, 1 + tokens, hidden), "position_embeddings")?,
            blocks: Block::stack(layers, &Names::VIT, vit.sizes(), vit.num_hidden_layers, precision)?,
            norm: LayerNorm::load(vb.pp("layernorm"), hidden, vit.layer_norm_eps)?,
            vit: vit.clone(),
        })
    }
}

impl OverTime for Vivit {
    const KNOWS_MOMENTS: bool = true;

    fn vit(&self) -> &VitConfig {
        &self.vit
    }

    fn look(&self, window: &Tensor) -> Result<Tensor> {
        let tokens = self.patches.forward(window)?.flatten(0, 1)?.unsqueeze(0)?;
        let mut x = (Tensor::cat(&[&self.class, &tokens], 1)? + &self.positions)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let x = self.norm.forward(&x)?;
        match self.vit.features {
            Features::Pooled => x.narrow(1, 0, 1)?.squeeze(0),
            Features::Steps => {
                mean_over_space(&x.narrow(1, 1, x.dim(1)? - 1)?, self.vit.steps(window.dim(0)?))
            }
        }
    }
}
