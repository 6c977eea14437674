//! Backbones: networks that turn frames into feature vectors.

mod clip;
mod config;
pub(crate) mod efficientnet_lite;
pub(crate) mod i3d;
mod over_time;
mod siglip;
mod timesformer;
pub(crate) mod videomae;
mod vivit;
pub(crate) mod vjepa2;
pub(crate) mod xclip;

pub use clip::ClipConfig;
pub use config::{BackboneConfig, LiteConfig};
pub use efficientnet_lite::{EfficientNetLite, LiteVariant, TrainOptions, TrainableEfficientNetLite};
pub use i3d::I3d;
pub use videomae::VideoMaeConfig;
pub use vjepa2::Vjepa2Config;
pub use xclip::XclipConfig;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

/// A network that turns one window of frames into a sequence of feature vectors.
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

    /// Whether it knows windows of the length that it was trained with only, so that films are cut into such.
    fn needs_whole_windows(&self) -> bool {
        false
    }

    /// Whether the network takes windows of frames `[T, H, W]`.
    ///
    /// # Errors
    /// They say which it takes.
    fn check(&self, _window: [usize; 3]) -> Result<()> {
        Ok(())
    }
}

/// What a transformer yields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// A vector for each step of time, its tokens' mean: for heads that are trained here.
    #[default]
    Steps,
    /// The one vector that the published classifier reads.
    Pooled,
}
