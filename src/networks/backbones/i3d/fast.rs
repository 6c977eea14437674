//! The fast path on the CPU: own kernels, every layer split over all threads. The branches of an
//! Inception block write side by side into one volume, so that nothing is joined afterwards.

use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use super::{FEATURES, Layer, Mixed, Normed};
use classify_kernels::conv::{Activation, Grid, PackedConv, Run, Window};
use classify_kernels::pool::max_pool;
use classify_kernels::winograd::WinogradConv;
use classify_kernels::{AlignedBuf, Kernels, Numbers, Precision};

/// The network with its weights packed for the kernels.
pub(super) struct Network {
    kernels: Kernels,
    layers: Vec<Layer<Unit>>,
    /// Memory of earlier calls. Not one a thread: while a call waits for its pieces, its thread may
    /// begin another call.
    scratch: Mutex<Vec<Scratch>>,
}

/// A unit, packed.
struct Unit {
    conv: Conv,
    cout: usize,
    stride: usize,
}

enum Conv {
    /// With the side of the cubic kernel.
    Direct(PackedConv, usize),
    Winograd(WinogradConv),
}

#[derive(Default)]
struct Scratch {
    input: AlignedBuf,
    output: AlignedBuf,
    /// Inside an Inception block: between two convolutions, and the pooled input.
    between: AlignedBuf,
    pooled: AlignedBuf,
}

/// Shape of a volume `[T, H, W, channels]` without gaps.
#[derive(Clone, Copy)]
struct Shape {
    dims: [usize; 3],
    channels: usize,
}

impl Shape {
    fn grid(self) -> Grid {
        let [t, h, w] = self.dims;
        Grid::dense([1, t, h, w], self.channels)
    }

    fn len(self) -> usize {
        self.dims.iter().product::<usize>() * self.channels
    }

    fn with_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }
}

impl Network {
    pub(super) fn new(kernels: Kernels, precision: Precision, layers: &[Layer<Normed>]) -> Result<Self> {
        let lowered = PackedConv::lowers(kernels, precision, 3 * 3 * 3);
        let precision = if lowered { precision } else { Precision::F32 };
        // Behind the first pooling over time the maps are small and the weights many.
        let small = |layer: &Layer<Normed>| matches!(layer, Layer::MaxPool { stride: [2, ..], .. });
        let large = layers.iter().position(small).unwrap_or(layers.len());
        let layers = layers.par_iter().enumerate();
        let winograd = |i: usize| precision == Precision::F32 && i < large;
        let layers =
            layers.map(|(i, layer)| layer.map(|unit| Unit::new(kernels, precision, unit, winograd(i))));
        Ok(Self { kernels, layers: layers.collect::<Result<_>>()?, scratch: Mutex::default() })
    }

    /// `f32 [T, H, W, 3]` to `f32 [T / 8, 1024]`.
    pub(super) fn forward(&self, window: &Tensor) -> Result<Tensor> {
        let (t, h, w, channels) = window.dims4()?;
        let pixels = window.flatten_all()?.to_vec1::<f32>()?;
        let mut shape = Shape { dims: [t, h, w], channels };
        let unlocked = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut s = unlocked().pop().unwrap_or_default();
        s.input.at_least(pixels.len()).copy_from_slice(&pixels);
        for layer in &self.layers {
            shape = match layer {
                Layer::Unit(unit) => {
                    let to = unit.shape(shape);
                    unit.run(&s.input, shape, s.output.at_least(to.len()), to.grid());
                    to
                }
                Layer::MaxPool { kernel, stride } => {
                    let (window, dims) = Window::same(*kernel, *stride, shape.dims);
                    let to = Shape { dims, ..shape };
                    let output = s.output.at_least(to.len());
                    max_pool(self.kernels, window, &s.input, shape.grid(), output, to.grid());
                    to
                }
                Layer::Mixed(mixed) => mixed.run(self.kernels, shape, &mut s),
            };
            std::mem::swap(&mut s.input, &mut s.output);
        }
        let [steps, h, w] = shape.dims;
        let mut features = vec![0.0; steps * FEATURES];
        for (feature, plane) in
            features.chunks_exact_mut(FEATURES).zip(s.input.chunks_exact(h * w * FEATURES))
        {
            for pixel in plane.chunks_exact(FEATURES) {
                feature.iter_mut().zip(pixel).for_each(|(f, x)| *f += x);
            }
            feature.iter_mut().for_each(|f| *f /= (h * w) as f32);
        }
        unlocked().push(s);
        Tensor::from_vec(features, (steps, FEATURES), &Device::Cpu)
    }
}

impl Unit {
    /// `winograd`: whether Winograd's way pays, which it does in `f32` on large maps.
    fn new(kernels: Kernels, precision: Precision, unit: &Normed, winograd: bool) -> Result<Self> {
        let (cout, cin, kernel, _, _) = unit.weight.dims5()?;
        let bias = unit.bias.to_vec1::<f32>()?;
        let conv = if winograd && kernel == 3 {
            Conv::Winograd(WinogradConv::from_torch(kernels, [cin, cout], &unit.folded()?, &bias))
        } else {
            let weight = Numbers::of(&unit.weight)?;
            let conv = PackedConv::from_torch(kernels, [kernel.pow(3), cin, cout], &weight, &bias);
            let mut conv = conv.scaled(&unit.scale.to_vec1::<f32>()?);
            conv.set_precision(precision, [kernel; 3]);
            Conv::Direct(conv, kernel)
        };
        Ok(Self { conv, cout, stride: unit.stride })
    }

    /// The output's shape.
    fn shape(&self, from: Shape) -> Shape {
        Shape { dims: from.dims.map(|n| n.div_ceil(self.stride)), channels: self.cout }
    }

    fn run(&self, input: &[f32], from: Shape, output: &mut [f32], to: Grid) {
        match &self.conv {
            Conv::Direct(conv, kernel) => {
                let (window, _) = Window::same([*kernel; 3], [self.stride; 3], from.dims);
                conv.run_parallel(Run {
                    window,
                    transposed: false,
                    input,
                    from: from.grid(),
                    output,
                    to,
                    residual: None,
                    activation: Activation::Relu,
                });
            }
            Conv::Winograd(conv) => conv.run_parallel(input, from.dims, output, to, Activation::Relu),
        }
    }
}

impl Mixed<Unit> {
    /// `s.input` to `s.output`, whose shape is returned.
    fn run(&self, kernels: Kernels, from: Shape, s: &mut Scratch) -> Shape {
        let last = [&self.point, &self.wide[1], &self.narrow[1], &self.pooled];
        let to = from.with_channels(last.iter().map(|unit| unit.cout).sum());
        let grid = to.grid();
        let output = s.output.at_least(to.len());
        let mut first = 0;
        self.point.run(&s.input, from, output, grid);
        first += self.point.cout;
        for [reduce, spread] in [&self.wide, &self.narrow] {
            let between = from.with_channels(reduce.cout);
            let buffer = s.between.at_least(between.len());
            reduce.run(&s.input, from, buffer, between.grid());
            spread.run(buffer, between, &mut output[first..], grid);
            first += spread.cout;
        }
        let (window, _) = Window::same([3; 3], [1; 3], from.dims);
        let pooled = s.pooled.at_least(from.len());
        max_pool(kernels, window, &s.input, from.grid(), pooled, from.grid());
        self.pooled.run(pooled, from, &mut output[first..], grid);
        to
    }
}
