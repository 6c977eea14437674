//! The backward pass of one inverted bottleneck.

use std::cell::RefCell;
use std::ops::Range;

use classify_kernels::conv::{Activation, Grid, PackedConv, Run, Window};
use classify_kernels::depthwise::{DepthwiseConv, DepthwiseRun};
use classify_kernels::grad::{self, ConvGrad, DepthwiseWeights};
use classify_kernels::{AlignedBuf, Kernels};
use rayon::prelude::*;

use super::BlockSpec;
use super::block::{Block, Hidden, Images, Strip};
use super::parameters::{Parameters, Segment};
use super::shift::{Direction, seen, shift};
use super::spread::Spread;

/// Numbers of expanded activations in work at a time.
const TOGETHER: usize = 256 * 1024;

/// Memory of one thread, reused.
#[derive(Default)]
pub(super) struct Scratch {
    pub hidden: Hidden,
    pub shifted: AlignedBuf,
    grad_filtered: AlignedBuf,
    spread: AlignedBuf,
    grad_expanded: AlignedBuf,
}

thread_local! {
    pub(super) static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What the backward pass of one block needs.
pub(super) struct Backward<'a> {
    kernels: Kernels,
    spec: &'a BlockSpec,
    /// Frames of a clip, where frames are shifted before the expansion.
    shift: Option<usize>,
    layout: &'a Parameters,
    block: Block,
    images: Images,
    wants_x: bool,
    /// From the gradient of the projection's output to that of its input, and so on.
    project: PackedConv,
    depthwise: DepthwiseConv,
    expand: Option<PackedConv>,
}

/// Some images that fit into the cache, and their part of the gradients.
struct Group<'a> {
    images: Images,
    /// As the expansion sees them.
    x: &'a [f32],
    grad: &'a [f32],
    /// Empty where nobody wants it.
    grad_x: &'a mut [f32],
    gradient: &'a mut [f32],
}

impl<'a> Backward<'a> {
    pub(super) fn new(
        kernels: Kernels,
        spec: &'a BlockSpec,
        shift: Option<usize>,
        layout: &'a Parameters,
        folded: &[f32],
        images: Images,
        wants_x: bool,
    ) -> Self {
        let BlockSpec { input, output, hidden, kernel, .. } = *spec;
        let weights = |s: &Segment| &folded[s.weight.clone()];
        let expand = layout.expand.as_ref().filter(|_| wants_x);
        Self {
            kernels,
            spec,
            shift,
            layout,
            block: layout.block(kernels, spec, folded),
            images,
            wants_x,
            project: PackedConv::transposed(kernels, [1, hidden, output], weights(&layout.project)),
            depthwise: DepthwiseConv::flipped(kernels, kernel, weights(&layout.depthwise)),
            expand: expand.map(|s| PackedConv::transposed(kernels, [1, input, hidden], weights(s))),
        }
    }

    /// The images `range`: their part of the gradients. `grad_x` is theirs alone, and not written
    /// where nobody wants it.
    pub(super) fn piece(
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
        let spread = Spread::new(self.spec, self.images.height, self.images.width, &whole);
        s.spread.at_least(spread.len).fill(0.0);
        for first in range.clone().step_by(together) {
            let group = first..(first + together).min(range.end);
            let images = Images { n: group.len(), ..self.images };
            let x_at = (first - range.start) * from_image..;
            let mut shifted = std::mem::take(&mut s.shifted);
            let group = Group {
                images,
                x: seen(x, self.images, self.shift, group.clone(), &mut shifted),
                grad: &grad[group.start * to_image..group.end * to_image],
                grad_x: if self.wants_x { &mut grad_x[x_at][..images.len()] } else { &mut [] },
                gradient,
            };
            self.group(group, &spread, s);
            s.shifted = shifted;
        }
    }

    /// Forward to the projection's input, then all the way back.
    fn group(&self, mut group: Group, spread: &Spread, s: &mut Scratch) {
        let strip = self.block.whole(group.images, 0, group.images.n);
        strip.expand(group.x, &mut s.hidden.expanded);
        strip.filter(&s.hidden.expanded, &mut s.hidden.filtered);
        self.through_projection(&mut group, &strip, s);
        self.through_depthwise(&mut group, &strip, spread, s);
        self.through_expansion(group, s);
    }

    /// From `grad` to `grad_filtered`.
    fn through_projection(&self, group: &mut Group, strip: &Strip, s: &mut Scratch) {
        let BlockSpec { output, hidden, .. } = *self.spec;
        let to = Images { channels: hidden, ..strip.to };
        add_pixels(group.grad, &mut group.gradient[self.layout.project.bias.clone()]);
        let grad_filtered = s.grad_filtered.at_least(to.len());
        self.project.run(point(group.grad, strip.to, grad_filtered, to, None));
        let call = ConvGrad {
            window: Window::POINT,
            input: &s.hidden.filtered,
            from: to.grid(),
            cin: hidden,
            grad: group.grad,
            to: strip.to.grid(),
            cout: output,
        };
        let weights = &mut group.gradient[self.layout.project.weight.clone()];
        grad::conv_weights(self.kernels, &call, 0..to.n * to.height, weights);
        grad::unclamp(
            self.kernels,
            grad_filtered,
            &s.hidden.filtered,
            to.width * hidden,
            [to.n * to.height, to.width],
            Activation::Relu6,
            &mut group.gradient[self.layout.depthwise.bias.clone()],
        );
    }

    /// From `grad_filtered` to `grad_expanded`.
    fn through_depthwise(&self, group: &mut Group, strip: &Strip, spread: &Spread, s: &mut Scratch) {
        let BlockSpec { hidden, kernel, stride, .. } = *self.spec;
        let to = Images { channels: hidden, ..strip.to };
        let from = Images { channels: hidden, ..group.images };
        let (area, from_area) = (to.height * to.width, from.height * from.width);
        let grad_filtered = s.grad_filtered.at_least(to.len());
        let grad_expanded = s.grad_expanded.at_least(from.len());
        let padded = strip.padded * strip.row;
        for n in 0..from.n {
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
            let weights = &mut group.gradient[self.layout.depthwise.weight.clone()];
            grad::depthwise_weights(self.kernels, &call, weights);
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
                    self.kernels,
                    grad_expanded,
                    &expanded[strip.pad[0] * strip.row + strip.pad[1] * hidden..],
                    strip.row,
                    [from.height, from.width],
                    Activation::Relu6,
                    &mut group.gradient[expand.bias.clone()],
                );
            }
        }
    }

    /// From `grad_expanded` to `grad_x`.
    fn through_expansion(&self, group: Group, s: &mut Scratch) {
        let Group { images, x, grad, grad_x, gradient } = group;
        let BlockSpec { input, hidden, .. } = *self.spec;
        let from = Images { channels: hidden, ..images };
        let grad_expanded = s.grad_expanded.at_least(from.len());
        // Where frames are shifted the residual joins after they are shifted back.
        let residual = (self.block.residual && self.shift.is_none()).then_some(grad);
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
            grad::conv_weights(self.kernels, &call, 0..images.n * images.height, weights);
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

    /// The kernels' order `[k · k, channels]` to PyTorch's `[channels, k · k]`.
    pub(super) fn reorder_depthwise(&self, gradient: &mut [f32]) {
        let BlockSpec { hidden, kernel, .. } = *self.spec;
        let weights = &mut gradient[self.layout.depthwise.weight.clone()];
        let ours = weights.to_vec();
        for (i, w) in weights.iter_mut().enumerate() {
            *w = ours[i % (kernel * kernel) * hidden + i / (kernel * kernel)];
        }
    }

    /// Shifts the frames' gradients back and adds what came by the residual connection.
    pub(super) fn unshift(&self, shifted: &[f32], grad: &[f32], clip: usize) -> Vec<f32> {
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
