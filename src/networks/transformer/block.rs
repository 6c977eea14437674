//! The block that most transformers are a stack of.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use classify_kernels::Precision;

use super::{Activation, LayerNorm, Linear, attention};

/// `x + attention(norm(x))`, then `x + perceptron(norm(x))` (ViT, Dosovitskiy et al. 2020, arXiv:2010.11929).
pub(crate) struct Block {
    norm_before: LayerNorm,
    /// Queries, keys and values side by side.
    qkv: Linear,
    out: Linear,
    norm_after: LayerNorm,
    up: Linear,
    down: Linear,
    heads: usize,
    causal: bool,
    precision: Precision,
}

/// What a family calls the layers of a block.
pub(crate) struct Names {
    pub(crate) norm_before: &'static str,
    pub(crate) query: &'static str,
    pub(crate) key: &'static str,
    pub(crate) value: &'static str,
    pub(crate) out: &'static str,
    pub(crate) norm_after: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
}

impl Names {
    /// As in transformers' VideoMAE and ViViT.
    pub(crate) const VIT: Self = Self {
        norm_before: "layernorm_before",
        query: "attention.attention.query",
        key: "attention.attention.key",
        value: "attention.attention.value",
        out: "attention.output.dense",
        norm_after: "layernorm_after",
        up: "intermediate.dense",
        down: "output.dense",
    };
    /// As in transformers' CLIP, SigLIP and X-CLIP.
    pub(crate) const CLIP: Self = Self {
        norm_before: "layer_norm1",
        query: "self_attn.q_proj",
        key: "self_attn.k_proj",
        value: "self_attn.v_proj",
        out: "self_attn.out_proj",
        norm_after: "layer_norm2",
        up: "mlp.fc1",
        down: "mlp.fc2",
    };
    /// As in transformers' V-JEPA 2.
    pub(crate) const VJEPA: Self = Self {
        norm_before: "norm1",
        query: "attention.query",
        key: "attention.key",
        value: "attention.value",
        out: "attention.proj",
        norm_after: "norm2",
        up: "mlp.fc1",
        down: "mlp.fc2",
    };
}

/// The sizes of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Length of a token.
    pub(crate) hidden: usize,
    pub(crate) heads: usize,
    /// Length between the two layers of the perceptron.
    pub(crate) inner: usize,
    pub(crate) activation: Activation,
    /// ε of both normalisations.
    pub(crate) epsilon: f64,
}

impl Block {
    /// # Errors
    /// A missing tensor or one of the wrong shape; heads that don't divide the length of a token.
    pub(crate) fn load(vb: VarBuilder, names: &Names, sizes: Sizes, precision: Precision) -> Result<Self> {
        let Sizes { hidden, heads, inner, activation, epsilon } = sizes;
        if heads == 0 || hidden % heads != 0 {
            candle_core::bail!("{heads} heads don't divide a token of {hidden} numbers");
        }
        let linear = |name, from, to| Linear::load(vb.pp(name), from, to, precision);
        Ok(Self {
            norm_before: LayerNorm::load(vb.pp(names.norm_before), hidden, epsilon)?,
            qkv: qkv(&vb, [names.query, names.key, names.value], hidden, precision)?,
            out: linear(names.out, hidden, hidden)?,
            norm_after: LayerNorm::load(vb.pp(names.norm_after), hidden, epsilon)?,
            up: linear(names.up, hidden, inner)?.with_activation(activation),
            down: linear(names.down, inner, hidden)?,
            heads,
            causal: false,
            precision,
        })
    }

    /// The same for text: each token sees itself and those before it only.
    pub(crate) fn causal(self) -> Self {
        Self { causal: true, ..self }
    }

    /// Tokens `[B, T, hidden]` to the same.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_turned(x, Ok)
    }

    /// The same, with `turn` applied to queries and to keys `[B, T, hidden]` (rotary positions).
    pub(crate) fn forward_turned(
        &self,
        x: &Tensor,
        turn: impl Fn(Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let hidden = x.dim(2)?;
        let qkv = self.qkv.forward(&self.norm_before.forward(x)?)?;
        let part = |i| qkv.narrow(2, i * hidden, hidden);
        let (q, k, v) = (turn(part(0)?)?, turn(part(1)?)?, part(2)?);
        let seen = attention([&q, &k, &v], self.heads, self.causal, self.precision)?;
        let between = self.out.forward_add(&seen, x)?;
        let y = self.up.forward(&self.norm_after.forward(&between)?)?;
        let y = self.down.forward_add(&y, &between)?;
        #[cfg(test)]
        super::trace::tell(x, &y);
        Ok(y)
    }
}

/// Three layers as one. Biases may be missing; VideoMAE's of transformers 4 stand beside the layers (`q_bias`,
/// `v_bias`), and keys have none.
fn qkv(vb: &VarBuilder, names: [&str; 3], hidden: usize, precision: Precision) -> Result<Linear> {
    let weights: Vec<Tensor> =
        names.iter().map(|name| vb.pp(name).get((hidden, hidden), "weight")).collect::<Result<_>>()?;
    let bias = |(name, beside): (&str, &str)| {
        let (within, beside) =
            (format!("{name}.bias"), name.rsplit_once('.').map(|(at, _)| format!("{at}.{beside}")));
        match beside.filter(|name| vb.contains_tensor(name)) {
            Some(beside) => vb.get(hidden, &beside),
            None if vb.contains_tensor(&within) => vb.get(hidden, &within),
            None => Tensor::zeros(hidden, vb.dtype(), vb.device()),
        }
    };
    let biases: Vec<Tensor> =
        std::iter::zip(names, ["q_bias", "k_bias", "v_bias"]).map(bias).collect::<Result<_>>()?;
    Linear::new(Tensor::cat(&weights, 0)?, Some(Tensor::cat(&biases, 0)?), precision)
}
