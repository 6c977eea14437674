//! I3D RGB: Inception-v1 inflated to three dimensions (Carreira and Zisserman, "Quo Vadis, Action
//! Recognition?", 2017, arXiv:1705.07750), as published with its Kinetics-400 weights.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::Backbone;
use crate::kernels::{conv3d_plain, max_pool3d_plain};

/// ε of every BatchNorm of the network.
const EPSILON: f64 = 1e-3;

/// Output channels of the branches of each Inception block: 1×1×1; 1×1×1 then 3×3×3; the same
/// narrower; pooling then 1×1×1.
const MIXED: [(&str, [usize; 6]); 9] = [
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
    layers: Vec<Layer>,
}

enum Layer {
    Unit(Unit),
    MaxPool { kernel: [usize; 3], stride: [usize; 3] },
    Mixed(Mixed),
}

impl I3d {
    /// Tensors: `UNIT.conv.weight [out, in, kt, kh, kw]`, `UNIT.bn.bias`, `.running_mean`,
    /// `.running_var` `[out]`; the units are `Conv3d_1a_7x7`, `Conv3d_2b_1x1`, `Conv3d_2c_3x3`,
    /// `Mixed_3b.Branch_0.Conv3d_0a_1x1`, ….
    pub fn load(vb: VarBuilder) -> Result<Self> {
        let unit = |name: &str, shape, stride| Unit::load(vb.pp(name), shape, stride).map(Layer::Unit);
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
            layers.push(Layer::Mixed(Mixed::load(vb.pp(name), channels, widths)?));
            channels = widths[0] + widths[2] + widths[4] + widths[5];
        }
        Ok(Self { layers })
    }
}

impl Backbone for I3d {
    fn feature_dim(&self) -> usize {
        1024
    }

    fn feature_steps(&self, frames: usize) -> usize {
        frames.div_ceil(8)
    }

    fn forward(&self, window: &Tensor) -> Result<Tensor> {
        let mut x = window.clone();
        for layer in &self.layers {
            x = match layer {
                Layer::Unit(unit) => unit.forward(&x)?,
                Layer::MaxPool { kernel, stride } => max_pool3d_plain(&x, *kernel, *stride)?,
                Layer::Mixed(mixed) => mixed.forward(&x)?,
            };
        }
        x.mean((1, 2))
    }
}

/// Convolution with SAME padding, BatchNorm (folded into it), ReLU.
struct Unit {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
}

impl Unit {
    /// `out` and `input` channels, a cube of `k`³ for a kernel, one stride for all dimensions.
    fn load(vb: VarBuilder, (out, input, k): (usize, usize, usize), stride: usize) -> Result<Self> {
        let weight = vb.get((out, input, k, k, k), "conv.weight")?;
        let bn = vb.pp("bn");
        // The published BatchNorm has no scale of its own.
        let scale = (bn.get(out, "running_var")? + EPSILON)?.sqrt()?.recip()?;
        let bias = (bn.get(out, "bias")? - (bn.get(out, "running_mean")? * &scale)?)?;
        Ok(Self { weight: weight.broadcast_mul(&scale.reshape((out, 1, 1, 1, 1))?)?, bias, stride })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        conv3d_plain(x, &self.weight, &self.bias, [self.stride; 3])?.relu()
    }
}

/// An Inception block: four branches side by side.
struct Mixed {
    point: Unit,
    wide: [Unit; 2],
    narrow: [Unit; 2],
    pooled: Unit,
}

impl Mixed {
    fn load(vb: VarBuilder, input: usize, widths: [usize; 6]) -> Result<Self> {
        let unit = |name: &str, input, out, k| Unit::load(vb.pp(name), (out, input, k), 1);
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

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let branches = [
            self.point.forward(x)?,
            self.wide[1].forward(&self.wide[0].forward(x)?)?,
            self.narrow[1].forward(&self.narrow[0].forward(x)?)?,
            self.pooled.forward(&max_pool3d_plain(x, [3, 3, 3], [1, 1, 1])?)?,
        ];
        Tensor::cat(&branches, 3)
    }
}
