//! Texts that a clip changes before it is compared with them (X-CLIP: Ni et al. 2022, arXiv:2208.02816), as transformers
//! keeps it.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use classify_kernels::Precision;

use crate::networks::backbones::XclipConfig;
use crate::networks::transformer::{LayerNorm, Linear, Perceptron, attention};

/// A few layers in which texts look at what the clip shows.
pub(crate) struct Prompts {
    norm: LayerNorm,
    layers: Vec<Layer>,
    /// `[D]`: how much of the answer is added to a text.
    alpha: Tensor,
}

struct Layer {
    norm_before: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm_after: LayerNorm,
    perceptron: Perceptron,
    heads: usize,
}

impl Prompts {
    /// Tensors: `layernorm.*`, `decoder.N.*`, `alpha`.
    pub(crate) fn load(vb: VarBuilder, config: &XclipConfig) -> Result<Self> {
        let sizes = config.prompt_sizes();
        let (dim, epsilon) = (sizes.hidden, sizes.epsilon);
        let layer = |i: usize| {
            let vb = vb.pp("decoder").pp(i);
            let attention = vb.pp("cross_attn");
            let linear =
                |name: &str| Linear::new(attention.pp(name).get((dim, dim), "weight")?, None, Precision::F32);
            Ok(Layer {
                norm_before: LayerNorm::load(vb.pp("norm1"), dim, epsilon)?,
                query: linear("q_proj")?,
                key: linear("k_proj")?,
                value: linear("v_proj")?,
                out: Linear::load(attention.pp("proj"), dim, dim, Precision::F32)?,
                norm_after: LayerNorm::load(vb.pp("norm3"), dim, epsilon)?,
                perceptron: Perceptron::load(&vb, ["mlp.0", "mlp.3"], sizes, Precision::F32)?,
                heads: sizes.heads,
            })
        };
        Ok(Self {
            norm: LayerNorm::load(vb.pp("layernorm"), dim, config.vit.layer_norm_eps)?,
            layers: (0..config.prompt_layers).map(layer).collect::<Result<_>>()?,
            alpha: vb.get(dim, "alpha")?,
        })
    }

    /// `texts [K, D]` as the clip changes them that shows `places [N, D]`.
    pub(crate) fn forward(&self, texts: &Tensor, places: &Tensor) -> Result<Tensor> {
        let places = self.norm.forward(&places.contiguous()?.unsqueeze(0)?)?;
        let mut x = texts.unsqueeze(0)?;
        for layer in &self.layers {
            let query = layer.query.forward(&layer.norm_before.forward(&x)?)?;
            let (key, value) = (layer.key.forward(&places)?, layer.value.forward(&places)?);
            let seen = attention([&query, &key, &value], layer.heads, false, Precision::F32)?;
            let between = layer.out.forward_add(&seen, &x)?;
            x = layer.perceptron.forward_add(&layer.norm_after.forward(&between)?, &between)?;
        }
        texts + x.squeeze(0)?.broadcast_mul(&self.alpha)?
    }
}
