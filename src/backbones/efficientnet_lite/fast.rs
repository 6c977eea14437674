//! The fast path on the CPU. Every thread takes whole frames through the whole network, so that
//! nothing waits between layers; a block's expanded activations exist only for a strip of rows at
//! a time and stay in the core's own cache.

use super::{FEATURES, Folded, FoldedNetwork, STEM};
use crate::kernels::conv::{Activation, Grid, PackedConv, Run, Window};
use crate::kernels::depthwise::{DepthwiseConv, DepthwiseRun};
use crate::kernels::{AlignedBuf, Kernels};
use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;
use std::cell::RefCell;

/// Frames that go through the network together: the deep layers have few pixels a frame, and each
/// of their weights should serve several tiles once it is in the cache.
const GROUP: usize = 4;
/// Numbers of expanded activations at a time: half of a common level-2 cache.
const STRIP: usize = 96 * 1024;

struct Block {
    expand: Option<PackedConv>,
    depthwise: DepthwiseConv,
    project: PackedConv,
    residual: bool,
}

/// The network with its weights packed for the kernels.
pub(super) struct Network {
    stem: PackedConv,
    blocks: Vec<Block>,
    head: PackedConv,
}

/// Memory of one thread, reused by all later frames.
#[derive(Default)]
struct Scratch {
    input: AlignedBuf,
    output: AlignedBuf,
    expanded: AlignedBuf,
    filtered: AlignedBuf,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A batch of images `[n, height, width, channels]` without gaps.
#[derive(Clone, Copy)]
struct Images {
    n: usize,
    height: usize,
    width: usize,
    channels: usize,
}

impl Images {
    fn grid(self) -> Grid {
        Grid::dense([self.n, 1, self.height, self.width], self.channels)
    }

    fn len(self) -> usize {
        self.n * self.height * self.width * self.channels
    }
}

fn pack(kernels: Kernels, folded: &Folded) -> Result<PackedConv> {
    let (out, input, kh, kw) = folded.weight.dims4()?;
    let (weight, bias) = folded.numbers()?;
    Ok(PackedConv::from_torch(kernels, [kh * kw, input, out], &weight, &bias))
}

impl Network {
    pub(super) fn new(kernels: Kernels, network: &FoldedNetwork) -> Result<Self> {
        let blocks = network.blocks.iter().map(|block| {
            let (weight, bias) = block.depthwise.numbers()?;
            let spec = block.spec;
            Ok(Block {
                expand: block.expand.as_ref().map(|e| pack(kernels, e)).transpose()?,
                depthwise: DepthwiseConv::from_torch(kernels, spec.kernel, spec.stride, &weight, &bias),
                project: pack(kernels, &block.project)?,
                residual: spec.residual(),
            })
        });
        Ok(Self {
            blocks: blocks.collect::<Result<_>>()?,
            stem: pack(kernels, &network.stem)?,
            head: pack(kernels, &network.head)?,
        })
    }

    /// `f32 [T, H, W, 3]` to `f32 [T, 1280]`.
    pub(super) fn forward(&self, window: &Tensor) -> Result<Tensor> {
        let (frames, height, width, _) = window.dims4()?;
        let pixels = window.flatten_all()?.to_vec1::<f32>()?;
        let frame = height * width * 3;
        let group = frames.div_ceil(rayon::current_num_threads()).clamp(1, GROUP);
        let mut features = vec![0.0; frames * FEATURES];
        features.par_chunks_mut(group * FEATURES).zip(pixels.par_chunks(group * frame)).for_each(
            |(features, pixels)| {
                let images = Images { n: features.len() / FEATURES, height, width, channels: 3 };
                SCRATCH.with_borrow_mut(|scratch| self.frames(pixels, images, features, scratch));
            },
        );
        Tensor::from_vec(features, (frames, FEATURES), &Device::Cpu)
    }

    /// Some frames on this thread.
    fn frames(&self, pixels: &[f32], images: Images, features: &mut [f32], s: &mut Scratch) {
        let kernel = [1, 3, 3];
        let (window, [_, height, width]) = Window::same(kernel, [1, 2, 2], [1, images.height, images.width]);
        let mut shape = Images { height, width, channels: STEM, ..images };
        self.stem.run(Run {
            window,
            transposed: false,
            input: pixels,
            from: images.grid(),
            output: s.input.at_least(shape.len()),
            to: shape.grid(),
            residual: None,
            activation: Activation::Relu6,
        });
        for block in &self.blocks {
            shape = block.run(shape, s);
            std::mem::swap(&mut s.input, &mut s.output);
        }
        let head = Images { channels: FEATURES, ..shape };
        let activations = s.expanded.at_least(head.len());
        self.head.run(Run {
            window: Window::POINT,
            transposed: false,
            input: &s.input,
            from: shape.grid(),
            output: activations,
            to: head.grid(),
            residual: None,
            activation: Activation::Relu6,
        });
        let area = shape.height * shape.width;
        for (feature, image) in
            features.chunks_exact_mut(FEATURES).zip(activations.chunks_exact(area * FEATURES))
        {
            feature.fill(0.0);
            for pixel in image.chunks_exact(FEATURES) {
                feature.iter_mut().zip(pixel).for_each(|(f, x)| *f += x);
            }
            feature.iter_mut().for_each(|f| *f /= area as f32);
        }
    }
}

impl Block {
    /// `s.input` of the given shape to `s.output`, whose shape is returned.
    fn run(&self, from: Images, s: &mut Scratch) -> Images {
        let (k, stride) = (self.depthwise.kernel, self.depthwise.stride);
        let (window, [_, height, width]) =
            Window::same([1, k, k], [1, stride, stride], [1, from.height, from.width]);
        let to = Images { height, width, channels: self.project.cout, ..from };
        s.output.at_least(to.len());
        let row = ((width - 1) * stride + k) * self.depthwise.channels;
        // Whole images where several fit, else as many rows of one as fit.
        let image = ((height - 1) * stride + k) * row;
        let together = (STRIP / image).clamp(1, from.n);
        let usual = (STRIP / (stride * row)).clamp(1, height);
        for first in (0..from.n).step_by(together) {
            for y in (0..height).step_by(usual) {
                let rows = usual.min(height - y);
                let strip = Strip {
                    block: self,
                    first,
                    together: together.min(from.n - first),
                    y,
                    rows,
                    usual,
                    padded: (rows - 1) * stride + k,
                    row,
                    from,
                    to,
                    pad: [window.pad[1], window.pad[2]],
                };
                strip.expand(s);
                strip.filter(s);
                strip.project(s);
            }
        }
        to
    }
}

/// Output rows `y..y + rows` of images `first..first + together`; more than one image only where
/// the strip is the whole image.
struct Strip<'a> {
    block: &'a Block,
    first: usize,
    together: usize,
    y: usize,
    rows: usize,
    /// Output rows of all strips but the last.
    usual: usize,
    /// Rows of expanded activations that the strip's windows see, padding included.
    padded: usize,
    /// Numbers in one of these rows.
    row: usize,
    from: Images,
    to: Images,
    /// Above and left of the image.
    pad: [usize; 2],
}

impl Strip<'_> {
    /// Fills `s.expanded [together, padded, row]`, border included. Rows shared with the strip
    /// before are moved, not computed again.
    fn expand(&self, s: &mut Scratch) {
        let conv = &self.block.depthwise;
        let [pad_top, pad_left] = self.pad;
        let image = self.padded * self.row;
        // Rows of the padded image, counted from `pad_top` above its first row.
        let top = self.y * conv.stride;
        let usual = (self.usual - 1) * conv.stride + conv.kernel;
        let expanded = s.expanded.at_least(self.together * image.max(usual * self.row));
        let shared = if self.y == 0 {
            0
        } else {
            let shared = conv.kernel - conv.stride;
            expanded.copy_within((usual - shared) * self.row..usual * self.row, 0);
            shared
        };
        let begin = (top + shared).max(pad_top);
        let end = (top + self.padded).min(pad_top + self.from.height);
        let interior = pad_left * conv.channels..(pad_left + self.from.width) * conv.channels;
        for expanded in expanded.chunks_exact_mut(image).take(self.together) {
            for (y, row) in expanded.chunks_exact_mut(self.row).enumerate().skip(shared) {
                if (begin..end).contains(&(top + y)) {
                    row[..interior.start].fill(0.0);
                    row[interior.end..].fill(0.0);
                } else {
                    row.fill(0.0);
                }
            }
        }
        if begin >= end {
            return;
        }
        let images = self.from.grid();
        let dims = [self.together, 1, end - begin, self.from.width];
        let from = Grid { dims, ..images };
        let to = Grid { dims, strides: [image, 0, self.row, conv.channels] };
        let start = self.first * images.strides[0] + (begin - pad_top) * images.strides[2];
        let input = &s.input[start..];
        let output = &mut expanded[(begin - top) * self.row + interior.start..];
        let Some(expand) = &self.block.expand else {
            let row = images.strides[2];
            for n in 0..self.together {
                for y in 0..end - begin {
                    output[n * image + y * self.row..][..row]
                        .copy_from_slice(&input[n * images.strides[0] + y * row..][..row]);
                }
            }
            return;
        };
        expand.run(Run {
            window: Window::POINT,
            transposed: false,
            input,
            from,
            output,
            to,
            residual: None,
            activation: Activation::Relu6,
        });
    }

    /// `s.expanded` to `s.filtered [together, rows, width, hidden]`.
    fn filter(&self, s: &mut Scratch) {
        let image = self.padded * self.row;
        let out_row = self.to.width * self.block.depthwise.channels;
        let out_image = self.rows * out_row;
        let filtered = s.filtered.at_least(self.together * out_image);
        for (n, output) in filtered.chunks_exact_mut(out_image).enumerate() {
            self.block.depthwise.run(DepthwiseRun {
                input: &s.expanded[n * image..],
                in_row: self.row,
                output,
                out_row,
                height: self.rows,
                width: self.to.width,
                activation: Activation::Relu6,
            });
        }
    }

    /// `s.filtered` to the strip's rows of `s.output`.
    fn project(&self, s: &mut Scratch) {
        let dims = [self.together, 1, self.rows, self.to.width];
        let images = self.to.grid();
        let to = Grid { dims, ..images };
        let start = self.first * images.strides[0] + self.y * images.strides[2];
        self.block.project.run(Run {
            window: Window::POINT,
            transposed: false,
            input: &s.filtered,
            from: Grid::dense(dims, self.block.depthwise.channels),
            output: &mut s.output[start..],
            to,
            residual: self.block.residual.then(|| (&s.input[start..], to)),
            activation: Activation::None,
        });
    }
}
