//! The kernels as differentiable operators on candle tensors, `f32` on the CPU.

use crate::call::{MAX_INPUTS, Run};
use crate::conv::PackedConv;
use crate::grad::{self, ConvGrad};
use crate::instructions::Kernels;
use crate::numbers::{Numbers, slice};
use crate::shape::{Activation, Grid, Window};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// Parts of a batch whose gradients are summed apart: a fixed number, so that the result doesn't
/// depend on the threads.
const PIECES: usize = 4;

/// Convolution with SAME padding, an affine map of each output channel (a batch normalisation's)
/// and an activation.
///
/// `x [N, D, H, W, I]`, `weight [O, I, kd, kh, kw]`, `scale [O]`, `bias [O]` to
/// `[N, D', H', W', O]` with `D' = D / stride[0]` rounded up, and so on: images have `D = kd = 1`.
///
/// # Errors
/// Shapes that don't fit, a stride of 0, more than 4096 channels in or out, tensors that are not `f32` on the CPU,
/// or a CPU that lacks the instructions.
pub fn conv(
    kernels: Kernels,
    x: &Tensor,
    weight: &Tensor,
    (scale, bias): (&Tensor, &Tensor),
    stride: [usize; 3],
    activation: Activation,
) -> Result<Tensor> {
    let op = ConvOp { kernels: kernels.checked()?, stride, activation };
    let affine = Tensor::cat(&[scale, bias], 0)?;
    x.contiguous()?.apply_op3(&weight.contiguous()?, &affine, op)
}

struct ConvOp {
    kernels: Kernels,
    stride: [usize; 3],
    activation: Activation,
}

/// Sizes of one convolution.
struct Sizes {
    window: Window,
    from: Grid,
    to: Grid,
    cin: usize,
    cout: usize,
}

impl Sizes {
    /// `[taps, cin, cout]`
    fn weight(&self) -> [usize; 3] {
        [self.window.taps(), self.cin, self.cout]
    }
}

impl ConvOp {
    fn sizes(&self, x: &[usize], weight: &[usize], affine: &[usize]) -> Result<Sizes> {
        match (x, weight) {
            (&[n, d, h, w, cin], &[cout, weight_cin, kd, kh, kw])
                if cin == weight_cin
                    && affine == [2 * cout]
                    && ![n, d, h, w, cin, cout, kd, kh, kw].contains(&0)
                    && !self.stride.contains(&0)
                    && cin.max(cout) <= MAX_INPUTS =>
            {
                let (window, [to_d, to_h, to_w]) = Window::same([kd, kh, kw], self.stride, [d, h, w]);
                let from = Grid::dense([n, d, h, w], cin);
                let to = Grid::dense([n, to_d, to_h, to_w], cout);
                Ok(Sizes { window, from, to, cin, cout })
            }
            _ => bail!("convolution of {x:?} with {weight:?} and {affine:?}, stride {:?}", self.stride),
        }
    }
}

/// Each output channel's weights times its scale.
fn fold(weight: &[f32], scale: &[f32]) -> Vec<f32> {
    let row = weight.len() / scale.len();
    let mut folded = weight.to_vec();
    for (weights, scale) in folded.chunks_exact_mut(row).zip(scale) {
        weights.iter_mut().for_each(|w| *w *= scale);
    }
    folded
}

impl CustomOp3 for ConvOp {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        affine: &CpuStorage,
        affine_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes =
            self.sizes(x_layout.shape().dims(), weight_layout.shape().dims(), affine_layout.shape().dims())?;
        let (scale, bias) = slice(affine, affine_layout)?.split_at(sizes.cout);
        let weight = fold(slice(weight, weight_layout)?, scale);
        let conv = PackedConv::from_torch(self.kernels, sizes.weight(), &weight, bias);
        let mut y = vec![0.0; sizes.to.len(sizes.cout)];
        conv.run_parallel(Run {
            window: sizes.window,
            transposed: false,
            input: slice(x, x_layout)?,
            from: sizes.from,
            output: &mut y,
            to: sizes.to,
            residual: None,
            activation: self.activation,
        });
        let [n, d, h, w] = sizes.to.dims;
        Ok((CpuStorage::F32(y), Shape::from((n, d, h, w, sizes.cout))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        affine: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = self.sizes(x.dims(), weight.dims(), affine.dims())?;
        let (cin, cout, to) = (sizes.cin, sizes.cout, sizes.to);
        let mut grad = grad.flatten_all()?.to_vec1::<f32>()?;
        let (input, output) = (Numbers::of(x)?, Numbers::of(y)?);
        let (unfolded, affine_numbers) = (Numbers::of(weight)?, Numbers::of(affine)?);

        // Per piece of the output's rows: gradients of the folded weights [taps, out, in] and bias.
        let rows = to.dims[0] * to.dims[1] * to.dims[2];
        let row = to.strides[2];
        let piece = rows.div_ceil(PIECES);
        let biases: Vec<Vec<f32>> = grad
            .par_chunks_mut(piece * row)
            .zip(output.par_chunks(piece * row))
            .map(|(grad, output)| {
                let mut bias = vec![0.0; cout];
                let size = [grad.len() / row, to.dims[3]];
                grad::unclamp(self.kernels, grad, output, row, size, self.activation, &mut bias);
                bias
            })
            .collect();
        let call =
            ConvGrad { window: sizes.window, input: &input, from: sizes.from, cin, grad: &grad, to, cout };
        let weights: Vec<Vec<f32>> = (0..biases.len())
            .into_par_iter()
            .map(|i| {
                let mut weights = vec![0.0; unfolded.len()];
                let rows = i * piece..((i + 1) * piece).min(rows);
                grad::conv_weights(self.kernels, &call, rows, &mut weights);
                weights
            })
            .collect();

        let (scale, _) = affine_numbers.split_at(cout);
        let taps = sizes.window.taps();
        let mut grad_weight = vec![0.0; unfolded.len()];
        let mut grad_affine = vec![0.0; 2 * cout];
        let (grad_scale, grad_bias) = grad_affine.split_at_mut(cout);
        for bias in &biases {
            grad_bias.iter_mut().zip(bias).for_each(|(b, x)| *b += x);
        }
        let per_out = cin * taps;
        grad_weight.par_chunks_mut(per_out).zip(grad_scale).enumerate().for_each(
            |(o, (grads, scale_grad))| {
                for (j, g) in grads.iter_mut().enumerate() {
                    let (i, tap) = (j / taps, j % taps);
                    let folded: f32 = weights.iter().map(|w| w[(tap * cout + o) * cin + i]).sum();
                    *scale_grad += folded * unfolded[o * per_out + j];
                    *g = folded * scale[o];
                }
            },
        );
        let device = x.device();
        let grad_x = if x.track_op() {
            let transposed = PackedConv::transposed(self.kernels, sizes.weight(), &fold(&unfolded, scale));
            let mut grad_x = vec![0.0; input.len()];
            transposed.run_parallel(Run {
                window: sizes.window,
                transposed: true,
                input: &grad,
                from: to,
                output: &mut grad_x,
                to: sizes.from,
                residual: None,
                activation: Activation::None,
            });
            Some(Tensor::from_vec(grad_x, x.shape(), device)?)
        } else {
            None
        };
        Ok((
            grad_x,
            Some(Tensor::from_vec(grad_weight, weight.shape(), device)?),
            Some(Tensor::from_vec(grad_affine, 2 * cout, device)?),
        ))
    }
}
