//! What vision transformers that look over time have in common.

use candle_core::{Result, Tensor};

use super::Backbone;
use crate::networks::transformer::VitConfig;

/// A vision transformer on windows of the length that it was trained with: but for what it makes of a window, its
/// settings say all of a [`Backbone`].
pub(super) trait OverTime: Send + Sync {
    /// Whether it knows moments one by one, so that their number is given.
    const KNOWS_MOMENTS: bool;

    fn vit(&self) -> &VitConfig;

    /// [`Backbone::forward`].
    fn look(&self, window: &Tensor) -> Result<Tensor>;
}

impl<N: OverTime> Backbone for N {
    fn feature_dim(&self) -> usize {
        self.vit().hidden_size
    }

    fn feature_steps(&self, frames: usize) -> usize {
        self.vit().steps(frames)
    }

    fn forward(&self, window: &Tensor) -> Result<Tensor> {
        self.look(window)
    }

    fn needs_whole_windows(&self) -> bool {
        true
    }

    fn check(&self, window: [usize; 3]) -> Result<()> {
        self.vit().check(window, N::KNOWS_MOMENTS)
    }
}

/// Tokens `[1, steps · places, hidden]`, ordered by time, to `[steps, hidden]`.
pub(super) fn mean_over_space(tokens: &Tensor, steps: usize) -> Result<Tensor> {
    let (_, count, hidden) = tokens.dims3()?;
    tokens.reshape((steps, count / steps, hidden))?.mean(1)
}
