//! A learned question that all tokens answer: what becomes of many tokens as one.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use classify_kernels::Precision;

use super::{LayerNorm, Linear, Perceptron, Sizes, attention};

/// `y = question + attention(question, tokens)`, then `y + perceptron(norm(y))` (attentive pooling: Bardes et al. 2024,
/// arXiv:2404.08471; SigLIP's head: Zhai et al. 2022, arXiv:2106.04560).
pub(crate) struct Pooler {
    /// The question as a query, `[1, 1, hidden]`.
    query: Tensor,
    /// What is added to the answer.
    question: Option<Tensor>,
    /// Of the tokens, where keys and values are made of that.
    norm: Option<LayerNorm>,
    key: Linear,
    value: Linear,
    out: Option<Linear>,
    norm_after: LayerNorm,
    perceptron: Perceptron,
    heads: usize,
    precision: Precision,
}

impl Pooler {
    /// V-JEPA 2's: `query_tokens` and `cross_attention_layer.*`. The question is added to the answer, and there is no
    /// layer behind it.
    pub(crate) fn load_vjepa(vb: VarBuilder, sizes: Sizes, precision: Precision) -> Result<Self> {
        let (hidden, layer) = (sizes.hidden, vb.pp("cross_attention_layer"));
        let linear = |name| Linear::load(layer.pp("cross_attn").pp(name), hidden, hidden, precision);
        let question = vb.get((1, 1, hidden), "query_tokens")?;
        Ok(Self {
            query: linear("q_proj")?.forward(&question)?,
            question: Some(question),
            norm: Some(LayerNorm::load(layer.pp("layer_norm1"), hidden, sizes.epsilon)?),
            key: linear("k_proj")?,
            value: linear("v_proj")?,
            out: None,
            norm_after: LayerNorm::load(layer.pp("layer_norm2"), hidden, sizes.epsilon)?,
            perceptron: Perceptron::load(&layer, ["mlp.fc1", "mlp.fc2"], sizes, precision)?,
            heads: sizes.heads,
            precision,
        })
    }

    /// SigLIP's: `probe`, `attention.*`, `layernorm.*`, `mlp.*`.
    pub(crate) fn load_siglip(vb: VarBuilder, sizes: Sizes, precision: Precision) -> Result<Self> {
        let (hidden, attention) = (sizes.hidden, vb.pp("attention"));
        let weights = attention.get((3 * hidden, hidden), "in_proj_weight")?;
        let biases = attention.get(3 * hidden, "in_proj_bias")?;
        let part = |i| {
            let bias = biases.narrow(0, i * hidden, hidden)?;
            Linear::new(weights.narrow(0, i * hidden, hidden)?, Some(bias), precision)
        };
        Ok(Self {
            query: part(0)?.forward(&vb.get((1, 1, hidden), "probe")?)?,
            question: None,
            norm: None,
            key: part(1)?,
            value: part(2)?,
            out: Some(Linear::load(attention.pp("out_proj"), hidden, hidden, precision)?),
            norm_after: LayerNorm::load(vb.pp("layernorm"), hidden, sizes.epsilon)?,
            perceptron: Perceptron::load(&vb, ["mlp.fc1", "mlp.fc2"], sizes, precision)?,
            heads: sizes.heads,
            precision,
        })
    }

    /// Tokens `[B, T, hidden]` to one each, `[B, hidden]`.
    pub(crate) fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let (batch, _, hidden) = tokens.dims3()?;
        let normed = self.norm.as_ref().map(|norm| norm.forward(tokens)).transpose()?;
        let tokens = normed.as_ref().unwrap_or(tokens);
        let query = self.query.broadcast_as((batch, 1, hidden))?.contiguous()?;
        let (key, value) = (self.key.forward(tokens)?, self.value.forward(tokens)?);
        let mut y = attention([&query, &key, &value], self.heads, false, self.precision)?;
        if let Some(out) = &self.out {
            y = out.forward(&y)?;
        }
        if let Some(question) = &self.question {
            y = y.broadcast_add(question)?;
        }
        self.perceptron.forward_add(&self.norm_after.forward(&y)?, &y)?.squeeze(1)
    }
}
