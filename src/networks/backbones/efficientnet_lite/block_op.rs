//! One inverted bottleneck as a single differentiable operator.
//!
//! Only the block's input and output live in the graph: the backward pass computes the expanded
//! activations again, a few images at a time, and they never leave the caches.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use classify_kernels::{Kernels, Numbers, slice};
use rayon::prelude::*;

use super::BlockSpec;
use super::backward::{Backward, SCRATCH};
use super::block::Images;
use super::parameters::Parameters;
use super::shift::seen;

/// Most parts that a batch is cut into.
const PIECES: usize = 16;
/// Images of a piece, where there are so many.
const PIECE: usize = 4;

/// `x [N, H, W, input]` and the block's parameters, see [`Parameters`], to `[N, H', W', output]`.
pub(super) struct BlockOp {
    pub kernels: Kernels,
    pub spec: BlockSpec,
    /// Frames of a clip, where frames are shifted before the expansion.
    pub shift: Option<usize>,
}

impl BlockOp {
    /// `parameters`: weight, scale and bias of each convolution, in their order.
    pub(super) fn apply(self, x: &Tensor, parameters: &[&Tensor]) -> Result<Tensor> {
        let flat = parameters.iter().map(|t| t.flatten_all()).collect::<Result<Vec<_>>>()?;
        let flat = Tensor::cat(&flat, 0)?;
        if flat.elem_count() != Parameters::of(&self.spec).len {
            bail!("block {:?} has not {} parameters", self.spec, flat.elem_count());
        }
        x.contiguous()?.apply_op2(&flat, self)
    }

    fn images(&self, shape: &[usize]) -> Result<Images> {
        match *shape {
            [n, height, width, channels]
                if channels == self.spec.input
                    && n * height * width > 0
                    && self.shift.is_none_or(|clip| clip > 0 && n % clip == 0) =>
            {
                Ok(Images { n, height, width, channels })
            }
            _ => bail!(
                "a block wants [N, H, W, {}] and whole clips of {:?} frames, not {shape:?}",
                self.spec.input,
                self.shift
            ),
        }
    }
}

impl CustomOp2 for BlockOp {
    fn name(&self) -> &'static str {
        "inverted-bottleneck"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let images = self.images(x_layout.shape().dims())?;
        let x = slice(x, x_layout)?;
        let layout = Parameters::of(&self.spec);
        let folded = layout.fold(slice(parameters, parameters_layout)?);
        let block = layout.block(self.kernels, &self.spec, &folded);
        let to = block.shape(images);
        let mut y = vec![0.0; to.len()];
        let together = images.n.div_ceil(rayon::current_num_threads()).clamp(1, PIECE);
        let (from_image, to_image) = (images.len() / images.n, to.len() / to.n);
        y.par_chunks_mut(together * to_image).enumerate().for_each(|(i, y)| {
            let mut s = SCRATCH.take();
            let n = y.len() / to_image;
            let range = i * together..i * together + n;
            let input = seen(x, images, self.shift, range.clone(), &mut s.shifted);
            let residual = &x[range.start * from_image..range.end * from_image];
            block.run(Images { n, ..images }, input, residual, y, &mut s.hidden);
            SCRATCH.set(s);
        });
        Ok((CpuStorage::F32(y), Shape::from((to.n, to.height, to.width, to.channels))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let images = self.images(x.dims())?;
        let (wants_x, shape) = (x.track_op(), x.shape());
        let grad = grad.contiguous()?;
        let (x, flat, grad) = (Numbers::of(x)?, Numbers::of(parameters)?, Numbers::of(&grad)?);
        let layout = Parameters::of(&self.spec);
        let folded = layout.fold(&flat);
        let backward = Backward::new(self.kernels, &self.spec, self.shift, &layout, &folded, images, wants_x);

        // Each piece of the batch has a gradient vector of its own; summed in a fixed order they
        // give the same result on any number of threads.
        let piece = images.n.div_ceil(images.n.div_ceil(PIECE).min(PIECES));
        let image = images.len() / images.n;
        let mut grad_x = vec![0.0; if wants_x { images.len() } else { images.n.div_ceil(piece) }];
        let chunk = if wants_x { piece * image } else { 1 };
        let pieces: Vec<Vec<f32>> = grad_x
            .par_chunks_mut(chunk)
            .enumerate()
            .map(|(i, grad_x)| {
                let range = i * piece..((i + 1) * piece).min(images.n);
                let mut gradient = vec![0.0; layout.len];
                let mut s = SCRATCH.take();
                backward.piece(range, &x, &grad, grad_x, &mut gradient, &mut s);
                SCRATCH.set(s);
                gradient
            })
            .collect();
        let mut gradient = sum(pieces);
        backward.reorder_depthwise(&mut gradient);
        layout.unfold(&flat, &mut gradient);
        let device = parameters.device();
        let gradient = Tensor::from_vec(gradient, layout.len, device)?;
        if !wants_x {
            return Ok((None, Some(gradient)));
        }
        if let Some(clip) = self.shift {
            grad_x = backward.unshift(&grad_x, &grad, clip);
        }
        Ok((Some(Tensor::from_vec(grad_x, shape, device)?), Some(gradient)))
    }
}

/// The first of some vectors plus the others.
fn sum(vectors: Vec<Vec<f32>>) -> Vec<f32> {
    let mut vectors = vectors.into_iter();
    let mut total = vectors.next().unwrap_or_default();
    let others: Vec<Vec<f32>> = vectors.collect();
    total.par_chunks_mut(64 * 1024).enumerate().for_each(|(i, total)| {
        for other in &others {
            let other = &other[i * 64 * 1024..][..total.len()];
            total.iter_mut().zip(other).for_each(|(t, x)| *t += x);
        }
    });
    total
}
