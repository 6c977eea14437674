//! Linear layers, layer normalisation and attention: on the CPU by our kernels, elsewhere by candle's operators.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use classify_kernels::{Gelu, Precision};
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

    fn of_kernels(self) -> Gelu {
        match self {
            Self::Gelu => Gelu::Exact,
            Self::GeluTanh => Gelu::Tanh,
            Self::QuickGelu => Gelu::Quick,
        }
    }
}

/// `x · Wᵀ + b`, then an activation.
pub(crate) enum Linear {
    /// On the CPU.
    Packed(classify_kernels::Linear),
    /// On other devices.
    Plain { weight: Tensor, bias: Option<Tensor>, activation: Option<Activation> },
}

impl Linear {
    /// Of `weight [out, in]` and `bias [out]`.
    pub(crate) fn new(weight: Tensor, bias: Option<Tensor>, precision: Precision) -> Result<Self> {
        Ok(if weight.device().is_cpu() {
            Self::Packed(classify_kernels::Linear::new(&weight, bias.as_ref(), precision)?)
        } else {
            Self::Plain { weight, bias, activation: None }
        })
    }

    /// Of the tensors `weight` and `bias` of `vb`.
    pub(crate) fn load(vb: VarBuilder, input: usize, output: usize, precision: Precision) -> Result<Self> {
        Self::new(vb.get((output, input), "weight")?, Some(vb.get(output, "bias")?), precision)
    }

    /// The same with an activation behind it.
    pub(crate) fn with_activation(self, activation: Activation) -> Self {
        match self {
            Self::Packed(linear) => Self::Packed(linear.with_activation(activation.of_kernels())),
            Self::Plain { weight, bias, .. } => Self::Plain { weight, bias, activation: Some(activation) },
        }
    }

    /// `[.., in]` to `[.., out]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Packed(linear) => linear.forward(x),
            Self::Plain { weight, bias, activation } => {
                let y = x.broadcast_matmul(&weight.t()?)?;
                let y = if let Some(bias) = bias { y.broadcast_add(bias)? } else { y };
                if let Some(activation) = activation { activation.apply(&y) } else { Ok(y) }
            }
        }
    }

    /// [`Self::forward`] of `x`, and `residual` of the same shape added.
    pub(crate) fn forward_add(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        match self {
            Self::Packed(linear) => linear.forward_add(x, residual),
            Self::Plain { .. } => self.forward(x)? + residual,
        }
    }

    /// `next` of [`Self::forward`] of `x`, and `residual` added.
    pub(crate) fn forward_through(&self, x: &Tensor, next: &Self, residual: &Tensor) -> Result<Tensor> {
        match (self, next) {
            (Self::Packed(first), Self::Packed(next)) => first.forward_through(x, next, residual),
            _ => next.forward_add(&self.forward(x)?, residual),
        }
    }
}

/// Normalisation over the last dimension.
pub(crate) enum LayerNorm {
    /// On the CPU.
    Fast(classify_kernels::LayerNorm),
    /// On other devices.
    Plain { weight: Tensor, bias: Tensor, epsilon: f64 },
}

impl LayerNorm {
    /// Of the tensors `weight` and `bias` `[dim]` of `vb`.
    pub(crate) fn load(vb: VarBuilder, dim: usize, epsilon: f64) -> Result<Self> {
        let (weight, bias) = (vb.get(dim, "weight")?, vb.get(dim, "bias")?);
        Ok(if weight.device().is_cpu() {
            Self::Fast(classify_kernels::LayerNorm::new(&weight, Some(&bias), epsilon)?)
        } else {
            Self::Plain { weight, bias, epsilon }
        })
    }

    /// `[.., dim]` to the same.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Fast(norm) => norm.forward(x),
            Self::Plain { weight, bias, epsilon } => {
                candle_nn::ops::layer_norm_slow(&x.contiguous()?, weight, bias, *epsilon as f32)
            }
        }
    }
}

/// Attention of `heads` heads side by side in the last dimension: `q [B, T, D]`, `k` and `v` `[B, T', D]` to
/// `[B, T, D]`. `causal`: each sees itself and those before it only.
pub(crate) fn attention(
    [q, k, v]: [&Tensor; 3],
    heads: usize,
    causal: bool,
    precision: Precision,
) -> Result<Tensor> {
    let (batch, steps, dim) = q.dims3()?;
    let scale = ((dim / heads) as f64).sqrt().recip();
    if q.device().is_cpu() {
        return classify_kernels::attention(q, k, v, heads, scale, causal, precision);
    }
    let split = |x: &Tensor| -> Result<Tensor> {
        let (batch, steps, dim) = x.dims3()?;
        x.reshape((batch, steps, heads, dim / heads))?.transpose(1, 2)?.contiguous()
    };
    let mut scores = (split(q)?.matmul(&split(k)?.t()?)? * scale)?;
    if causal {
        let row = |i| (0..steps).map(move |j| if j > i { f32::NEG_INFINITY } else { 0.0 });
        let mask = Tensor::from_iter((0..steps).flat_map(row), q.device())?.reshape((steps, steps))?;
        scores = scores.broadcast_add(&mask)?;
    }
    let weights = candle_nn::ops::softmax(&scores, candle_core::D::Minus1)?;
    weights.matmul(&split(v)?)?.transpose(1, 2)?.reshape((batch, steps, dim))
}
