//! Frames cut into patches, each of which becomes a token.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use classify_kernels::Precision;

use super::Linear;

/// A convolution whose kernel is as long as its stride, over time, down and across: a matrix product of patches.
pub(crate) struct Patches {
    linear: Linear,
    /// Frames, rows and columns of a patch.
    kernel: [usize; 3],
}

impl Patches {
    /// `weight`: `[out, 3, kt, kh, kw]`, or `[out, 3, kh, kw]` for patches of single frames, `kernel` in this order;
    /// `bias`: `[out]`, where there is one.
    pub(crate) fn load(vb: VarBuilder, out: usize, kernel: [usize; 3], precision: Precision) -> Result<Self> {
        let [kt, kh, kw] = kernel;
        let weight = match vb.get((out, 3, kt, kh, kw), "weight") {
            Err(_) if kt == 1 => vb.get((out, 3, kh, kw), "weight")?.unsqueeze(2)?,
            weight => weight?,
        };
        // In the order in which a frame's numbers lie.
        let weight = weight.permute((0, 2, 3, 4, 1))?.reshape((out, kt * kh * kw * 3))?;
        let bias = vb.contains_tensor("bias").then(|| vb.get(out, "bias")).transpose()?;
        Ok(Self { linear: Linear::new(weight, bias, precision)?, kernel })
    }

    /// `window`: `[T, H, W, 3]`. Returns tokens `[T', H'·W', out]`.
    pub(crate) fn forward(&self, window: &Tensor) -> Result<Tensor> {
        let (t, h, w, _) = window.dims4()?;
        let ([kt, kh, kw], [nt, nh, nw]) = (self.kernel, grid([t, h, w], self.kernel)?);
        let patches = window
            .reshape(&[nt, kt, nh, kh, nw, kw * 3][..])?
            .permute(&[0, 2, 4, 1, 3, 5][..])?
            .reshape((nt, nh * nw, kt * kh * kw * 3))?;
        self.linear.forward(&patches)
    }
}

/// How many patches of `kernel` there are along each side of `frames`, which they must fill.
pub(super) fn grid(frames: [usize; 3], kernel: [usize; 3]) -> Result<[usize; 3]> {
    let (frames_of, [t, h, w]) = (kernel[0], frames);
    if kernel.contains(&0) || t == 0 || t % frames_of != 0 {
        bail!("the network looks at frames {frames_of} by {frames_of}, {t} frames aren't divided by that");
    }
    if h == 0 || w == 0 || h % kernel[1] != 0 || w % kernel[2] != 0 {
        bail!(
            "the network cuts frames into squares of {}×{} pixels, {w}×{h} isn't divided by that",
            kernel[2],
            kernel[1]
        );
    }
    Ok([t / kernel[0], h / kernel[1], w / kernel[2]])
}
