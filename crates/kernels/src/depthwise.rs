//! Depthwise convolution: every channel has a k×k kernel of its own.

use crate::aligned::AlignedBuf;
use crate::instructions::Kernels;
use crate::micro::depthwise as micro;
use crate::shape::{Activation, Grid, covered};

/// Kernel of 3×3 or 5×5, stride 1 or 2, channels-last weights `[k · k, channels]`.
///
/// The fields are private, as kernels trust them.
#[derive(Clone)]
pub struct DepthwiseConv {
    kernels: Kernels,
    kernel: usize,
    stride: usize,
    channels: usize,
    weights: AlignedBuf,
    bias: AlignedBuf,
}

/// One image, or a strip of one, whose border is already padded.
pub struct DepthwiseRun<'a> {
    /// First tap of the first output pixel onwards; the channels of one pixel are adjacent, as are pixels.
    pub input: &'a [f32],
    /// Numbers from one input row to the next.
    pub in_row: usize,
    /// First pixel onwards, laid out as the input.
    pub output: &'a mut [f32],
    /// Numbers from one output row to the next.
    pub out_row: usize,
    /// Output rows.
    pub height: usize,
    /// Output pixels a row.
    pub width: usize,
    /// What follows the sum.
    pub activation: Activation,
}

impl DepthwiseConv {
    /// Weights in PyTorch's order `[channels, 1, k, k]`, `bias [channels]`.
    ///
    /// # Panics
    /// A kernel other than 3 or 5, a stride other than 1 or 2, a `weight` of another size, or a CPU that lacks the
    /// instructions.
    pub fn from_torch(kernels: Kernels, kernel: usize, stride: usize, weight: &[f32], bias: &[f32]) -> Self {
        assert!(Self::possible(kernel, stride), "kernel size");
        let kernels = kernels.expect_supported();
        let channels = bias.len();
        let taps = kernel * kernel;
        assert_eq!(weight.len(), taps * channels, "weight's size");
        let mut weights = AlignedBuf::zeros(weight.len());
        for c in 0..channels {
            for t in 0..taps {
                weights[t * channels + c] = weight[c * taps + t];
            }
        }
        let mut copy = AlignedBuf::zeros(channels);
        copy.copy_from_slice(bias);
        Self { kernels, kernel, stride, channels, weights, bias: copy }
    }

    /// Whether there are kernels for this size and stride: 3 or 5, and 1 or 2.
    pub fn possible(kernel: usize, stride: usize) -> bool {
        matches!((kernel, stride), (3 | 5, 1 | 2))
    }

    /// Side of the kernel.
    pub fn kernel(&self) -> usize {
        self.kernel
    }

    /// Input pixels from one output's window to the next one's.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Channels, of the input as of the output.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Multiplies the weights of each channel by its `scale`; the bias stays as it is.
    ///
    /// # Panics
    /// Other than `channels` factors.
    pub fn scaled(mut self, scale: &[f32]) -> Self {
        assert_eq!(scale.len(), self.channels, "one factor for each channel");
        for tap in self.weights.chunks_exact_mut(self.channels.max(1)) {
            tap.iter_mut().zip(scale).for_each(|(x, scale)| *x *= scale);
        }
        self
    }

    /// The convolution that yields the gradient for the input of one with these weights
    /// `[channels, 1, k, k]`: stride 1, over the gradient spread to every stride-th pixel.
    ///
    /// # Panics
    /// As [`Self::from_torch`].
    pub fn flipped(kernels: Kernels, kernel: usize, weight: &[f32]) -> Self {
        let taps = (kernel * kernel).max(1);
        let flipped: Vec<f32> = weight.chunks_exact(taps).flat_map(|w| w.iter().rev().copied()).collect();
        Self::from_torch(kernels, kernel, 1, &flipped, &vec![0.0; weight.len() / taps])
    }

    /// Runs on the current thread.
    ///
    /// # Panics
    /// A slice is shorter than the sizes say.
    pub fn run(&self, run: DepthwiseRun) {
        if run.height == 0 || run.width == 0 {
            return;
        }
        let c = self.channels;
        // Nothing below looks at bounds again.
        let rows = |height, width, row| Grid { dims: [1, 1, height, width], strides: [0, 0, row, c] }.len(c);
        let in_height = covered(run.height, self.stride, self.kernel);
        let in_width = covered(run.width, self.stride, self.kernel);
        assert!(run.input.len() >= rows(in_height, in_width, run.in_row), "input's size");
        assert!(run.output.len() >= rows(run.height, run.width, run.out_row), "output's size");
        if self.kernels == Kernels::Plain {
            return self.plain(run);
        }
        let call = micro::Depthwise {
            input: run.input.as_ptr(),
            in_row: run.in_row,
            out: run.output.as_mut_ptr(),
            out_row: run.out_row,
            height: run.height,
            width: run.width,
            channels: c,
            weights: self.weights.as_ptr(),
            bias: self.bias.as_ptr(),
            clamp: run.activation.clamp(),
        };
        // SAFETY: the slices' sizes were compared with the call above; `from_torch` has seen the instructions.
        unsafe {
            match (self.kernel, self.stride) {
                (3, 1) => self.call::<3, 1>(&call),
                (3, 2) => self.call::<3, 2>(&call),
                (5, 1) => self.call::<5, 1>(&call),
                _ => self.call::<5, 2>(&call),
            }
        }
    }

    /// # Safety
    /// The call's pointers are valid for its sizes and this kernel's.
    unsafe fn call<const K: usize, const S: usize>(&self, call: &micro::Depthwise) {
        // SAFETY: the caller's.
        unsafe {
            match self.kernels {
                #[cfg(target_arch = "x86_64")]
                Kernels::Avx512 => micro::depthwise_avx512::<K, S>(call),
                #[cfg(target_arch = "x86_64")]
                Kernels::Avx2 => micro::depthwise_avx2::<K, S>(call),
                _ => micro::depthwise_portable::<K, S>(call),
            }
        }
    }

    /// The plain truth: `output[y, x, c] = clamp(bias[c] + Σ input[y·s + ky, x·s + kx, c] · weights[ky, kx, c])`.
    fn plain(&self, run: DepthwiseRun) {
        let (k, s, channels) = (self.kernel, self.stride, self.channels);
        let (lo, hi) = run.activation.clamp();
        for y in 0..run.height {
            for x in 0..run.width {
                for c in 0..channels {
                    let mut sum = self.bias[c];
                    for ky in 0..k {
                        for kx in 0..k {
                            let at = (y * s + ky) * run.in_row + (x * s + kx) * channels + c;
                            sum += run.input[at] * self.weights[(ky * k + kx) * channels + c];
                        }
                    }
                    run.output[y * run.out_row + x * channels + c] = sum.clamp(lo, hi);
                }
            }
        }
    }
}
