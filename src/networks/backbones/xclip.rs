//! X-CLIP's clip tower: frames that exchange messages (Ni et al. 2022, arXiv:2208.02816), as transformers keeps it.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use classify_kernels::Precision;
use serde::{Deserialize, Serialize};

use super::{Backbone, Features};
use crate::networks::transformer::{
    Activation, Attention, Block, LayerNorm, Linear, Names, Patches, Qkv, Sizes, VitConfig,
};

/// The settings, by transformers' names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct XclipConfig {
    /// The sizes of the frames' tower.
    #[serde(flatten)]
    pub vit: VitConfig,
    /// Length of a frame's vector, of a clip's, and of a text's.
    pub projection_dim: usize,
    /// Length between the two layers of a perceptron in the blocks over time.
    pub mit_intermediate_size: usize,
    /// Blocks over time.
    pub mit_num_hidden_layers: usize,
    /// Heads of them.
    pub mit_num_attention_heads: usize,
    /// Layers by which the clip changes texts.
    pub prompt_layers: usize,
    /// Heads of them.
    pub prompt_num_attention_heads: usize,
    /// What stands between the two layers of their perceptrons.
    pub prompt_hidden_act: Activation,
    /// ε of their normalisations.
    pub text_layer_norm_eps: f64,
}

impl XclipConfig {
    /// Of the blocks over time.
    pub(crate) fn mit_sizes(&self) -> Sizes {
        Sizes {
            hidden: self.projection_dim,
            heads: self.mit_num_attention_heads,
            inner: self.mit_intermediate_size,
            ..self.vit.sizes()
        }
    }

    /// Of the layers by which the clip changes texts.
    pub(crate) fn prompt_sizes(&self) -> Sizes {
        Sizes {
            hidden: self.projection_dim,
            heads: self.prompt_num_attention_heads,
            inner: 4 * self.projection_dim,
            activation: self.prompt_hidden_act,
            epsilon: self.text_layer_norm_eps,
        }
    }
}

/// What a frame's class token tells the class tokens of the others.
pub(crate) const MESSAGE: (Qkv, &str) = (
    Qkv::Apart(["message_attn.q_proj", "message_attn.k_proj", "message_attn.v_proj"]),
    "message_attn.out_proj",
);

/// For heads that are trained a feature vector for each frame. As published, the clip's place among texts, and behind it
/// what each place of a frame shows: texts are changed by these before they are compared.
pub(crate) struct Xclip {
    config: XclipConfig,
    patches: Patches,
    /// `[1, 1, hidden]`
    class: Tensor,
    /// `[1 + places, hidden]`
    positions: Tensor,
    norm_before: LayerNorm,
    blocks: Vec<(Message, Block)>,
    norm: LayerNorm,
    projection: Linear,
    /// `[1, T, projection]`
    moments: Tensor,
    over_time: Vec<Block>,
    /// What makes places readable for texts.
    places: Option<(LayerNorm, Linear)>,
}

struct Message {
    linear: Linear,
    norm: LayerNorm,
    attention: Attention,
}

impl Message {
    /// Class tokens `[1, T, hidden]` to a message each.
    fn forward(&self, class: &Tensor) -> Result<Tensor> {
        let message = self.linear.forward(class)?;
        self.attention.forward_add(&self.norm.forward(&message)?, Ok, &message)
    }
}

impl Xclip {
    /// Tensors: `embeddings.{class_embedding, patch_embedding.weight, position_embedding.weight}`, `pre_layernorm.*`,
    /// `encoder.layers.N.*`, `post_layernorm.*`, `visual_projection.weight`, `mit.{position_embedding,
    /// encoder.layers.N.*}`, `pooled.{prompts_visual_layernorm.*, prompts_visual_projection}`.
    pub(crate) fn load(vb: VarBuilder, config: &XclipConfig, precision: Precision) -> Result<Self> {
        let (vit, embeddings, mit) = (&config.vit, vb.pp("embeddings"), vb.pp("mit"));
        let (hidden, epsilon, dim) = (vit.hidden_size, vit.layer_norm_eps, config.projection_dim);
        let count: usize = vit.grid(1)?.iter().product();
        let block = |i: usize| -> Result<_> {
            let vb = vb.pp("encoder.layers").pp(i);
            let (qkv, out) = MESSAGE;
            let message = Message {
                linear: Linear::load(vb.pp("message_fc"), hidden, hidden, precision)?,
                norm: LayerNorm::load(vb.pp("message_ln"), hidden, epsilon)?,
                attention: Attention::load(&vb, qkv, out, (hidden, vit.num_attention_heads), precision)?,
            };
            Ok((message, Block::load(vb, &Names::CLIP, vit.sizes(), precision)?))
        };
        let places = match vit.features {
            Features::Steps => None,
            Features::Pooled => {
                let vb = vb.pp("pooled");
                // It stands the other way round.
                let weight = vb.get((hidden, dim), "prompts_visual_projection")?.t()?.contiguous()?;
                let norm = LayerNorm::load(vb.pp("prompts_visual_layernorm"), hidden, epsilon)?;
                Some((norm, Linear::new(weight, None, precision)?))
            }
        };
        let (layers, sizes) = (config.mit_num_hidden_layers, config.mit_sizes());
        let projection = vb.get((dim, hidden), "visual_projection.weight")?;
        Ok(Self {
            patches: Patches::load(embeddings.pp("patch_embedding"), hidden, vit.kernel(), precision)?,
            class: embeddings.get(hidden, "class_embedding")?.reshape((1, 1, hidden))?,
            positions: embeddings.get((1 + count, hidden), "position_embedding.weight")?,
            norm_before: LayerNorm::load(vb.pp("pre_layernorm"), hidden, epsilon)?,
            blocks: (0..vit.num_hidden_layers).map(block).collect::<Result<_>>()?,
            norm: LayerNorm::load(vb.pp("post_layernorm"), hidden, epsilon)?,
            projection: Linear::new(projection, None, precision)?,
            moments: mit.get((1, vit.num_frames, dim), "position_embedding")?,
            over_time: Block::stack(mit.pp("encoder.layers"), &Names::CLIP, sizes, layers, precision)?,
            places,
            config: config.clone(),
        })
    }
}

impl Backbone for Xclip {
    fn feature_dim(&self) -> usize {
        self.config.projection_dim
    }

    fn feature_steps(&self, frames: usize) -> usize {
        match self.places {
            None => frames,
            Some(_) => self.positions.dims()[0],
        }
    }

    fn needs_whole_windows(&self) -> bool {
        true
    }

    fn check(&self, window: [usize; 3]) -> Result<()> {
        self.config.vit.check(window, true)
    }

    fn forward(&self, window: &Tensor) -> Result<Tensor> {
        let tokens = self.patches.forward(window)?;
        let (frames, count, hidden) = tokens.dims3()?;
        let class = self.class.broadcast_as((frames, 1, hidden))?;
        let x = Tensor::cat(&[&class, &tokens], 1)?.broadcast_add(&self.positions)?;
        let mut x = self.norm_before.forward(&x)?;
        for (message, block) in &self.blocks {
            let class = x.narrow(1, 0, 1)?.reshape((1, frames, hidden))?;
            let message = message.forward(&class)?.reshape((frames, 1, hidden))?;
            x = block.forward_beside(&x, &message)?;
        }
        let class = self.norm.forward(&x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?)?;
        let of_frames = self.projection.forward(&class)?;
        let mut y = of_frames.unsqueeze(0)?.broadcast_add(&self.moments)?;
        for block in &self.over_time {
            y = block.forward(&y)?;
        }
        let steps = (y.squeeze(0)? + of_frames)?;
        let Some((norm, projection)) = &self.places else { return Ok(steps) };
        let places = norm.forward(&x.narrow(1, 1, count)?.contiguous()?)?;
        let places = projection.forward(&places)?.mean(0)?;
        Tensor::cat(&[steps.mean_keepdim(0)?, places], 0)
    }
}
