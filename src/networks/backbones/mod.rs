//! Backbones: CNNs that turn frames into feature vectors.

mod config;
pub(crate) mod efficientnet_lite;
pub(crate) mod i3d;

pub use config::{BackboneConfig, LiteConfig};
pub use efficientnet_lite::{EfficientNetLite, LiteVariant, TrainOptions, TrainableEfficientNetLite};
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
