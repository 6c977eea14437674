//! The fast path on the CPU. Every thread takes some frames through several layers at a time, so that
//! little waits and activations stay in the core's own cache.

use super::block::{Block, Hidden, Images};
use super::shift::{Direction, shift};
use super::{FEATURES, Normed, NormedNetwork, STEM};
use candle_core::{Device, Result, Tensor};
use classify_kernels::conv::{Activation, PackedConv, Run, Window};
use classify_kernels::depthwise::DepthwiseConv;
use classify_kernels::{AlignedBuf, Kernels, Numbers, Precision};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Most frames that go through some layers together: the deep layers have few pixels a frame, and each
/// of their weights should serve several tiles once it is in the cache.
const GROUP: usize = 4;

/// Most numbers that these frames may take between two layers: a common level-2 cache.
const NEAR: usize = 256 * 1024;

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
    hidden: Hidden,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
    /// All frames' activations where the threads meet.
    static BETWEEN: RefCell<[AlignedBuf; 2]> = RefCell::default();
}

/// A dense convolution with its normalisation folded in.
fn dense(kernels: Kernels, precision: Precision, conv: &Normed) -> Result<PackedConv> {
    let (out, input, kh, kw) = conv.weight.dims4()?;
    let (scale, bias): (Vec<f32>, Vec<f32>) = (conv.scale()?.to_vec1()?, conv.bias()?.to_vec1()?);
    let weight = Numbers::of(&conv.weight)?;
    let mut packed = PackedConv::from_torch(kernels, [kh * kw, input, out], &weight, &bias).scaled(&scale);
    // The stem sees the pixels themselves, and costs little.
    if [kh, kw] == [1, 1] {
        packed.set_precision(precision, [1; 3]);
    }
    Ok(packed)
}

/// The same for a depthwise one.
fn depthwise(kernels: Kernels, conv: &Normed, stride: usize) -> Result<DepthwiseConv> {
    let (_, _, k, _) = conv.weight.dims4()?;
    let (scale, bias): (Vec<f32>, Vec<f32>) = (conv.scale()?.to_vec1()?, conv.bias()?.to_vec1()?);
    let weight = Numbers::of(&conv.weight)?;
    Ok(DepthwiseConv::from_torch(kernels, k, stride, &weight, &bias).scaled(&scale))
}

impl Network {
    /// The 1×1 convolutions in `precision`.
    pub(super) fn new(kernels: Kernels, precision: Precision, network: &NormedNetwork) -> Result<Self> {
        let blocks = network.blocks.par_iter().map(|block| {
            Ok(Block {
                expand: block.expand.as_ref().map(|conv| dense(kernels, precision, conv)).transpose()?,
                depthwise: depthwise(kernels, &block.depthwise, block.spec.stride)?,
                project: dense(kernels, precision, &block.project)?,
                residual: block.spec.residual(),
            })
        });
        Ok(Self {
            blocks: blocks.collect::<Result<_>>()?,
            stem: dense(kernels, precision, &network.stem)?,
            head: dense(kernels, precision, &network.head)?,
        })
    }

    /// `f32 [T, H, W, 3]` to `f32 [T, 1280]`; `temporal_shift`: channels are shifted between the frames.
    ///
    /// The threads meet before every residual block. A shifted one needs its neighbours' output of the block
    /// before; and the deeper blocks' weights, larger than the images, stay in the cache for all frames.
    pub(super) fn forward(&self, window: &Tensor, temporal_shift: bool) -> Result<Tensor> {
        let (n, height, width, channels) = window.dims4()?;
        let window = window.contiguous()?;
        let pixels = Numbers::of(&window)?;
        let images = Images { n, height, width, channels };
        let mut shape = self.stem_shape(images);
        let [mut x, mut y] = BETWEEN.take();
        let residual = (1..self.blocks.len()).filter(|&i| self.blocks[i].residual);
        let mut first = 0;
        for end in residual.chain([self.blocks.len()]) {
            let blocks = &self.blocks[first..end];
            let to = blocks.iter().fold(shape, |shape, block| block.shape(shape));
            // A block gives hardly more than it takes.
            let group = NEAR / (shape.len() / n);
            each_group(n, group, y.at_least(to.len()), |range, output, s| {
                let group = Images { n: range.len(), ..shape };
                if first == 0 {
                    let pixels = &pixels[range.start * height * width * channels..];
                    self.stem(pixels, Images { n: range.len(), ..images }, s.input.at_least(group.len()));
                    return run_blocks(blocks, group, [None, None], output, s);
                }
                let own = &x[range.start * shape.len() / n..];
                if temporal_shift {
                    shift(&x, shape, range, n, Direction::Forward, s.input.at_least(group.len()));
                    run_blocks(blocks, group, [None, Some(own)], output, s);
                } else {
                    run_blocks(blocks, group, [Some(own), Some(own)], output, s);
                }
            });
            std::mem::swap(&mut x, &mut y);
            (shape, first) = (to, end);
        }
        let mut features = vec![0.0; n * FEATURES];
        each_group(n, GROUP, &mut features, |range, features, s| {
            let group = Images { n: range.len(), ..shape };
            self.head(&x[range.start * shape.len() / n..], group, features, &mut s.hidden.expanded);
        });
        BETWEEN.set([x, y]);
        Tensor::from_vec(features, (n, FEATURES), &Device::Cpu)
    }

    fn stem_shape(&self, images: Images) -> Images {
        let (height, width) = (images.height.div_ceil(2), images.width.div_ceil(2));
        Images { height, width, channels: STEM, ..images }
    }

    fn stem(&self, pixels: &[f32], images: Images, output: &mut [f32]) {
        let (window, _) = Window::same([1, 3, 3], [1, 2, 2], [1, images.height, images.width]);
        self.stem.run(Run {
            window,
            transposed: false,
            input: pixels,
            from: images.grid(),
            output,
            to: self.stem_shape(images).grid(),
            residual: None,
            activation: Activation::Relu6,
        });
    }

    /// Head convolution and the mean over each image.
    fn head(&self, input: &[f32], shape: Images, features: &mut [f32], activations: &mut AlignedBuf) {
        let head = Images { channels: FEATURES, ..shape };
        let activations = activations.at_least(head.len());
        self.head.run(Run {
            window: Window::POINT,
            transposed: false,
            input,
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

/// `blocks` one after the other; the last writes to `output`. The first one's input and residual lie in the
/// scratch memory's `input` unless given.
fn run_blocks(
    blocks: &[Block],
    mut shape: Images,
    first: [Option<&[f32]>; 2],
    output: &mut [f32],
    s: &mut Scratch,
) {
    for (i, block) in blocks.iter().enumerate() {
        let [input, residual] = first.map(|given| given.filter(|_| i == 0).unwrap_or(&s.input));
        if i + 1 == blocks.len() {
            return block.run(shape, input, residual, output, &mut s.hidden);
        }
        let to = block.shape(shape);
        block.run(shape, input, residual, s.output.at_least(to.len()), &mut s.hidden);
        std::mem::swap(&mut s.input, &mut s.output);
        shape = to;
    }
}

/// Runs `layer(images, their output, scratch)` over groups of up to `group` images on rayon's current pool.
fn each_group(
    n: usize,
    group: usize,
    output: &mut [f32],
    layer: impl Fn(Range<usize>, &mut [f32], &mut Scratch) + Sync,
) {
    let image = output.len() / n;
    let group = n.div_ceil(rayon::current_num_threads()).min(group).clamp(1, GROUP);
    output.par_chunks_mut(group * image).enumerate().for_each(|(i, output)| {
        let first = i * group;
        let mut s = SCRATCH.take();
        layer(first..first + output.len() / image, output, &mut s);
        SCRATCH.set(s);
    });
}
