//! I3D RGB: Inception-v1 inflated to three dimensions (Carreira and Zisserman, "Quo Vadis, Action
//! Recognition?", 2017, arXiv:1705.07750), as published with its Kinetics-400 weights.

mod fast;
mod plain;

use candle_core::{DType, Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::Backbone;
use classify_kernels::{Kernels, Precision};

/// ε of every BatchNorm of the network.
pub(crate) const EPSILON: f64 = 1e-3;
/// Length of a feature vector.
const FEATURES: usize = 1024;

/// Output channels of the branches of each Inception block: 1×1×1; 1×1×1 then 3×3×3; the same
/// narrower; pooling then 1×1×1.
pub(crate) const MIXED: [(&str, [usize; 6]); 9] = [
    ("Mixed_3b", [64, 96, 128, 16, 32, 32]),
    ("Mixed_3c", [128, 128, 192, 32, 96, 64]),
    ("Mixed_4b", [192, 96, 208, 16, 48, 64]),
    ("Mixed_4c", [160, 112, 224, 24, 64, 64]),
    ("Mixed_4d", [128, 128, 256, 24, 64, 64]),
    ("Mixed_4e", [112, 144, 288, 32, 64, 64]),
    ("Mixed_4f", [256, 160, 320, 32, 128, 128]),
    ("Mixed_5b", [256, 160, 320, 32, 128, 128]),
    ("Mixed_5c", [384, 192, 384, 48, 128, 128]),
];

/// Looks at short windows of frames; one feature vector of 1,024 for every 8 frames.
pub struct I3d {
    network: Network,
}

enum Network {
    /// Own kernels, on the CPU.
    Fast(fast::Network),
    /// candle's operators, on every device.
    Plain(Vec<Layer<Folded>>),
}

impl I3d {
    /// Tensors: `UNIT.conv.weight [out, in, kt, kh, kw]`, `UNIT.bn.bias`, `.running_mean`,
    /// `.running_var` `[out]`; the units are `Conv3d_1a_7x7`, `Conv3d_2b_1x1`, `Conv3d_2c_3x3`,
    /// `Mixed_3b.Branch_0.Conv3d_0a_1x1`, …. On the CPU the network runs on the fastest kernels there
    /// are, or on those that `CLASSIFY_KERNELS` names; on other devices on candle's operators.
    ///
    /// # Errors
    /// A missing tensor, one of the wrong shape, or an unusable `CLASSIFY_KERNELS`.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        Self::load_in(vb, Precision::F32)
    }

    /// The same in another precision than `f32`, where all convolutions are faster in it: on CPUs with AMX.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_in(vb: VarBuilder, precision: Precision) -> Result<Self> {
        Self::load_with(vb, Kernels::detect().map_err(candle_core::Error::wrap)?, precision)
    }

    /// As [`Self::load_in`], on given kernels, if this CPU has them.
    pub fn load_with(vb: VarBuilder, kernels: Kernels, precision: Precision) -> Result<Self> {
        let (vb, kernels) = (vb.set_dtype(DType::F32), kernels.checked()?);
        let layers = layers(&vb)?;
        let network = if kernels == Kernels::Plain || !vb.device().is_cpu() {
            let layers = layers.iter().map(|layer| layer.map(Folded::of));
            Network::Plain(layers.collect::<Result<_>>()?)
        } else {
            Network::Fast(fast::Network::new(kernels, precision, &layers)?)
        };
        Ok(Self { network })
    }
}

impl Backbone for I3d {
    fn feature_dim(&self) -> usize {
        FEATURES
    }

    fn feature_steps(&self, frames: usize) -> usize {
        frames.div_ceil(8)
    }

    fn forward(&self, window: &Tensor) -> Result<Tensor> {
        let dims = window.dims4()?;
        if dims.3 != 3 || dims.0 == 0 || dims.1 == 0 || dims.2 == 0 {
            bail!("frames must be [T, H, W, 3], not {:?}", window.shape());
        }
        match &self.network {
            Network::Fast(network) => network.forward(window),
            Network::Plain(layers) => plain::forward(layers, window),
        }
    }
}

/// A layer of units `U`: convolutions with SAME padding, BatchNorm and ReLU.
enum Layer<U> {
    Unit(U),
    MaxPool { kernel: [usize; 3], stride: [usize; 3] },
    Mixed(Box<Mixed<U>>),
}

/// An Inception block: four branches side by side.
struct Mixed<U> {
    point: U,
    wide: [U; 2],
    narrow: [U; 2],
    pooled: U,
}

impl<U> Layer<U> {
    /// The layer with other units in place of these.
    fn map<V>(&self, unit: impl Fn(&U) -> Result<V>) -> Result<Layer<V>> {
        let pair = |[a, b]: &[U; 2]| Ok::<_, candle_core::Error>([unit(a)?, unit(b)?]);
        Ok(match self {
            Self::Unit(only) => Layer::Unit(unit(only)?),
            Self::MaxPool { kernel, stride } => Layer::MaxPool { kernel: *kernel, stride: *stride },
            Self::Mixed(mixed) => Layer::Mixed(Box::new(Mixed {
                point: unit(&mixed.point)?,
                wide: pair(&mixed.wide)?,
                narrow: pair(&mixed.narrow)?,
                pooled: unit(&mixed.pooled)?,
            })),
        })
    }
}

/// The whole network, from frames to the volume whose mean over space are the features.
fn layers(vb: &VarBuilder) -> Result<Vec<Layer<Normed>>> {
    let unit = |name: &str, shape, stride| Normed::load(vb.pp(name), shape, stride).map(Layer::Unit);
    let pool = |kernel, stride| Layer::MaxPool { kernel, stride };
    let mut layers = vec![
        unit("Conv3d_1a_7x7", (64, 3, 7), 2)?,
        pool([1, 3, 3], [1, 2, 2]),
        unit("Conv3d_2b_1x1", (64, 64, 1), 1)?,
        unit("Conv3d_2c_3x3", (192, 64, 3), 1)?,
        pool([1, 3, 3], [1, 2, 2]),
    ];
    let mut channels = 192;
    for (name, widths) in MIXED {
        match name {
            "Mixed_4b" => layers.push(pool([3, 3, 3], [2, 2, 2])),
            "Mixed_5b" => layers.push(pool([2, 2, 2], [2, 2, 2])),
            _ => {}
        }
        layers.push(Layer::Mixed(Box::new(Mixed::load(vb.pp(name), channels, widths)?)));
        channels = widths[0] + widths[2] + widths[4] + widths[5];
    }
    Ok(layers)
}

/// A unit's tensors as the file has them, what BatchNorm does in numbers a channel.
struct Normed {
    /// `[out, in, k, k, k]`
    weight: Tensor,
    /// `[out]`
    scale: Tensor,
    /// `[out]`
    bias: Tensor,
    stride: usize,
}

impl Normed {
    /// `out` and `input` channels, a cube of `k`³ for a kernel, one stride for all dimensions.
    fn load(vb: VarBuilder, (out, input, k): (usize, usize, usize), stride: usize) -> Result<Self> {
        let bn = vb.pp("bn");
        // The published BatchNorm has no scale of its own.
        let scale = (bn.get(out, "running_var")? + EPSILON)?.sqrt()?.recip()?;
        let bias = (bn.get(out, "bias")? - (bn.get(out, "running_mean")? * &scale)?)?;
        Ok(Self { weight: vb.get((out, input, k, k, k), "conv.weight")?, scale, bias, stride })
    }

    /// Weights with BatchNorm folded in.
    fn folded(&self) -> Result<Vec<f32>> {
        let scale = self.scale.to_vec1::<f32>()?;
        // Not by candle's operators: on so many numbers these wait for each other in busy loops.
        let mut weight = self.weight.flatten_all()?.to_vec1::<f32>()?;
        let kernel = weight.len() / scale.len();
        for (kernel, scale) in weight.chunks_exact_mut(kernel).zip(scale) {
            kernel.iter_mut().for_each(|x| *x *= scale);
        }
        Ok(weight)
    }
}

/// A unit with BatchNorm folded into its convolution, for candle's operators.
struct Folded {
    /// `[out, in, k, k, k]`
    weight: Tensor,
    /// `[out]`
    bias: Tensor,
    stride: usize,
}

impl Folded {
    fn of(unit: &Normed) -> Result<Self> {
        let weight = Tensor::from_vec(unit.folded()?, unit.weight.shape(), unit.weight.device())?;
        Ok(Self { weight, bias: unit.bias.clone(), stride: unit.stride })
    }
}

impl Mixed<Normed> {
    fn load(vb: VarBuilder, input: usize, widths: [usize; 6]) -> Result<Self> {
        let unit = |name: &str, input, out, k| Normed::load(vb.pp(name), (out, input, k), 1);
        let [point, wide_in, wide, narrow_in, narrow, pooled] = widths;
        Ok(Self {
            point: unit("Branch_0.Conv3d_0a_1x1", input, point, 1)?,
            wide: [
                unit("Branch_1.Conv3d_0a_1x1", input, wide_in, 1)?,
                unit("Branch_1.Conv3d_0b_3x3", wide_in, wide, 3)?,
            ],
            narrow: [
                unit("Branch_2.Conv3d_0a_1x1", input, narrow_in, 1)?,
                unit("Branch_2.Conv3d_0b_3x3", narrow_in, narrow, 3)?,
            ],
            pooled: unit("Branch_3.Conv3d_0b_1x1", input, pooled, 1)?,
        })
    }
}
