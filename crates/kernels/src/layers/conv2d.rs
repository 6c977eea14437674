//! Dense convolution of images.

use std::sync::Arc;

use super::images::{Images, bias_or_zeros, check_steps, side};
use crate::aligned::AlignedBuf;
use crate::call::{MAX_INPUTS, Run};
use crate::conv::PackedConv;
use crate::instructions::Kernels;
use crate::numbers::Numbers;
use crate::precision::Precision;
use crate::shape::{Activation, Grid, Window, product};
use candle_core::{CpuStorage, CustomOp1, Layout, Module, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// A convolution of images: candle's `conv2d` of one group. For inference on the CPU: it has no gradient, which
/// [`crate::ops::conv`] has.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use classify_kernels::Conv2d;
///
/// # fn main() -> candle_core::Result<()> {
/// let weight = Tensor::randn(0f32, 1.0, (64, 32, 3, 3), &Device::Cpu)?;
/// let x = Tensor::randn(0f32, 1.0, (1, 32, 56, 56), &Device::Cpu)?;
/// let found = Conv2d::new(&weight, None, 1, 1)?.forward(&x)?;
/// let wanted = x.conv2d(&weight, 1, 1, 1, 1)?;
/// let largest = (found - wanted)?.abs()?.max_all()?.to_scalar::<f32>()?;
/// assert!(largest < 1e-3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Conv2d {
    conv: Arc<PackedConv>,
    window: Window,
    activation: Activation,
}

impl Conv2d {
    /// `weight [O, I, kh, kw]`, `bias [O]`; `padding` zeros on each side. On the fastest kernels there are, see
    /// [`Kernels::detect`].
    ///
    /// # Errors
    /// More than 4096 input channels, a stride of 0, tensors of other shapes, not `f32` or not on the CPU, or an
    /// environment that asks for kernels that aren't there.
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
        let (cout, cin, kh, kw) = weight.dims4()?;
        if [cout, cin, kh, kw].contains(&0) || cin > MAX_INPUTS {
            bail!("convolution with {:?}: wanted [O, I, kh, kw] with 1 ≤ I ≤ {MAX_INPUTS}", weight.dims());
        }
        let bias = bias_or_zeros(bias, cout)?;
        let weight = weight.contiguous()?;
        let sizes = [kh * kw, cin, cout];
        let conv = PackedConv::from_torch(kernels.checked()?, sizes, &Numbers::of(&weight)?, &bias);
        let window = Window { kernel: [1, kh, kw], stride: [1, stride, stride], pad: [0, padding, padding] };
        Ok(Self { conv: Arc::new(conv), window, activation: Activation::None })
    }

    /// The same, followed by `activation`.
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// The same in `precision` where that is possible: for 1×1 kernels with stride 1 and no padding, on CPUs that
    /// have the instructions. See [`Precision`].
    pub fn with_precision(mut self, precision: Precision) -> Self {
        if self.window == Window::POINT {
            Arc::make_mut(&mut self.conv).set_precision(precision, [1; 3]);
        }
        self
    }

    /// `x [N, I, H, W]` of any layout to `[N, O, H', W']` with `H' = (H + 2 · padding − kh) / stride + 1`, which lies
    /// channels-last in memory. An input that does so, too, is read where it lies. Split over rayon's current pool.
    ///
    /// # Errors
    /// Another number of channels, images smaller than the kernel, or numbers that aren't `f32` on the CPU.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.apply_op1(self.clone())?.permute((0, 3, 1, 2))
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward(x)
    }
}

impl CustomOp1 for Conv2d {
    fn name(&self) -> &'static str {
        "packed-conv2d"
    }

    /// To `[N, H', W', O]`.
    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (cin, cout) = (self.conv.cin(), self.conv.cout());
        let images = Images::of(storage, layout, cin)?;
        let [n, _, h, w] = images.dims;
        let side = |axis: usize, len| {
            side(len, self.window.kernel[axis], self.window.stride[axis], self.window.pad[axis])
        };
        let (height, width) = (side(1, h)?, side(2, w)?);
        let mut copy;
        let dims = [n, 1, h, w];
        let (input, from) = if images.channels_last() {
            let [image, _, row, pixel] = images.strides;
            (images.numbers, Grid { dims, strides: [image, 0, row, pixel] })
        } else {
            copy = AlignedBuf::zeros(product(&[n, h, w, cin]));
            let rows = copy.par_chunks_exact_mut(w * cin).enumerate();
            rows.for_each(|(i, row)| images.copy_row(i / h, i % h, row));
            (&copy[..], Grid::dense(dims, cin))
        };
        let to = Grid::dense([n, 1, height, width], cout);
        let mut output = vec![0.0; product(&[n, height, width, cout])];
        self.conv.run_parallel(Run {
            window: self.window,
            transposed: false,
            input,
            from,
            output: &mut output,
            to,
            residual: None,
            activation: self.activation,
        });
        Ok((CpuStorage::F32(output), Shape::from((n, height, width, cout))))
    }
}
