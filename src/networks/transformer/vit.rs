//! The settings that all vision transformers have.

use candle_core::{Result, bail};
use serde::{Deserialize, Serialize};

use super::{Activation, Sizes};
use crate::networks::backbones::Features;

/// A vision transformer's sizes, by transformers' names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VitConfig {
    /// What the network yields.
    #[serde(default)]
    pub features: Features,
    /// Pixels of a frame's side.
    pub image_size: usize,
    /// Pixels of a patch's side.
    pub patch_size: usize,
    /// Frames of a patch.
    pub tubelet_size: usize,
    /// Frames that were trained with.
    pub num_frames: usize,
    /// Length of a token.
    pub hidden_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Heads of a block.
    pub num_attention_heads: usize,
    /// Length between the two layers of a block's perceptron.
    pub intermediate_size: usize,
    /// What stands between them.
    pub hidden_act: Activation,
    /// ε of the blocks' normalisations.
    pub layer_norm_eps: f64,
}

impl VitConfig {
    /// Of a block.
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes {
            hidden: self.hidden_size,
            heads: self.num_attention_heads,
            inner: self.intermediate_size,
            activation: self.hidden_act,
            epsilon: self.layer_norm_eps,
        }
    }

    /// Frames, rows and columns of a patch.
    pub(crate) fn kernel(&self) -> [usize; 3] {
        [self.tubelet_size, self.patch_size, self.patch_size]
    }

    /// How many feature vectors a window of `frames` frames yields.
    pub(crate) fn steps(&self, frames: usize) -> usize {
        match self.features {
            Features::Steps => frames / self.tubelet_size.max(1),
            Features::Pooled => 1,
        }
    }

    /// Patches along each side of `frames` frames.
    ///
    /// # Errors
    /// Where they don't fill it.
    pub(crate) fn grid(&self, frames: usize) -> Result<[usize; 3]> {
        super::patches::grid([frames, self.image_size, self.image_size], self.kernel())
    }

    /// Whether the network takes windows of frames `[T, H, W]`: it knows places one by one, so that their number is
    /// given, and where `times` is, it knows moments in the same way.
    ///
    /// # Errors
    /// They say what it takes.
    pub(crate) fn check(&self, [frames, height, width]: [usize; 3], times: bool) -> Result<()> {
        let side = self.image_size;
        if (height, width) != (side, side) {
            bail!(
                "the network looks at frames of {side}×{side} pixels, not {width}×{height}: leave out --size"
            );
        }
        if times && frames != self.num_frames {
            bail!("the network looks at {} frames, not {frames}: leave out --frames", self.num_frames);
        }
        self.grid(frames).map(drop)
    }
}
