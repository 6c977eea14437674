//! Backbones: CNNs that turn frames into feature vectors.

mod i3d;

pub use i3d::I3d;

use candle_core::{Result, Tensor};

/// A CNN that turns one window of frames into a sequence of feature vectors.
///
/// An image network looks at each frame alone and yields one vector a frame (`T' = T`);
/// a 3D network looks at short stretches and yields fewer (`T' = T / 8` for I3D).
pub trait Backbone: Send + Sync {
    /// Length `D` of one feature vector.
    fn feature_dim(&self) -> usize;

    /// How many feature vectors a window of `frames` frames yields (`T'`).
    fn feature_steps(&self, frames: usize) -> usize;

    /// `window`: `f32 [T, H, W, 3]`, normalised RGB. Returns `f32 [T', D]`.
    fn forward(&self, window: &Tensor) -> Result<Tensor>;
}

// Stand-in until the network lands.
pub enum LiteVariant {
    Lite0,
    Lite1,
    Lite2,
}
pub struct EfficientNetLite;
impl EfficientNetLite {
    pub fn load(_: candle_nn::VarBuilder, _: LiteVariant) -> Result<Self> {
        candle_core::bail!("not there yet")
    }
}
impl Backbone for EfficientNetLite {
    fn feature_dim(&self) -> usize {
        1280
    }
    fn feature_steps(&self, f: usize) -> usize {
        f
    }
    fn forward(&self, _: &Tensor) -> Result<Tensor> {
        candle_core::bail!("not there yet")
    }
}
