//! Depthwise convolution: every channel has a k×k kernel of its own.

use super::micro;
use super::shape::Activation;
use super::{AlignedBuf, Kernels, plain};

/// Kernel of 3×3 or 5×5, stride 1 or 2, channels-last weights `[k · k, channels]`.
#[derive(Clone)]
pub struct DepthwiseConv {
    kernels: Kernels,
    pub kernel: usize,
    pub stride: usize,
    pub channels: usize,
    pub(super) weights: AlignedBuf,
    pub(super) bias: AlignedBuf,
}

/// One image, or a strip of one, whose border is already padded.
pub struct DepthwiseRun<'a> {
    /// First tap of the first output pixel onwards.
    pub input: &'a [f32],
    /// Numbers from one input row to the next.
    pub in_row: usize,
    pub output: &'a mut [f32],
    pub out_row: usize,
    /// Output rows, and pixels a row.
    pub height: usize,
    pub width: usize,
    pub activation: Activation,
}

impl DepthwiseConv {
    /// Weights in PyTorch's order `[channels, 1, k, k]`. Kernel 3 or 5, stride 1 or 2.
    pub fn from_torch(kernels: Kernels, kernel: usize, stride: usize, weight: &[f32], bias: &[f32]) -> Self {
        assert!(matches!((kernel, stride), (3 | 5, 1 | 2)), "kernel size");
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

    /// Multiplies the weights of each channel by its `scale`; the bias stays as it is.
    pub fn scaled(mut self, scale: &[f32]) -> Self {
        assert_eq!(scale.len(), self.channels, "one factor for each channel");
        for tap in self.weights.chunks_exact_mut(self.channels) {
            tap.iter_mut().zip(scale).for_each(|(x, scale)| *x *= scale);
        }
        self
    }

    /// The convolution that yields the gradient for the input of one with these weights
    /// `[channels, 1, k, k]`: stride 1, over the gradient spread to every stride-th pixel.
    pub fn flipped(kernels: Kernels, kernel: usize, weight: &[f32]) -> Self {
        let flipped: Vec<f32> =
            weight.chunks_exact(kernel * kernel).flat_map(|w| w.iter().rev().copied()).collect();
        Self::from_torch(kernels, kernel, 1, &flipped, &vec![0.0; weight.len() / (kernel * kernel)])
    }

    /// Runs on the current thread.
    pub fn run(&self, run: DepthwiseRun) {
        if run.height == 0 || run.width == 0 {
            return;
        }
        let c = self.channels;
        let in_rows = (run.height - 1) * self.stride + self.kernel;
        let in_width = (run.width - 1) * self.stride + self.kernel;
        let in_len = (in_rows - 1) * run.in_row + in_width * c;
        assert!(run.input.len() >= in_len, "input's size");
        let out_len = (run.height - 1) * run.out_row + run.width * c;
        assert!(run.output.len() >= out_len, "output's size");
        if self.kernels == Kernels::Plain {
            return plain::depthwise(self, run);
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
        // SAFETY: the slices' sizes were compared with the call above; `Kernels::checked` has seen
        // the instructions.
        unsafe {
            match (self.kernel, self.stride) {
                (3, 1) => self.call::<3, 1>(&call),
                (3, 2) => self.call::<3, 2>(&call),
                (5, 1) => self.call::<5, 1>(&call),
                _ => self.call::<5, 2>(&call),
            }
        }
    }

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
}
