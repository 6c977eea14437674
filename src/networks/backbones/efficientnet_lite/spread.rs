//! How a gradient is spread for the flipped depthwise convolution.

use super::BlockSpec;
use super::block::Strip;

/// A gradient `[height, width, channels]` with zeros around it and, for stride 2, between its
/// pixels.
pub(super) struct Spread {
    channels: usize,
    stride: usize,
    width: usize,
    /// Where the first pixel lies, and the length of a row and of the whole.
    first: usize,
    pub row: usize,
    pub len: usize,
}

impl Spread {
    /// For a block of `spec` on images of `height` by `width` pixels. `whole` is one of them.
    pub(super) fn new(spec: &BlockSpec, height: usize, width: usize, whole: &Strip) -> Self {
        let BlockSpec { hidden, kernel, stride, .. } = *spec;
        let row = (width + kernel - 1) * hidden;
        Self {
            channels: hidden,
            stride,
            width: whole.to.width,
            first: (kernel - 1 - whole.pad[0]) * row + (kernel - 1 - whole.pad[1]) * hidden,
            row,
            len: (height + kernel - 1) * row,
        }
    }

    /// Writes `grad` to its places; what lies between them stays as it is.
    pub(super) fn fill(&self, grad: &[f32], spread: &mut [f32]) {
        for (y, row) in grad.chunks_exact(self.width * self.channels).enumerate() {
            let to = &mut spread[self.first + y * self.stride * self.row..];
            if self.stride == 1 {
                to[..row.len()].copy_from_slice(row);
                continue;
            }
            for (x, pixel) in row.chunks_exact(self.channels).enumerate() {
                to[x * self.stride * self.channels..][..self.channels].copy_from_slice(pixel);
            }
        }
    }
}
