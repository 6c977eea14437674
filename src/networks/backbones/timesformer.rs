//! TimeSformer with divided attention: over time first, then over space (Bertasius et al. 2021, arXiv:2102.05095), as
//! transformers keeps it.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use classify_kernels::Precision;

use super::Features;
use super::over_time::OverTime;
use crate::networks::transformer::{
    Attention, LayerNorm, Linear, Names, Patches, Perceptron, Qkv, Sizes, VitConfig,
};

/// A feature vector for each frame: the mean of its tokens.
pub(crate) struct TimeSformer {
    vit: VitConfig,
    patches: Patches,
    /// With its position, `[1, 1, hidden]`.
    class: Tensor,
    /// Of places and moments, `[T, places, hidden]`.
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

/// Frames of a window, apart from the class token that all of them share.
struct Tokens {
    /// `[1, 1, hidden]`
    class: Tensor,
    /// `[T, places, hidden]`
    frames: Tensor,
}

struct Block {
    norm_time: LayerNorm,
    time: Attention,
    after_time: Linear,
    norm_space: LayerNorm,
    space: Attention,
    norm_after: LayerNorm,
    perceptron: Perceptron,
}

impl TimeSformer {
    /// Tensors: `embeddings.{cls_token, position_embeddings, time_embeddings, patch_embeddings.projection.*}`,
    /// `encoder.layer.N.*`, `layernorm.*`.
    pub(crate) fn load(vb: VarBuilder, vit: &VitConfig, precision: Precision) -> Result<Self> {
        let (embeddings, hidden, times) = (vb.pp("embeddings"), vit.hidden_size, vit.num_frames);
        let places: usize = vit.grid(1)?.iter().product();
        let positions = embeddings.get((1, 1 + places, hidden), "position_embeddings")?;
        let moments = embeddings.get((1, times, hidden), "time_embeddings")?.reshape((times, 1, hidden))?;
        let layers = vb.pp("encoder.layer");
        let block = |i| Block::load(layers.pp(i), vit.sizes(), precision);
        Ok(Self {
            patches: Patches::load(
                embeddings.pp("patch_embeddings.projection"),
                hidden,
                vit.kernel(),
                precision,
            )?,
            class: (embeddings.get((1, 1, hidden), "cls_token")? + positions.narrow(1, 0, 1)?)?,
            positions: positions.narrow(1, 1, places)?.broadcast_add(&moments)?,
            blocks: (0..vit.num_hidden_layers).map(block).collect::<Result<_>>()?,
            norm: LayerNorm::load(vb.pp("layernorm"), hidden, vit.layer_norm_eps)?,
            vit: vit.clone(),
        })
    }
}

impl OverTime for TimeSformer {
    const KNOWS_MOMENTS: bool = true;

    fn vit(&self) -> &VitConfig {
        &self.vit
    }

    fn look(&self, window: &Tensor) -> Result<Tensor> {
        let frames = (self.patches.forward(window)? + &self.positions)?;
        let mut x = Tokens { class: self.class.clone(), frames };
        for block in &self.blocks {
            x = block.forward(x)?;
        }
        match self.vit.features {
            Features::Pooled => self.norm.forward(&x.class)?.squeeze(0),
            Features::Steps => self.norm.forward(&x.frames)?.mean(1),
        }
    }
}

impl Block {
    fn load(vb: VarBuilder, sizes: Sizes, precision: Precision) -> Result<Self> {
        let Sizes { hidden, heads, epsilon, .. } = sizes;
        let norm = |name| LayerNorm::load(vb.pp(name), hidden, epsilon);
        let attention = |name: &str| {
            let (qkv, out) = (format!("{name}.attention.qkv"), format!("{name}.output.dense"));
            Attention::load(&vb, Qkv::Fused(&qkv), &out, (hidden, heads), precision)
        };
        Ok(Self {
            norm_time: norm("temporal_layernorm")?,
            time: attention("temporal_attention")?,
            after_time: Linear::load(vb.pp("temporal_dense"), hidden, hidden, precision)?,
            norm_space: norm("layernorm_before")?,
            space: attention("attention")?,
            norm_after: norm("layernorm_after")?,
            perceptron: Perceptron::load(&vb, Names::VIT.perceptron, sizes, precision)?,
        })
    }

    fn forward(&self, x: Tokens) -> Result<Tokens> {
        #[cfg(test)]
        let input = x.as_transformers()?;
        let (times, places, hidden) = x.frames.dims3()?;
        // Each place over time.
        let over_time = x.frames.transpose(0, 1)?.contiguous()?;
        let seen = self.time.forward(&self.norm_time.forward(&over_time)?)?;
        let frames = self.after_time.forward_add(&seen, &over_time)?.transpose(0, 1)?;
        // Each frame, with the class token, whose answers are averaged.
        let class = x.class.broadcast_as((times, 1, hidden))?;
        let with_class = Tensor::cat(&[&class, &frames], 1)?;
        let seen = self.space.forward(&self.norm_space.forward(&with_class)?)?;
        let class = (x.class + seen.narrow(1, 0, 1)?.mean_keepdim(0)?)?;
        let frames = (frames + seen.narrow(1, 1, places)?)?;
        let perceive = |x: Tensor| {
            let x = x.contiguous()?;
            self.perceptron.forward_add(&self.norm_after.forward(&x)?, &x)
        };
        let y = Tokens { class: perceive(class)?, frames: perceive(frames)? };
        #[cfg(test)]
        crate::networks::transformer::trace::tell(&input, &y.as_transformers()?);
        Ok(y)
    }
}

#[cfg(test)]
impl Tokens {
    /// In transformers' order: the class token, then each place's frames.
    fn as_transformers(&self) -> Result<Tensor> {
        let frames = self.frames.transpose(0, 1)?.flatten(0, 1)?.unsqueeze(0)?;
        Tensor::cat(&[&self.class, &frames], 1)
    }
}
