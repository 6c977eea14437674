//! What follows the sums of a linear layer.

/// What a linear layer does to its results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gelu {
    /// Nothing.
    #[default]
    None,
    /// `x · Φ(x)` with the normal distribution `Φ`: PyTorch's `gelu`.
    Exact,
    /// `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`: PyTorch's `gelu(approximate="tanh")`.
    Tanh,
    /// `x / (1 + e^(-1.702 x))`: CLIP's.
    Quick,
}

impl Gelu {
    /// The plain truth.
    pub(crate) fn of(self, x: f32) -> f32 {
        let (x, wide) = (x, f64::from(x));
        let y = match self {
            Self::None => return x,
            Self::Exact => wide * 0.5 * (1.0 + candle_core::cpu::erf::erf_f64(wide / 2f64.sqrt())),
            Self::Tanh => {
                let u = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044715 * wide.powi(3));
                wide * 0.5 * (1.0 + u.tanh())
            }
            Self::Quick => wide / (1.0 + (-1.702 * wide).exp()),
        };
        y as f32
    }
}
