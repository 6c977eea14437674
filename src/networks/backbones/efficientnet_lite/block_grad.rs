//! One inverted bottleneck as a single differentiable operator.
//!
//! Only the block's input and output live in the graph: the backward pass computes the expanded
//! activations again, a few images at a time, and they never leave the caches.

use super::block::{Block, Hidden, Images};
use super::shift::{Direction, shift};
use super::{BlockSpec, Weights};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use classify_kernels::conv::{Activation, Grid, PackedConv, Run, Window};
use classify_kernels::depthwise::{DepthwiseConv, DepthwiseRun};
use classify_kernels::grad::{self, ConvGrad, DepthwiseWeights};
use classify_kernels::{AlignedBuf, Kernels, Numbers, slice};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Numbers of expanded activations in work at a time, and most parts that a batch is cut into.
const TOGETHER: usize = 256 * 1024;
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

/// Where one convolution's numbers lie in the block's flat vector.
struct Segment {
    weight: Range<usize>,
    /// Batch normalisation, as a factor and a bias for each output channel.
    scale: Range<usize>,
    bias: Range<usize>,
}

/// A block's parameters in one vector: weights, scales and biases of expansion (where there is
/// one), depthwise convolution and projection.
struct Parameters {
    expand: Option<Segment>,
    depthwise: Segment,
    project: Segment,
    len: usize,
}

impl Parameters {
    fn of(spec: &BlockSpec) -> Self {
        let mut len = 0;
        let mut take = |n: usize| {
            len += n;
            len - n..len
        };
        let mut segment = |weights, out| Segment { weight: take(weights), scale: take(out), bias: take(out) };
        let BlockSpec { input, output, hidden, kernel, .. } = *spec;
        Self {
            expand: spec.expands().then(|| segment(hidden * input, hidden)),
            depthwise: segment(hidden * kernel * kernel, hidden),
            project: segment(output * hidden, output),
            len,
        }
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.expand.iter().chain([&self.depthwise, &self.project])
    }

    /// The vector with each weight multiplied by its channel's scale.
    fn fold(&self, parameters: &[f32]) -> Vec<f32> {
        let mut folded = parameters.to_vec();
        for s in self.segments() {
            let row = s.weight.len() / s.scale.len();
            for (weights, scale) in folded[s.weight.clone()].chunks_exact_mut(row).zip(s.scale.clone()) {
                weights.iter_mut().for_each(|w| *w *= parameters[scale]);
            }
        }
        folded
    }

    /// From the gradients for the folded weights to those for weights and scales.
    fn unfold(&self, parameters: &[f32], gradient: &mut [f32]) {
        for s in self.segments() {
            let row = s.weight.len() / s.scale.len();
            for (o, scale) in s.scale.clone().enumerate() {
                let range = s.weight.start + o * row..s.weight.start + (o + 1) * row;
                let (weights, gradients) = (&parameters[range.clone()], &mut gradient[range]);
                let sum = weights.iter().zip(gradients.iter()).map(|(w, g)| w * g).sum();
                gradients.iter_mut().for_each(|g| *g *= parameters[scale]);
                gradient[scale] = sum;
            }
        }
    }
}

impl Segment {
    fn weights<'a>(&self, folded: &'a [f32]) -> Weights<'a> {
        Weights { weight: &folded[self.weight.clone()], bias: &folded[self.bias.clone()] }
    }
}

/// Memory of one thread, reused.
#[derive(Default)]
struct Scratch {
    hidden: Hidden,
    shifted: AlignedBuf,
    grad_filtered: AlignedBuf,
    spread: AlignedBuf,
    grad_expanded: AlignedBuf,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
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

    fn block(&self, parameters: &Parameters, folded: &[f32]) -> Block {
        Block::new(
            self.kernels,
            &self.spec,
            parameters.expand.as_ref().map(|s| s.weights(folded)),
            parameters.depthwise.weights(folded),
            parameters.project.weights(folded),
        )
    }

    /// The images `range` as the expansion sees them.
    fn seen<'a>(
        &self,
        x: &'a [f32],
        images: Images,
        range: Range<usize>,
        shifted: &'a mut AlignedBuf,
    ) -> &'a [f32] {
        let image = Images { n: 1, ..images }.len();
        match self.shift {
            None => &x[range.start * image..range.end * image],
            Some(clip) => {
                let shifted = shifted.at_least(range.len() * image);
                shift(x, images, range, clip, Direction::Forward, shifted);
                shifted
            }
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
        let block = self.block(&layout, &folded);
        let to = block.shape(images);
        let mut y = vec![0.0; to.len()];
        let together = images.n.div_ceil(rayon::current_num_threads()).clamp(1, PIECE);
        let (from_image, to_image) = (images.len() / images.n, to.len() / to.n);
        y.par_chunks_mut(together * to_image).enumerate().for_each(|(i, y)| {
            let mut s = SCRATCH.take();
            let n = y.len() / to_image;
            let range = i * together..i * together + n;
            let input = self.seen(x, images, range.clone(), &mut s.shifted);
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
        let backward = Backward::new(self, &layout, &folded, images, wants_x);

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

/// What the backward pass of one block needs.
struct Backward<'a> {
    op: &'a BlockOp,
    layout: &'a Parameters,
    block: Block,
    images: Images,
    wants_x: bool,
    /// From the gradient of the projection's output to that of its input, and so on.
    project: PackedConv,
    depthwise: DepthwiseConv,
    expand: Option<PackedConv>,
}

impl<'a> Backward<'a> {
    fn new(op: &'a BlockOp, layout: &'a Parameters, folded: &[f32], images: Images, wants_x: bool) -> Self {
        let BlockSpec { input, output, hidden, kernel, .. } = op.spec;
        let kernels = op.kernels;
        let weights = |s: &Segment| &folded[s.weight.clone()];
        let expand = layout.expand.as_ref().filter(|_| wants_x);
        Self {
            op,
            layout,
            block: op.block(layout, folded),
            images,
            wants_x,
            project: PackedConv::transposed(kernels, [1, hidden, output], weights(&layout.project)),
            depthwise: DepthwiseConv::flipped(kernels, kernel, weights(&layout.depthwise)),
            expand: expand.map(|s| PackedConv::transposed(kernels, [1, input, hidden], weights(s))),
        }
    }

    /// The images `range`: their part of the gradients. `grad_x` is theirs alone, and not written
    /// where nobody wants it.
    fn piece(
        &self,
        range: Range<usize>,
        x: &[f32],
        grad: &[f32],
        grad_x: &mut [f32],
        gradient: &mut [f32],
        s: &mut Scratch,
    ) {
        let to = self.block.shape(self.images);
        let (from_image, to_image) = (self.images.len() / self.images.n, to.len() / to.n);
        let whole = self.block.whole(self.images, 0, 1);
        let together = (TOGETHER / (whole.padded * whole.row)).clamp(1, range.len());
        // The border between the pixels of a spread gradient stays zero from image to image.
        let spread = self.spread();
        s.spread.at_least(spread.len).fill(0.0);
        for first in range.clone().step_by(together) {
            let group = first..(first + together).min(range.end);
            let x_at = (first - range.start) * from_image..;
            let grad = &grad[group.start * to_image..group.end * to_image];
            let mut shifted = std::mem::take(&mut s.shifted);
            let seen = self.op.seen(x, self.images, group.clone(), &mut shifted);
            let images = Images { n: group.len(), ..self.images };
            let grad_x = if self.wants_x { &mut grad_x[x_at][..images.len()] } else { &mut [] };
            self.group(images, seen, grad, grad_x, gradient, &spread, s);
            s.shifted = shifted;
        }
    }

    /// Some images that fit into the cache: forward to the projection's input, then all the way
    /// back.
    #[allow(clippy::too_many_arguments)]
    fn group(
        &self,
        images: Images,
        x: &[f32],
        grad: &[f32],
        grad_x: &mut [f32],
        gradient: &mut [f32],
        spread: &Spread,
        s: &mut Scratch,
    ) {
        let kernels = self.op.kernels;
        let BlockSpec { input, output, hidden, kernel, stride } = self.op.spec;
        let strip = self.block.whole(images, 0, images.n);
        strip.expand(x, &mut s.hidden.expanded);
        strip.filter(&s.hidden.expanded, &mut s.hidden.filtered);

        let to = Images { channels: hidden, ..strip.to };
        let area = to.height * to.width;
        add_pixels(grad, &mut gradient[self.layout.project.bias.clone()]);
        let grad_filtered = s.grad_filtered.at_least(to.len());
        self.project.run(point(grad, strip.to, grad_filtered, to, None));
        let project = ConvGrad {
            window: Window::POINT,
            input: &s.hidden.filtered,
            from: to.grid(),
            cin: hidden,
            grad,
            to: strip.to.grid(),
            cout: output,
        };
        let weights = &mut gradient[self.layout.project.weight.clone()];
        grad::conv_weights(kernels, &project, 0..images.n * to.height, weights);
        grad::unclamp(
            kernels,
            grad_filtered,
            &s.hidden.filtered,
            to.width * hidden,
            [to.n * to.height, to.width],
            Activation::Relu6,
            &mut gradient[self.layout.depthwise.bias.clone()],
        );

        let from = Images { channels: hidden, ..images };
        let from_area = from.height * from.width;
        let grad_expanded = s.grad_expanded.at_least(from.len());
        let padded = strip.padded * strip.row;
        for n in 0..images.n {
            let grad_filtered = &grad_filtered[n * area * hidden..][..area * hidden];
            let expanded = &s.hidden.expanded[n * padded..];
            let call = DepthwiseWeights {
                kernel,
                stride,
                channels: hidden,
                input: expanded,
                in_row: strip.row,
                grad: grad_filtered,
                height: to.height,
                width: to.width,
            };
            let weights = &mut gradient[self.layout.depthwise.weight.clone()];
            grad::depthwise_weights(kernels, &call, weights);
            if self.layout.expand.is_none() && !self.wants_x {
                continue;
            }
            spread.fill(grad_filtered, &mut s.spread);
            let grad_expanded = &mut grad_expanded[n * from_area * hidden..][..from_area * hidden];
            self.depthwise.run(DepthwiseRun {
                input: &s.spread,
                in_row: spread.row,
                output: grad_expanded,
                out_row: from.width * hidden,
                height: from.height,
                width: from.width,
                activation: Activation::None,
            });
            if let Some(expand) = &self.layout.expand {
                grad::unclamp(
                    kernels,
                    grad_expanded,
                    &expanded[strip.pad[0] * strip.row + strip.pad[1] * hidden..],
                    strip.row,
                    [from.height, from.width],
                    Activation::Relu6,
                    &mut gradient[expand.bias.clone()],
                );
            }
        }

        // Where frames are shifted the residual joins after they are shifted back.
        let residual = (self.block.residual && self.op.shift.is_none()).then_some(grad);
        if let Some(expand) = &self.layout.expand {
            let call = ConvGrad {
                window: Window::POINT,
                input: x,
                from: images.grid(),
                cin: input,
                grad: grad_expanded,
                to: from.grid(),
                cout: hidden,
            };
            let weights = &mut gradient[expand.weight.clone()];
            grad::conv_weights(kernels, &call, 0..images.n * images.height, weights);
        } else if self.wants_x {
            grad_x.copy_from_slice(grad_expanded);
            if let Some(residual) = residual {
                grad_x.iter_mut().zip(residual).for_each(|(x, g)| *x += g);
            }
        }
        if let Some(expand) = &self.expand {
            let residual = residual.map(|grad| (grad, images.grid()));
            expand.run(point(grad_expanded, from, grad_x, images, residual));
        }
    }

    /// How a gradient is spread for the flipped depthwise convolution.
    fn spread(&self) -> Spread {
        let BlockSpec { hidden, kernel, stride, .. } = self.op.spec;
        let whole = self.block.whole(self.images, 0, 1);
        let row = (self.images.width + kernel - 1) * hidden;
        Spread {
            channels: hidden,
            stride,
            width: whole.to.width,
            first: (kernel - 1 - whole.pad[0]) * row + (kernel - 1 - whole.pad[1]) * hidden,
            row,
            len: (self.images.height + kernel - 1) * row,
        }
    }

    /// The kernels' order `[k · k, channels]` to PyTorch's `[channels, k · k]`.
    fn reorder_depthwise(&self, gradient: &mut [f32]) {
        let BlockSpec { hidden, kernel, .. } = self.op.spec;
        let weights = &mut gradient[self.layout.depthwise.weight.clone()];
        let ours = weights.to_vec();
        for (i, w) in weights.iter_mut().enumerate() {
            *w = ours[i % (kernel * kernel) * hidden + i / (kernel * kernel)];
        }
    }

    /// Shifts the frames' gradients back and adds what came by the residual connection.
    fn unshift(&self, shifted: &[f32], grad: &[f32], clip: usize) -> Vec<f32> {
        let image = self.images.len() / self.images.n;
        let mut grad_x = vec![0.0; shifted.len()];
        grad_x.par_chunks_mut(image).enumerate().for_each(|(n, grad_x)| {
            shift(shifted, self.images, n..n + 1, clip, Direction::Back, grad_x);
            if self.block.residual {
                grad_x.iter_mut().zip(&grad[n * image..]).for_each(|(x, g)| *x += g);
            }
        });
        grad_x
    }
}

/// A gradient `[height, width, channels]` with zeros around it and, for stride 2, between its
/// pixels.
struct Spread {
    channels: usize,
    stride: usize,
    width: usize,
    /// Where the first pixel lies, and the length of a row and of the whole.
    first: usize,
    row: usize,
    len: usize,
}

impl Spread {
    fn fill(&self, grad: &[f32], spread: &mut [f32]) {
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

/// A 1×1 convolution without activation.
fn point<'a>(
    input: &'a [f32],
    from: Images,
    output: &'a mut [f32],
    to: Images,
    residual: Option<(&'a [f32], Grid)>,
) -> Run<'a> {
    Run {
        window: Window::POINT,
        transposed: false,
        input,
        from: from.grid(),
        output,
        to: to.grid(),
        residual,
        activation: Activation::None,
    }
}

/// Adds all pixels to `sum [channels]`.
fn add_pixels(pixels: &[f32], sum: &mut [f32]) {
    for pixel in pixels.chunks_exact(sum.len()) {
        sum.iter_mut().zip(pixel).for_each(|(s, x)| *s += x);
    }
}
