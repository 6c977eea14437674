//! The plain path: candle's own operators. Serves every device, and is the truth that the fast
//! path is held against.

use candle_core::{Result, Tensor};

use super::{Folded, Layer, Mixed};
use classify_kernels::{conv3d_plain, max_pool3d_plain};

/// `f32 [T, H, W, 3]` to `f32 [T / 8, 1024]`.
pub(super) fn forward(layers: &[Layer<Folded>], window: &Tensor) -> Result<Tensor> {
    let mut x = window.clone();
    for layer in layers {
        x = match layer {
            Layer::Unit(unit) => unit.forward(&x)?,
            Layer::MaxPool { kernel, stride } => max_pool3d_plain(&x, *kernel, *stride)?,
            Layer::Mixed(mixed) => mixed.forward(&x)?,
        };
    }
    x.mean((1, 2))
}

impl Folded {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        conv3d_plain(x, &self.weight, &self.bias, [self.stride; 3])?.relu()
    }
}

impl Mixed<Folded> {
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
