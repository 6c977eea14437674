//! The block that most transformers are a stack of.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use classify_kernels::Precision;

use super::{Activation, LayerNorm, Linear, attention};

/// The sizes of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
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

/// What a family calls the layers of a block.
pub(crate) struct Names {
    pub(crate) norm_before: &'static str,
    pub(crate) qkv: Qkv<'static>,
    pub(crate) out: &'static str,
    pub(crate) norm_after: &'static str,
    pub(crate) perceptron: [&'static str; 2],
}

/// What it calls queries, keys and values.
#[derive(Clone, Copy)]
pub(crate) enum Qkv<'a> {
    Apart([&'a str; 3]),
    /// One layer, in this order.
    Fused(&'a str),
}

impl Names {
    /// As in transformers' VideoMAE and ViViT.
    pub(crate) const VIT: Self = Self {
        norm_before: "layernorm_before",
        qkv: Qkv::Apart([
            "attention.attention.query",
            "attention.attention.key",
            "attention.attention.value",
        ]),
        out: "attention.output.dense",
        norm_after: "layernorm_after",
        perceptron: ["intermediate.dense", "output.dense"],
    };
    /// As in transformers' CLIP, SigLIP and X-CLIP.
    pub(crate) const CLIP: Self = Self {
        norm_before: "layer_norm1",
        qkv: Qkv::Apart(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
        out: "self_attn.out_proj",
        norm_after: "layer_norm2",
        perceptron: ["mlp.fc1", "mlp.fc2"],
    };
    /// As in transformers' V-JEPA 2.
    pub(crate) const VJEPA: Self = Self {
        norm_before: "norm1",
        qkv: Qkv::Apart(["attention.query", "attention.key", "attention.value"]),
        out: "attention.proj",
        norm_after: "norm2",
        perceptron: ["mlp.fc1", "mlp.fc2"],
    };
}

/// `x + attention(norm(x))`, then `x + perceptron(norm(x))` (ViT, Dosovitskiy et al. 2020, arXiv:2010.11929).
pub(crate) struct Block {
    norm_before: LayerNorm,
    attention: Attention,
    norm_after: LayerNorm,
    perceptron: Perceptron,
}

impl Block {
    /// # Errors
    /// A missing tensor or one of the wrong shape; heads that don't divide the length of a token.
    pub(crate) fn load(vb: VarBuilder, names: &Names, sizes: Sizes, precision: Precision) -> Result<Self> {
        let Sizes { hidden, heads, epsilon, .. } = sizes;
        Ok(Self {
            norm_before: LayerNorm::load(vb.pp(names.norm_before), hidden, epsilon)?,
            attention: Attention::load(&vb, names.qkv, names.out, (hidden, heads), precision)?,
            norm_after: LayerNorm::load(vb.pp(names.norm_after), hidden, epsilon)?,
            perceptron: Perceptron::load(&vb, names.perceptron, sizes, precision)?,
        })
    }

    /// `count` blocks that `vb` numbers.
    pub(crate) fn stack(
        vb: VarBuilder,
        names: &Names,
        sizes: Sizes,
        count: usize,
        precision: Precision,
    ) -> Result<Vec<Self>> {
        (0..count).map(|i| Self::load(vb.pp(i), names, sizes, precision)).collect()
    }

    /// The same for text: each token sees itself and those before it only.
    #[cfg(feature = "words")]
    pub(crate) fn causal(mut self) -> Self {
        self.attention.causal = true;
        self
    }

    /// Tokens `[B, T, hidden]` to the same.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_turned(x, Ok)
    }

    /// The same where each of the batch sees `beside [B, 1, hidden]` as one more token, of which nothing is kept.
    pub(crate) fn forward_beside(&self, x: &Tensor, beside: &Tensor) -> Result<Tensor> {
        let all = Tensor::cat(&[x, beside], 1)?;
        let between = self.attention.forward_add(&self.norm_before.forward(&all)?, Ok, &all)?;
        let between = between.narrow(1, 0, x.dim(1)?)?.contiguous()?;
        let y = self.perceptron.forward_add(&self.norm_after.forward(&between)?, &between)?;
        #[cfg(test)]
        super::trace::tell(x, &y);
        Ok(y)
    }

    /// [`Self::forward`] with `turn` applied to queries and to keys `[B, T, hidden]` (rotary positions).
    pub(crate) fn forward_turned(
        &self,
        x: &Tensor,
        turn: impl Fn(Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let between = self.attention.forward_add(&self.norm_before.forward(x)?, turn, x)?;
        let y = self.perceptron.forward_add(&self.norm_after.forward(&between)?, &between)?;
        #[cfg(test)]
        super::trace::tell(x, &y);
        Ok(y)
    }
}

/// Every token looks at every other.
pub(crate) struct Attention {
    /// Queries, keys and values side by side.
    qkv: Linear,
    out: Linear,
    heads: usize,
    causal: bool,
    precision: Precision,
}

impl Attention {
    /// # Errors
    /// As [`Block::load`].
    pub(crate) fn load(
        vb: &VarBuilder,
        names: Qkv,
        out: &str,
        (hidden, heads): (usize, usize),
        precision: Precision,
    ) -> Result<Self> {
        if heads == 0 || !hidden.is_multiple_of(heads) {
            bail!("{heads} heads don't divide a token of {hidden} numbers");
        }
        let qkv = match names {
            Qkv::Apart(names) => fuse(vb, names, hidden, precision)?,
            Qkv::Fused(name) => Linear::load(vb.pp(name), hidden, 3 * hidden, precision)?,
        };
        let out = Linear::load(vb.pp(out), hidden, hidden, precision)?;
        Ok(Self { qkv, out, heads, causal: false, precision })
    }

    /// Tokens `[B, T, hidden]` to the same.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.out.forward(&self.look(x, Ok)?)
    }

    /// The same with `residual` added; `turn` as in [`Block::forward_turned`].
    pub(crate) fn forward_add(
        &self,
        x: &Tensor,
        turn: impl Fn(Tensor) -> Result<Tensor>,
        residual: &Tensor,
    ) -> Result<Tensor> {
        self.out.forward_add(&self.look(x, turn)?, residual)
    }

    fn look(&self, x: &Tensor, turn: impl Fn(Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let hidden = x.dim(2)?;
        let qkv = self.qkv.forward(x)?;
        let part = |i| qkv.narrow(2, i * hidden, hidden);
        let (q, k, v) = (turn(part(0)?)?, turn(part(1)?)?, part(2)?);
        attention([&q, &k, &v], self.heads, self.causal, self.precision)
    }
}

/// Two layers with an activation between them.
pub(crate) struct Perceptron {
    up: Linear,
    down: Linear,
}

impl Perceptron {
    /// # Errors
    /// A missing tensor or one of the wrong shape.
    pub(crate) fn load(
        vb: &VarBuilder,
        names: [&str; 2],
        sizes: Sizes,
        precision: Precision,
    ) -> Result<Self> {
        let Sizes { hidden, inner, activation, .. } = sizes;
        let up = Linear::load(vb.pp(names[0]), hidden, inner, precision)?.with_activation(activation);
        Ok(Self { up, down: Linear::load(vb.pp(names[1]), inner, hidden, precision)? })
    }

    /// `[.., hidden]` to the same, `residual` added.
    pub(crate) fn forward_add(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        self.up.forward_through(x, &self.down, residual)
    }
}

/// Three layers as one. Biases may be missing; VideoMAE's of transformers 4 stand beside the layers (`q_bias`,
/// `v_bias`), and keys have none.
fn fuse(vb: &VarBuilder, names: [&str; 3], hidden: usize, precision: Precision) -> Result<Linear> {
    let weights: Vec<Tensor> =
        names.iter().map(|name| vb.pp(name).get((hidden, hidden), "weight")).collect::<Result<_>>()?;
    let bias = |(name, beside): (&str, &str)| {
        let within = format!("{name}.bias");
        let beside = name.rsplit_once('.').map(|(parent, _)| format!("{parent}.{beside}"));
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
