//! Depthwise convolution of images.

use std::sync::Arc;

use super::images::{Images, bias_or_zeros, check_steps, side};
use crate::aligned::AlignedBuf;
use crate::depthwise::{DepthwiseConv, DepthwiseRun};
use crate::instructions::Kernels;
use crate::numbers::Numbers;
use crate::shape::{Activation, product};
use candle_core::{CpuStorage, CustomOp1, Layout, Module, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// Numbers of padded input at a time: half of a common level-2 cache.
const STRIP: usize = 96 * 1024;

/// A convolution that filters every channel by a kernel of its own: candle's `conv2d` with as many groups as
/// channels. For inference on the CPU: it has no gradient.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use classify_kernels::{Activation, DepthwiseConv2d};
///
/// # fn main() -> candle_core::Result<()> {
/// let weight = Tensor::randn(0f32, 1.0, (32, 1, 3, 3), &Device::Cpu)?;
/// let x = Tensor::randn(0f32, 1.0, (1, 32, 56, 56), &Device::Cpu)?;
/// let conv = DepthwiseConv2d::new(&weight, None, 2, 1)?.with_activation(Activation::Relu6);
/// assert_eq!(conv.forward(&x)?.dims(), [1, 32, 28, 28]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DepthwiseConv2d {
    conv: Arc<DepthwiseConv>,
    padding: usize,
    activation: Activation,
}

impl DepthwiseConv2d {
    /// `weight [C, 1, k, k]`, `bias [C]`; `padding` zeros on each side. On the fastest kernels there are, see
    /// [`Kernels::detect`].
    ///
    /// # Errors
    /// A kernel other than 3×3 or 5×5, a stride other than 1 or 2, tensors of other shapes, not `f32` or not on
    /// the CPU, or an environment that asks for kernels that aren't there.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>, stride: usize, padding: usize) -> Result<Self> {
        let kernels = Kernels::detect().map_err(candle_core::Error::wrap)?;
        Self::with_kernels(kernels, weight, bias, stride, padding)
    }

    /// As [`Self::new`], on given kernels.
    ///
    /// # Errors
    /// As [`Self::new`]; the CPU lacks the instructions.
    pub fn with_kernels(
        kernels: Kernels,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: usize,
        padding: usize,
    ) -> Result<Self> {
        check_steps(stride, padding)?;
        let (channels, one, k, width) = weight.dims4()?;
        if one != 1 || k != width || channels == 0 || !DepthwiseConv::possible(k, stride) {
            bail!(
                "depthwise convolution with {:?} and stride {stride}: there are kernels for [C, 1, 3, 3] and \
                 [C, 1, 5, 5], stride 1 and 2",
                weight.dims()
            );
        }
        let bias = bias_or_zeros(bias, channels)?;
        let weight = weight.contiguous()?;
        let conv = DepthwiseConv::from_torch(kernels.checked()?, k, stride, &Numbers::of(&weight)?, &bias);
        Ok(Self { conv: Arc::new(conv), padding, activation: Activation::None })
    }

    /// The same, followed by `activation`.
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// `x [N, C, H, W]` of any layout to `[N, C, H', W']` with `H' = (H + 2 · padding − k) / stride + 1`, which lies
    /// channels-last in memory. Split over rayon's current pool.
    ///
    /// # Errors
    /// Another number of channels, images smaller than the kernel, or numbers that aren't `f32` on the CPU.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.apply_op1(self.clone())?.permute((0, 3, 1, 2))
    }

    /// Copies the input rows that `rows` output rows of image `n` see, from output row `y` on, between borders of
    /// zeros; returns the numbers in one of them.
    fn pad(&self, images: &Images, n: usize, y: usize, rows: usize, padded: &mut AlignedBuf) -> usize {
        let [_, channels, height, width] = images.dims;
        let row = (width + 2 * self.padding) * channels;
        let (stride, kernel) = (self.conv.stride(), self.conv.kernel());
        let inner = self.padding * channels..(self.padding + width) * channels;
        let padded = padded.at_least(((rows - 1) * stride + kernel) * row);
        for (i, to) in padded.chunks_exact_mut(row).enumerate() {
            match (y * stride + i).checked_sub(self.padding).filter(|y| *y < height) {
                Some(y) => {
                    to[..inner.start].fill(0.0);
                    images.copy_row(n, y, &mut to[inner.clone()]);
                    to[inner.end..].fill(0.0);
                }
                None => to.fill(0.0),
            }
        }
        row
    }
}

impl Module for DepthwiseConv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward(x)
    }
}

impl CustomOp1 for DepthwiseConv2d {
    fn name(&self) -> &'static str {
        "depthwise-conv2d"
    }

    /// To `[N, H', W', C]`.
    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (kernel, stride, channels) = (self.conv.kernel(), self.conv.stride(), self.conv.channels());
        let images = Images::of(storage, layout, channels)?;
        let [n, _, h, w] = images.dims;
        let height = side(h, kernel, stride, self.padding)?;
        let width = side(w, kernel, stride, self.padding)?;
        let out_row = width * channels;
        let mut output = vec![0.0; product(&[n, height, out_row])];
        // As many rows as stay near, but pieces for all threads.
        let padded_row = (w + 2 * self.padding) * channels;
        let pieces = (rayon::current_num_threads() * 4).div_ceil(n.max(1));
        let rows = (STRIP / (stride * padded_row)).min(height.div_ceil(pieces)).max(1);
        output.par_chunks_exact_mut(height * out_row).enumerate().for_each(|(n, image)| {
            image.par_chunks_mut(rows * out_row).enumerate().for_each_init(
                AlignedBuf::default,
                |padded, (i, output)| {
                    let height = output.len() / out_row;
                    let in_row = self.pad(&images, n, i * rows, height, padded);
                    let activation = self.activation;
                    self.conv.run(DepthwiseRun {
                        input: padded,
                        in_row,
                        output,
                        out_row,
                        height,
                        width,
                        activation,
                    });
                },
            );
        });
        Ok((CpuStorage::F32(output), Shape::from((n, height, width, channels))))
    }
}
