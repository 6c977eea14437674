//! Gradients of the convolutions, on slices with their bounds checked.
//!
//! The gradient for a convolution's input is a convolution again: see [`PackedConv::transposed`]
//! with [`Run::transposed`], and [`DepthwiseConv::flipped`].
//!
//! [`PackedConv::transposed`]: super::conv::PackedConv::transposed
//! [`Run::transposed`]: super::conv::Run::transposed
//! [`DepthwiseConv::flipped`]: super::depthwise::DepthwiseConv::flipped

use super::Kernels;
use super::conv::{Activation, Grid, Window};
use super::micro_grad::{self, DepthwiseGrad, Outer, Unclamp};

/// Pixels whose outer products are summed in registers at a time: their gradients fit into the
/// level-1 cache, a panel of channels at least.
const PIXELS: usize = 128;

/// What [`conv_weights`] reads.
#[derive(Clone, Copy)]
pub struct ConvGrad<'a> {
    pub window: Window,
    /// `[from, cin]`
    pub input: &'a [f32],
    pub from: Grid,
    pub cin: usize,
    /// `[to, cout]`, before the activation.
    pub grad: &'a [f32],
    pub to: Grid,
    pub cout: usize,
}

/// Adds a convolution's gradient for its weights to `weights [taps, cout, cin]`, from output rows
/// `rows` (counted through volumes and planes).
pub fn conv_weights(kernels: Kernels, g: &ConvGrad, rows: std::ops::Range<usize>, weights: &mut [f32]) {
    let size = g.cin * g.cout;
    assert_eq!(weights.len(), g.window.taps() * size, "weights' size");
    assert!(g.input.len() >= g.from.len(g.cin), "input's size");
    assert!(g.grad.len() >= g.to.len(g.cout), "gradient's size");
    let [n, d, h, w] = g.to.dims;
    assert!(rows.end <= n * d * h && n <= g.from.dims[0], "rows");
    let mut pairs = Vec::with_capacity(PIXELS);
    let (first, last) = (rows.start * w, rows.end * w);
    for chunk in (first..last).step_by(PIXELS) {
        for (tap, weights) in weights.chunks_exact_mut(size).enumerate() {
            let [_, kh, kw] = g.window.kernel;
            let k = [tap / kw / kh, tap / kw % kh, tap % kw];
            pairs.clear();
            for p in chunk..(chunk + PIXELS).min(last) {
                let at = [p / w / h / d, p / w / h % d, p / w % h, p % w];
                let mut from = at[0] * g.from.strides[0];
                let inside = (0..3).all(|i| {
                    let q = (at[i + 1] * g.window.stride[i] + k[i]).wrapping_sub(g.window.pad[i]);
                    from = from.wrapping_add(q.wrapping_mul(g.from.strides[i + 1]));
                    q < g.from.dims[i + 1]
                });
                if inside {
                    let to: usize = (0..4).map(|i| at[i] * g.to.strides[i]).sum();
                    pairs.push((g.grad[to..].as_ptr(), g.input[from..].as_ptr()));
                }
            }
            let call = Outer { pairs: &pairs, out: weights.as_mut_ptr(), rows: g.cout, cols: g.cin };
            // SAFETY: both slices hold all pixels of their grids, see above.
            unsafe { micro_grad::outer_product(kernels, &call) }
        }
    }
}

/// Makes `grad [height, width, channels]` zero wherever `out`, the activations, stood at a limit,
/// and adds its sum over pixels to `bias`. Rows of `out` are `out_row` numbers apart.
pub fn unclamp(
    kernels: Kernels,
    grad: &mut [f32],
    out: &[f32],
    out_row: usize,
    [height, width]: [usize; 2],
    activation: Activation,
    bias: &mut [f32],
) {
    let channels = bias.len();
    if height == 0 || width == 0 {
        return;
    }
    assert!(grad.len() >= height * width * channels, "gradient's size");
    assert!(out.len() >= (height - 1) * out_row + width * channels, "output's size");
    let call = Unclamp {
        grad: grad.as_mut_ptr(),
        out: out.as_ptr(),
        out_row,
        height,
        width,
        channels,
        clamp: activation.clamp(),
        sum: bias.as_mut_ptr(),
    };
    // SAFETY: sizes as checked above.
    unsafe { micro_grad::unclamp(kernels, &call) }
}

/// What [`depthwise_weights`] reads.
pub struct DepthwiseWeights<'a> {
    pub kernel: usize,
    pub stride: usize,
    pub channels: usize,
    /// Padded, from the first tap of the first output pixel onwards.
    pub input: &'a [f32],
    pub in_row: usize,
    /// `[height, width, channels]`, before the activation.
    pub grad: &'a [f32],
    pub height: usize,
    pub width: usize,
}

/// Adds a depthwise convolution's gradient for its weights to `weights [k · k, channels]`.
pub fn depthwise_weights(kernels: Kernels, g: &DepthwiseWeights, weights: &mut [f32]) {
    let c = g.channels;
    if g.height == 0 || g.width == 0 {
        return;
    }
    let in_rows = (g.height - 1) * g.stride + g.kernel;
    let in_width = (g.width - 1) * g.stride + g.kernel;
    assert!(g.input.len() >= (in_rows - 1) * g.in_row + in_width * c, "input's size");
    assert!(g.grad.len() >= g.height * g.width * c, "gradient's size");
    assert_eq!(weights.len(), g.kernel * g.kernel * c, "weights' size");
    let call = DepthwiseGrad {
        input: g.input.as_ptr(),
        in_row: g.in_row,
        grad: g.grad.as_ptr(),
        height: g.height,
        width: g.width,
        channels: c,
        weights: weights.as_mut_ptr(),
    };
    // SAFETY: sizes as checked above.
    unsafe {
        match (g.kernel, g.stride) {
            (3, 1) => micro_grad::depthwise_grad::<3, 1>(kernels, &call),
            (3, 2) => micro_grad::depthwise_grad::<3, 2>(kernels, &call),
            (5, 1) => micro_grad::depthwise_grad::<5, 1>(kernels, &call),
            (5, 2) => micro_grad::depthwise_grad::<5, 2>(kernels, &call),
            _ => unreachable!("kernel size, see DepthwiseConv"),
        }
    }
}
