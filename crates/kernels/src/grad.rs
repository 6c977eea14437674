//! Gradients of the convolutions, on slices.
//!
//! The gradient for a convolution's input is a convolution again: see [`PackedConv::transposed`]
//! with [`Run::transposed`], and [`DepthwiseConv::flipped`].
//!
//! [`PackedConv::transposed`]: super::conv::PackedConv::transposed
//! [`Run::transposed`]: super::conv::Run::transposed
//! [`DepthwiseConv::flipped`]: super::depthwise::DepthwiseConv::flipped

use std::ops::Range;

use crate::instructions::Kernels;
use crate::micro::gradients::{self as micro, DepthwiseGrad, Outer, Unclamp};
use crate::shape::{Activation, Grid, Window, covered, product};

/// Pixels whose outer products are summed in registers at a time: their gradients fit into the
/// level-1 cache, a panel of channels at least.
const PIXELS: usize = 128;

/// What [`conv_weights`] reads.
#[derive(Clone, Copy)]
pub struct ConvGrad<'a> {
    /// Which inputs an output saw.
    pub window: Window,
    /// `[from, cin]`
    pub input: &'a [f32],
    /// Where the input's pixels lie.
    pub from: Grid,
    /// Input channels.
    pub cin: usize,
    /// Gradient of the output `[to, cout]`, before the activation.
    pub grad: &'a [f32],
    /// Where the output's pixels lie.
    pub to: Grid,
    /// Output channels.
    pub cout: usize,
}

/// Adds a convolution's gradient for its weights to `weights [taps, cout, cin]`, from output rows
/// `rows` (counted through volumes and planes).
///
/// # Panics
/// A slice is shorter than its grid, `weights` has another size, rows or volumes aren't there, or this CPU lacks
/// the instructions.
pub fn conv_weights(kernels: Kernels, g: &ConvGrad, rows: Range<usize>, weights: &mut [f32]) {
    let kernels = kernels.expect_supported();
    let [n, d, h, w] = g.to.dims;
    let size = product(&[g.cin, g.cout]);
    assert_eq!(weights.len(), product(&[g.window.taps(), size]), "weights' size");
    g.window.check_span([d, h, w]);
    assert!(g.input.len() >= g.from.len(g.cin), "input's size");
    assert!(g.grad.len() >= g.to.len(g.cout), "gradient's size");
    assert!(rows.end <= product(&[n, d, h]) && n <= g.from.dims[0], "rows");
    if rows.is_empty() || size == 0 {
        return;
    }
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
            // SAFETY: both slices hold all pixels of their grids, and `weights` a product a tap, see above.
            unsafe { micro::outer_product(kernels, &call) }
        }
    }
}

/// Makes `grad [height, width, channels]` zero wherever `out`, the activations, stood at a limit,
/// and adds its sum over pixels to `bias [channels]`. Rows of `out` are `out_row` numbers apart.
///
/// # Panics
/// A slice is shorter than the sizes say, or this CPU lacks the instructions.
pub fn unclamp(
    kernels: Kernels,
    grad: &mut [f32],
    out: &[f32],
    out_row: usize,
    [height, width]: [usize; 2],
    activation: Activation,
    bias: &mut [f32],
) {
    let kernels = kernels.expect_supported();
    let channels = bias.len();
    if height == 0 || width == 0 {
        return;
    }
    let rows = Grid { dims: [1, 1, height, width], strides: [0, 0, out_row, channels] };
    assert!(grad.len() >= product(&[height, width, channels]), "gradient's size");
    assert!(out.len() >= rows.len(channels), "output's size");
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
    unsafe { micro::unclamp(kernels, &call) }
}

/// What [`depthwise_weights`] reads.
pub struct DepthwiseWeights<'a> {
    /// Side of the kernel, 3 or 5.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Channels, of the input as of the output.
    pub channels: usize,
    /// Padded, from the first tap of the first output pixel onwards.
    pub input: &'a [f32],
    /// Numbers from one input row to the next.
    pub in_row: usize,
    /// Gradient of the output `[height, width, channels]`, before the activation.
    pub grad: &'a [f32],
    /// Output rows.
    pub height: usize,
    /// Output pixels a row.
    pub width: usize,
}

/// Adds a depthwise convolution's gradient for its weights to `weights [k · k, channels]`.
///
/// # Panics
/// A kernel other than 3 or 5, a stride other than 1 or 2, slices that don't have the sizes, or a CPU that lacks
/// the instructions.
pub fn depthwise_weights(kernels: Kernels, g: &DepthwiseWeights, weights: &mut [f32]) {
    let kernels = kernels.expect_supported();
    let c = g.channels;
    if g.height == 0 || g.width == 0 {
        return;
    }
    let [in_height, in_width] = [g.height, g.width].map(|n| covered(n, g.stride, g.kernel));
    let rows = Grid { dims: [1, 1, in_height, in_width], strides: [0, 0, g.in_row, c] };
    assert!(g.input.len() >= rows.len(c), "input's size");
    assert!(g.grad.len() >= product(&[g.height, g.width, c]), "gradient's size");
    assert_eq!(weights.len(), product(&[g.kernel, g.kernel, c]), "weights' size");
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
            (3, 1) => micro::depthwise_grad::<3, 1>(kernels, &call),
            (3, 2) => micro::depthwise_grad::<3, 2>(kernels, &call),
            (5, 1) => micro::depthwise_grad::<5, 1>(kernels, &call),
            (5, 2) => micro::depthwise_grad::<5, 2>(kernels, &call),
            _ => panic!("kernel size"),
        }
    }
}
