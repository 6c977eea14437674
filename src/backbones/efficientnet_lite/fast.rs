//! The fast path on the CPU. Every thread takes whole frames through the whole network, so that
//! nothing waits between layers.

use super::block::{Block, Hidden, Images};
use super::shift::{Direction, shift};
use super::{FEATURES, Normed, NormedNetwork, STEM};
use crate::kernels::conv::{Activation, PackedConv, Run, Window};
use crate::kernels::depthwise::DepthwiseConv;
use crate::kernels::{AlignedBuf, Kernels, Numbers};
use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Frames that go through the network together: the deep layers have few pixels a frame, and each
/// of their weights should serve several tiles once it is in the cache.
const GROUP: usize = 4;

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
}

/// A dense convolution with its normalisation folded in.
fn dense(kernels: Kernels, conv: &Normed) -> Result<PackedConv> {
    let (out, input, kh, kw) = conv.weight.dims4()?;
    let (scale, bias): (Vec<f32>, Vec<f32>) = (conv.scale()?.to_vec1()?, conv.bias()?.to_vec1()?);
    let weight = Numbers::of(&conv.weight)?;
    Ok(PackedConv::from_torch(kernels, [kh * kw, input, out], &weight, &bias).scaled(&scale))
}

/// The same for a depthwise one.
fn depthwise(kernels: Kernels, conv: &Normed, stride: usize) -> Result<DepthwiseConv> {
    let (_, _, k, _) = conv.weight.dims4()?;
    let (scale, bias): (Vec<f32>, Vec<f32>) = (conv.scale()?.to_vec1()?, conv.bias()?.to_vec1()?);
    let weight = Numbers::of(&conv.weight)?;
    Ok(DepthwiseConv::from_torch(kernels, k, stride, &weight, &bias).scaled(&scale))
}

impl Network {
    pub(super) fn new(kernels: Kernels, network: &NormedNetwork) -> Result<Self> {
        let blocks = network.blocks.par_iter().map(|block| {
            Ok(Block {
                expand: block.expand.as_ref().map(|conv| dense(kernels, conv)).transpose()?,
                depthwise: depthwise(kernels, &block.depthwise, block.spec.stride)?,
                project: dense(kernels, &block.project)?,
                residual: block.spec.residual(),
            })
        });
        Ok(Self {
            blocks: blocks.collect::<Result<_>>()?,
            stem: dense(kernels, &network.stem)?,
            head: dense(kernels, &network.head)?,
        })
    }

    /// `f32 [T, H, W, 3]` to `f32 [T, 1280]`.
    pub(super) fn forward(&self, window: &Tensor) -> Result<Tensor> {
        let (frames, height, width, _) = window.dims4()?;
        let window = window.contiguous()?;
        let pixels = Numbers::of(&window)?;
        let mut features = vec![0.0; frames * FEATURES];
        each_group(frames, &mut features, |range, features, s| {
            let images = Images { n: range.len(), height, width, channels: 3 };
            let frame = height * width * 3;
            self.frames(&pixels[range.start * frame..range.end * frame], images, features, s);
        });
        Tensor::from_vec(features, (frames, FEATURES), &Device::Cpu)
    }

    /// As [`Self::forward`], channels shifted between the frames of the window. Every block needs
    /// the neighbours' output of the one before, so the threads meet between blocks.
    pub(super) fn forward_shifted(&self, window: &Tensor) -> Result<Tensor> {
        let (n, height, width, channels) = window.dims4()?;
        let window = window.contiguous()?;
        let pixels = Numbers::of(&window)?;
        let images = Images { n, height, width, channels };
        let mut shape = self.stem_shape(images);
        let mut x = vec![0.0; shape.len()];
        each_group(n, &mut x, |range, output, _| {
            let pixels = &pixels[range.start * height * width * 3..];
            self.stem(pixels, Images { n: range.len(), ..images }, output);
        });
        for block in &self.blocks {
            let to = block.shape(shape);
            let mut y = vec![0.0; to.len()];
            each_group(n, &mut y, |range, output, s| {
                let group = Images { n: range.len(), ..shape };
                let residual = &x[range.start * shape.len() / shape.n..];
                if !block.residual {
                    return block.run(group, residual, residual, output, &mut s.hidden);
                }
                let shifted = s.input.at_least(group.len());
                shift(&x, shape, range, n, Direction::Forward, shifted);
                block.run(group, shifted, residual, output, &mut s.hidden);
            });
            (x, shape) = (y, to);
        }
        let mut features = vec![0.0; n * FEATURES];
        each_group(n, &mut features, |range, features, s| {
            let group = Images { n: range.len(), ..shape };
            self.head(&x[range.start * shape.len() / n..], group, features, &mut s.hidden.expanded);
        });
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

    /// Some frames on this thread.
    fn frames(&self, pixels: &[f32], images: Images, features: &mut [f32], s: &mut Scratch) {
        let mut shape = self.stem_shape(images);
        self.stem(pixels, images, s.input.at_least(shape.len()));
        for block in &self.blocks {
            let output = s.output.at_least(block.shape(shape).len());
            block.run(shape, &s.input, &s.input, output, &mut s.hidden);
            shape = block.shape(shape);
            std::mem::swap(&mut s.input, &mut s.output);
        }
        self.head(&s.input, shape, features, &mut s.hidden.expanded);
    }
}

/// Runs `layer(images, their output, scratch)` over groups of images on rayon's current pool.
fn each_group(n: usize, output: &mut [f32], layer: impl Fn(Range<usize>, &mut [f32], &mut Scratch) + Sync) {
    let image = output.len() / n;
    let group = n.div_ceil(rayon::current_num_threads()).clamp(1, GROUP);
    output.par_chunks_mut(group * image).enumerate().for_each(|(i, output)| {
        let first = i * group;
        let mut s = SCRATCH.take();
        layer(first..first + output.len() / image, output, &mut s);
        SCRATCH.set(s);
    });
}
