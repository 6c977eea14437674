//! The networks' own operators for the CPU, channels-last and `f32`.
//!
//! - [`conv`]: dense convolution, 1×1, 2D and 3D. [`depthwise`]: one kernel a channel.
//!   [`pool`]: max pooling. [`winograd`]: 3×3×3 convolution with a quarter of the products.
//! - [`ops`]: these as differentiable operators on tensors; [`grad`]: their gradients.
//! - `plain`: the plain truth, obvious loops that the tests hold the fast kernels against.
//! - `volume`: 3D convolution and pooling by candle's own operators.
//! - `bf16`: 1×1 convolution in bfloat16, twice as fast; its plain truth is the same `plain`.
//! - `micro` and `micro_grad`: the fast path's innermost loops, over the vector types of `simd`. The
//!   only `unsafe` of consequence is here; `conv`, `depthwise` and `grad` check all bounds before.

mod aligned;
mod bf16;
pub mod conv;
pub mod depthwise;
pub mod grad;
mod micro;
mod micro_grad;
mod numbers;
pub mod ops;
#[cfg(test)]
mod ops_tests;
mod place;
mod plain;
pub mod pool;
mod shape;
mod simd;
#[cfg(test)]
mod tests;
mod volume;
pub mod winograd;

pub use aligned::AlignedBuf;
pub use bf16::Precision;
pub use numbers::Numbers;
pub use numbers::slice;
pub use volume::{conv3d_plain, max_pool3d_plain};

mod error;

pub use error::Error;

/// Which implementation runs, slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// Obvious loops; whole networks run on candle's own operators.
    Plain,
    /// Arrays that the compiler vectorises.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512F.
    Avx512,
}

impl Kernels {
    pub const ALL: [Self; 4] = [Self::Plain, Self::Portable, Self::Avx2, Self::Avx512];

    /// The fastest that this CPU has, or the one that `CLASSIFY_KERNELS` names.
    pub fn detect() -> Result<Self, Error> {
        let Some(name) = std::env::var_os("CLASSIFY_KERNELS") else {
            let best = Self::ALL.into_iter().rfind(|k| k.supported());
            return Ok(best.unwrap_or(Self::Portable));
        };
        let known = Self::ALL.into_iter().find(|k| name == k.name());
        match known {
            Some(kernels) if kernels.supported() => Ok(kernels),
            Some(_) => Err(Error::new("CLASSIFY_KERNELS", &name, "this CPU doesn't have these instructions")),
            None => Err(Error::new("CLASSIFY_KERNELS", &name, "must be plain, portable, avx2 or avx512")),
        }
    }

    /// The name as `CLASSIFY_KERNELS` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// These, if this CPU has their instructions: whoever is given `Kernels` to compute with relies on that.
    pub fn checked(self) -> candle_core::Result<Self> {
        if self.supported() { Ok(self) } else { candle_core::bail!("this CPU has no {}", self.name()) }
    }

    /// Whether this CPU has the instructions.
    pub fn supported(self) -> bool {
        match self {
            Self::Plain | Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}
