//! Linear layers, layer normalisation and attention: on the CPU by our kernels, elsewhere by candle's operators.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use classify_kernels::Precision;
use serde::{Deserialize, Serialize};

/// What stands between the two layers of a block's perceptron, by transformers' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// Exact, by the error function.
    #[serde(rename = "gelu")]
    Gelu,
    /// `0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))`
    #[serde(rename = "gelu_pytorch_tanh", alias = "gelu_new", alias = "gelu_fast")]
    GeluTanh,
    /// `x · sigmoid(1.702 · x)`
    #[serde(rename = "quick_gelu")]
    QuickGelu,
}

impl Activation {
    fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Gelu => x.gelu_erf(),
            Self::GeluTanh => x.gelu(),
            Self::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
        }
    }
}

/// `x · Wᵀ + b`, then an activation.
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    activation: Option<Activation>,
}

impl Linear {
    /// Of `weight [out, in]` and `bias [out]`.
    pub(crate) fn new(weight: Tensor, bias: Option<Tensor>, _precision: Precision) -> Result<Self> {
        Ok(Self { weight, bias, activation: None })
    }

    /// Of the tensors `weight` and `bias` of `vb`.
    pub(crate) fn load(vb: VarBuilder, input: usize, output: usize, precision: Precision) -> Result<Self> {
        Self::new(vb.get((output, input), "weight")?, Some(vb.get(output, "bias")?), precision)
    }

    /// The same with an activation behind it.
    pub(crate) fn with_activation(self, activation: Activation) -> Self {
        Self { activation: Some(activation), ..self }
    }

    /// `[.., in]` to `[.., out]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.broadcast_matmul(&self.weight.t()?)?;
        let y = match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        };
        self.activation.map_or(Ok(y.clone()), |activation| activation.apply(&y))
    }

    /// [`Self::forward`] of `x`, and `residual` of the same shape added.
    pub(crate) fn forward_add(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        self.forward(x)? + residual
    }
}

/// Normalisation over the last dimension.
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// Of the tensors `weight` and `bias` `[dim]` of `vb`.
    pub(crate) fn load(vb: VarBuilder, dim: usize, epsilon: f64) -> Result<Self> {
        Ok(Self { weight: vb.get(dim, "weight")?, bias: vb.get(dim, "bias")?, epsilon })
    }

    /// `[.., dim]` to the same.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        candle_nn::ops::layer_norm_slow(&x.contiguous()?, &self.weight, &self.bias, self.epsilon as f32)
    }
}

/// Attention of `heads` heads side by side in the last dimension: `q [B, T, D]`, `k` and `v` `[B, T', D]` to
/// `[B, T, D]`. `causal`: each sees itself and those before it only.
pub(crate) fn attention(
    [q, k, v]: [&Tensor; 3],
    heads: usize,
    causal: bool,
    _precision: Precision,
) -> Result<Tensor> {
    let (batch, steps, dim) = q.dims3()?;
    let split = |x: &Tensor| -> Result<Tensor> {
        let (batch, steps, dim) = x.dims3()?;
        x.reshape((batch, steps, heads, dim / heads))?.transpose(1, 2)?.contiguous()
    };
    let scale = ((dim / heads) as f64).sqrt().recip();
    let scores = (split(q)?.matmul(&split(k)?.t()?)? * scale)?;
    let scores = if causal {
        let rows =
            (0..steps).flat_map(|i| (0..steps).map(move |j| if j > i { f32::NEG_INFINITY } else { 0.0 }));
        let mask = Tensor::from_iter(rows, q.device())?.reshape((steps, steps))?;
        scores.broadcast_add(&mask)?
    } else {
        scores
    };
    let weights = candle_nn::ops::softmax(&scores, candle_core::D::Minus1)?;
    weights.matmul(&split(v)?)?.transpose(1, 2)?.reshape((batch, steps, dim))
}
