//! The plain path: candle's own operators, `[N, C, H, W]`. Serves every device, and is the truth
//! that the fast path is held against.

use super::shift::shift_plain;
use super::{Folded, FoldedBlock, FoldedNetwork};
use candle_core::{Result, Tensor};
use classify_kernels::conv::Window;
use classify_kernels::depthwise_plain;

impl Folded {
    /// SAME convolution.
    fn conv(&self, x: &Tensor, stride: usize) -> Result<Tensor> {
        self.biased(self.padded(x, stride)?.conv2d(&self.weight, 0, stride, 1, 1)?)
    }

    /// SAME convolution, each channel by a kernel of its own.
    fn depthwise(&self, x: &Tensor, stride: usize) -> Result<Tensor> {
        self.biased(depthwise_plain(&self.padded(x, stride)?, &self.weight, stride)?)
    }

    fn padded(&self, x: &Tensor, stride: usize) -> Result<Tensor> {
        let (_, _, h, w) = x.dims4()?;
        let kernel = self.weight.dim(2)?;
        let (window, [_, to_h, to_w]) = Window::same([1, kernel, kernel], [1, stride, stride], [1, h, w]);
        let after =
            |from: usize, to: usize, pad: usize| ((to - 1) * stride + kernel).saturating_sub(from + pad);
        let [_, top, left] = window.pad;
        x.pad_with_zeros(2, top, after(h, to_h, top))?.pad_with_zeros(3, left, after(w, to_w, left))
    }

    fn biased(&self, x: Tensor) -> Result<Tensor> {
        x.broadcast_add(&self.bias.reshape((1, (), 1, 1))?)
    }
}

fn relu6(x: Tensor) -> Result<Tensor> {
    x.clamp(0f32, 6f32)
}

impl FoldedBlock {
    /// `clip` frames make a clip where channels are shifted between them.
    pub(super) fn forward(&self, input: &Tensor, clip: Option<usize>) -> Result<Tensor> {
        let mut x = match clip.filter(|_| self.spec.residual()) {
            Some(clip) => shift_plain(input, clip)?,
            None => input.clone(),
        };
        if let Some(expand) = &self.expand {
            x = relu6(expand.conv(&x, 1)?)?;
        }
        x = relu6(self.depthwise.depthwise(&x, self.spec.stride)?)?;
        x = self.project.conv(&x, 1)?;
        if self.spec.residual() { x + input } else { Ok(x) }
    }
}

impl FoldedNetwork {
    /// `f32 [T, H, W, 3]` to `f32 [T, 1280]`; see [`FoldedBlock::forward`] for `clip`. No gradient
    /// goes into the first `frozen` blocks.
    pub(super) fn forward(&self, window: &Tensor, clip: Option<usize>, frozen: usize) -> Result<Tensor> {
        let x = window.permute((0, 3, 1, 2))?.contiguous()?;
        let mut x = relu6(self.stem.conv(&x, 2)?)?;
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, clip)?;
            if i < frozen {
                x = x.detach();
            }
        }
        relu6(self.head.conv(&x, 1)?)?.mean((2, 3))
    }
}
