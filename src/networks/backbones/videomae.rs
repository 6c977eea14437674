//! VideoMAE's encoder: a plain vision transformer on tubelets (Tong et al. 2022, arXiv:2203.12602), as transformers
//! keeps it.

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;
use classify_kernels::Precision;
use serde::{Deserialize, Serialize};

use super::Features;
use super::over_time::{OverTime, mean_over_space};
use crate::networks::transformer::{Block, LayerNorm, Names, Patches, VitConfig};

/// ε of the normalisation before the published classifier, which is no setting.
pub(crate) const POOLED_EPSILON: f64 = 1e-5;

/// The settings, by transformers' names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoMaeConfig {
    /// The sizes.
    #[serde(flatten)]
    pub vit: VitConfig,
    /// The published classifier reads the mean of all tokens, else the first one.
    pub use_mean_pooling: bool,
}

/// A feature vector for every two frames: the mean of the tokens that stand for them.
pub(crate) struct VideoMae {
    vit: VitConfig,
    patches: Patches,
    blocks: Vec<Block>,
    norm: Norm,
}

/// The last normalisation.
enum Norm {
    /// Of every token.
    Tokens(LayerNorm),
    /// Of their mean.
    Mean(LayerNorm),
    /// None: time steps of a network whose classifier reads the mean.
    None,
}

impl VideoMae {
    /// Tensors: `embeddings.patch_embeddings.projection.*`, `encoder.layer.N.*` and, where the published classifier's
    /// features are asked for, `pooled.fc_norm.*`; or `layernorm.*` where it reads the first token.
    pub(crate) fn load(vb: VarBuilder, config: &VideoMaeConfig, precision: Precision) -> Result<Self> {
        let VideoMaeConfig { vit, use_mean_pooling } = config;
        let projection = vb.pp("embeddings.patch_embeddings.projection");
        let norm = match (use_mean_pooling, vit.features) {
            (false, _) => {
                Norm::Tokens(LayerNorm::load(vb.pp("layernorm"), vit.hidden_size, vit.layer_norm_eps)?)
            }
            (true, Features::Pooled) => {
                Norm::Mean(LayerNorm::load(vb.pp("pooled.fc_norm"), vit.hidden_size, POOLED_EPSILON)?)
            }
            (true, Features::Steps) => Norm::None,
        };
        let layers = vb.pp("encoder.layer");
        Ok(Self {
            patches: Patches::load(projection, vit.hidden_size, vit.kernel(), precision)?,
            blocks: Block::stack(layers, &Names::VIT, vit.sizes(), vit.num_hidden_layers, precision)?,
            norm,
            vit: vit.clone(),
        })
    }

    /// Tokens `[1, T'·H'·W', hidden]` before the first block.
    fn embed(&self, window: &Tensor) -> Result<Tensor> {
        let tokens = self.patches.forward(window)?.flatten(0, 1)?;
        let (count, hidden) = tokens.dims2()?;
        (tokens + sinusoids(count, hidden, window.device())?)?.unsqueeze(0)
    }
}

impl OverTime for VideoMae {
    const KNOWS_MOMENTS: bool = false;

    fn vit(&self) -> &VitConfig {
        &self.vit
    }

    fn look(&self, window: &Tensor) -> Result<Tensor> {
        let mut x = self.embed(window)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        if let Norm::Tokens(norm) = &self.norm {
            x = norm.forward(&x)?;
        }
        match (self.vit.features, &self.norm) {
            (Features::Steps, _) => mean_over_space(&x, self.vit.steps(window.dim(0)?)),
            (Features::Pooled, Norm::Mean(norm)) => norm.forward(&x.mean(1)?),
            (Features::Pooled, _) => x.narrow(1, 0, 1)?.squeeze(0),
        }
    }
}

/// Positions as sines and cosines of falling frequency, in turn (Vaswani et al. 2017, arXiv:1706.03762): `[n, dim]`.
pub(crate) fn sinusoids(n: usize, dim: usize, device: &Device) -> Result<Tensor> {
    let value = |i: usize| {
        let (position, j) = (i / dim, i % dim);
        let angle = position as f64 / 10_000f64.powf((2 * (j / 2)) as f64 / dim as f64);
        (if j % 2 == 0 { angle.sin() } else { angle.cos() }) as f32
    };
    Tensor::from_iter((0..n * dim).map(value), device)?.reshape((n, dim))
}
