//! VideoMAE's encoder: a plain vision transformer on tubelets (Tong et al. 2022, arXiv:2203.12602), as transformers
//! keeps it.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use classify_kernels::Precision;
use serde::{Deserialize, Serialize};

use super::{Backbone, Features, refuse_size};
use crate::networks::transformer::{Activation, Block, LayerNorm, Names, Patches, Sizes};

/// ε of the normalisation before the published classifier, which is no setting.
const POOLED_EPSILON: f64 = 1e-5;

/// The settings, by transformers' names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VideoMaeConfig {
    /// What the network yields.
    pub features: Features,
    /// Pixels of a frame's side.
    pub image_size: usize,
    /// Pixels of a patch's side.
    pub patch_size: usize,
    /// Frames that were trained with.
    pub num_frames: usize,
    /// Frames of a patch.
    pub tubelet_size: usize,
    /// Length of a token.
    pub hidden_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Heads of a block.
    pub num_attention_heads: usize,
    /// Length between the two layers of a block's perceptron.
    pub intermediate_size: usize,
    /// What stands between them.
    pub hidden_act: Activation,
    /// ε of the blocks' normalisations.
    pub layer_norm_eps: f64,
    /// The published classifier reads the mean of all tokens, else the first one.
    pub use_mean_pooling: bool,
}

impl Default for VideoMaeConfig {
    /// The base model, as transformers has it.
    fn default() -> Self {
        Self {
            features: Features::Steps,
            image_size: 224,
            patch_size: 16,
            num_frames: 16,
            tubelet_size: 2,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: Activation::Gelu,
            layer_norm_eps: 1e-12,
            use_mean_pooling: true,
        }
    }
}

/// A feature vector for every two frames: the mean of the tokens that stand for them.
pub(crate) struct VideoMae {
    config: VideoMaeConfig,
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
        let c = config;
        let kernel = [c.tubelet_size, c.patch_size, c.patch_size];
        let projection = vb.pp("embeddings.patch_embeddings.projection");
        let sizes = Sizes {
            hidden: c.hidden_size,
            heads: c.num_attention_heads,
            inner: c.intermediate_size,
            activation: c.hidden_act,
            epsilon: c.layer_norm_eps,
        };
        let block = |i| Block::load(vb.pp("encoder.layer").pp(i), &Names::VIT, sizes, precision);
        let norm = match (c.use_mean_pooling, c.features) {
            (false, _) => Norm::Tokens(LayerNorm::load(vb.pp("layernorm"), c.hidden_size, c.layer_norm_eps)?),
            (true, Features::Pooled) => {
                Norm::Mean(LayerNorm::load(vb.pp("pooled.fc_norm"), c.hidden_size, POOLED_EPSILON)?)
            }
            (true, Features::Steps) => Norm::None,
        };
        Ok(Self {
            config: config.clone(),
            patches: Patches::load(projection, c.hidden_size, kernel, true, precision)?,
            blocks: (0..c.num_hidden_layers).map(block).collect::<Result<_>>()?,
            norm,
        })
    }

    /// Tokens `[1, T'·H'·W', hidden]` before the first block.
    fn embed(&self, window: &Tensor) -> Result<Tensor> {
        let tokens = self.patches.forward(window)?;
        let (steps, places, hidden) = tokens.dims3()?;
        let tokens = tokens.reshape((1, steps * places, hidden))?;
        tokens.broadcast_add(&sinusoids(steps * places, hidden, window.device())?)
    }
}

impl Backbone for VideoMae {
    fn feature_dim(&self) -> usize {
        self.config.hidden_size
    }

    fn feature_steps(&self, frames: usize) -> usize {
        match self.config.features {
            Features::Steps => frames / self.config.tubelet_size,
            Features::Pooled => 1,
        }
    }

    fn check(&self, window: [usize; 3]) -> Result<()> {
        refuse_size(window, self.config.image_size)?;
        self.patches.grid(window).map(drop)
    }

    fn forward(&self, window: &Tensor) -> Result<Tensor> {
        let mut x = self.embed(window)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        if let Norm::Tokens(norm) = &self.norm {
            x = norm.forward(&x)?;
        }
        let (_, tokens, hidden) = x.dims3()?;
        match self.config.features {
            Features::Steps => {
                let steps = self.feature_steps(window.dim(0)?);
                x.reshape((steps, tokens / steps, hidden))?.mean(1)
            }
            Features::Pooled => match &self.norm {
                Norm::Mean(norm) => norm.forward(&x.mean(1)?),
                _ => x.narrow(1, 0, 1)?.squeeze(0),
            },
        }
    }
}

/// Positions as sines and cosines of falling frequency, in turn (Vaswani et al. 2017, arXiv:1706.03762): `[n, dim]`.
fn sinusoids(n: usize, dim: usize, device: &Device) -> Result<Tensor> {
    let value = |i: usize| {
        let (position, j) = (i / dim, i % dim);
        let angle = position as f64 / 10_000f64.powf((2 * (j / 2)) as f64 / dim as f64);
        (if j % 2 == 0 { angle.sin() } else { angle.cos() }) as f32
    };
    Tensor::from_iter((0..n * dim).map(value), device)?.to_dtype(DType::F32)?.reshape((n, dim))
}
