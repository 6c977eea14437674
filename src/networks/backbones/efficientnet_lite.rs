//! EfficientNet-Lite0, Lite1 and Lite2: EfficientNet (Tan and Le 2019, arXiv:1905.11946) without
//! squeeze-and-excitation, with ReLU6. Parameter names and numbers are those of the package
//! efficientnet-lite-pytorch; padding is TensorFlow's SAME.

mod backward;
mod block;
mod block_op;
mod fast;
#[cfg(test)]
mod grad_tests;
mod parameters;
mod plain;
mod shift;
mod spread;
#[cfg(test)]
mod tests;
mod train;

pub use train::{TrainOptions, TrainableEfficientNetLite};

use super::Backbone;
use candle_core::{DType, Result, Tensor, bail};
use candle_nn::VarBuilder;
use classify_kernels::{Kernels, Precision};

/// Batch normalisation's ε.
pub(crate) const EPSILON: f64 = 1e-3;
/// Channels of the head convolution, the length of a feature vector.
const FEATURES: usize = 1280;
/// Channels of the stem.
const STEM: usize = 32;

/// The sizes of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiteVariant {
    /// The smallest.
    Lite0,
    /// Deeper.
    Lite1,
    /// Deeper and wider.
    Lite2,
}

/// One inverted bottleneck: expand 1×1, depthwise k×k, project 1×1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSpec {
    pub input: usize,
    pub output: usize,
    /// Channels between expansion and projection; where it equals `input` nothing is expanded.
    pub hidden: usize,
    pub kernel: usize,
    pub stride: usize,
}

impl BlockSpec {
    /// Whether the input is added to the output.
    pub fn residual(&self) -> bool {
        self.stride == 1 && self.input == self.output
    }

    /// Whether there is an expansion convolution.
    pub fn expands(&self) -> bool {
        self.hidden != self.input
    }
}

impl LiteVariant {
    /// Factors of the channels and of the blocks a stage, against Lite0.
    fn scale(self) -> (f64, f64) {
        match self {
            Self::Lite0 => (1.0, 1.0),
            Self::Lite1 => (1.0, 1.1),
            Self::Lite2 => (1.1, 1.2),
        }
    }

    /// All blocks in order.
    pub fn blocks(self) -> Vec<BlockSpec> {
        // Blocks, kernel, stride of the first, expansion, input channels, output channels.
        const STAGES: [[usize; 6]; 7] = [
            [1, 3, 1, 1, 32, 16],
            [2, 3, 2, 6, 16, 24],
            [2, 5, 2, 6, 24, 40],
            [3, 3, 2, 6, 40, 80],
            [3, 5, 1, 6, 80, 112],
            [4, 5, 2, 6, 112, 192],
            [1, 3, 1, 6, 192, 320],
        ];
        let (width, depth) = self.scale();
        // Nearest multiple of 8, but never more than a tenth below.
        let round = |channels: usize| {
            let exact = channels as f64 * width;
            let near = ((exact + 4.0) as usize / 8 * 8).max(8);
            if (near as f64) < 0.9 * exact { near + 8 } else { near }
        };
        let mut blocks = Vec::new();
        for (i, [repeats, kernel, stride, expand, input, output]) in STAGES.into_iter().enumerate() {
            // Stem, first and last stage keep their size in the whole family.
            let fixed = i == 0 || i == STAGES.len() - 1;
            let repeats = if fixed { repeats } else { (repeats as f64 * depth).ceil() as usize };
            for j in 0..repeats {
                let input = match (i, j) {
                    (0, 0) => STEM,
                    (_, 0) => round(input),
                    _ => round(output),
                };
                blocks.push(BlockSpec {
                    input,
                    output: round(output),
                    hidden: input * expand,
                    kernel,
                    stride: if j == 0 { stride } else { 1 },
                });
            }
        }
        blocks
    }
}

/// A convolution's weights `[out, in / groups, k, k]` and the batch normalisation `[out]` behind it.
struct Normed {
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    var: Tensor,
}

impl Normed {
    /// `conv` and `norm` name the two below `vb`.
    fn load(vb: &VarBuilder, conv: &str, norm: &str, shape: [usize; 4]) -> Result<Self> {
        let (norm, out) = (vb.pp(norm), shape[0]);
        Ok(Self {
            weight: vb.get(&shape, &format!("{conv}.weight"))?,
            gamma: norm.get(out, "weight")?,
            beta: norm.get(out, "bias")?,
            // Statistics, not parameters.
            mean: norm.get(out, "running_mean")?.detach(),
            var: norm.get(out, "running_var")?.detach(),
        })
    }

    /// The factor of each output channel.
    fn scale(&self) -> Result<Tensor> {
        &self.gamma / (&self.var + EPSILON)?.sqrt()?
    }

    /// What is added to each output channel.
    fn bias(&self) -> Result<Tensor> {
        &self.beta - (&self.mean * self.scale()?)?
    }
}

/// A block's tensors.
struct NormedBlock {
    spec: BlockSpec,
    expand: Option<Normed>,
    depthwise: Normed,
    project: Normed,
}

/// The network's tensors as the file has them.
struct NormedNetwork {
    stem: Normed,
    blocks: Vec<NormedBlock>,
    head: Normed,
}

impl NormedNetwork {
    fn load(vb: &VarBuilder, variant: LiteVariant) -> Result<Self> {
        let specs = variant.blocks();
        let last = specs.last().map_or(STEM, |spec| spec.output);
        let blocks = specs.into_iter().enumerate().map(|(i, spec)| {
            let vb = vb.pp(format!("_blocks.{i}"));
            let (k, hidden) = (spec.kernel, spec.hidden);
            let expand = [hidden, spec.input, 1, 1];
            Ok(NormedBlock {
                spec,
                expand: spec
                    .expands()
                    .then(|| Normed::load(&vb, "_expand_conv", "_bn0", expand))
                    .transpose()?,
                depthwise: Normed::load(&vb, "_depthwise_conv", "_bn1", [hidden, 1, k, k])?,
                project: Normed::load(&vb, "_project_conv", "_bn2", [spec.output, hidden, 1, 1])?,
            })
        });
        Ok(Self {
            blocks: blocks.collect::<Result<_>>()?,
            stem: Normed::load(vb, "_conv_stem", "_bn0", [STEM, 3, 3, 3])?,
            head: Normed::load(vb, "_conv_head", "_bn1", [FEATURES, last, 1, 1])?,
        })
    }
}

/// A convolution's weights `[out, in / groups, k, k]` and bias `[out]`, batch normalisation folded
/// in, for candle's operators.
struct Folded {
    weight: Tensor,
    bias: Tensor,
}

impl Folded {
    fn of(conv: &Normed) -> Result<Self> {
        let scale = conv.scale()?.reshape(((), 1, 1, 1))?;
        Ok(Self { weight: conv.weight.broadcast_mul(&scale)?, bias: conv.bias()? })
    }
}

/// One convolution's folded numbers.
#[derive(Clone, Copy)]
struct Weights<'a> {
    /// `[out, in / groups, k, k]`
    weight: &'a [f32],
    /// `[out]`
    bias: &'a [f32],
}

/// One block's folded convolutions.
struct FoldedBlock {
    spec: BlockSpec,
    expand: Option<Folded>,
    depthwise: Folded,
    project: Folded,
}

/// The whole network's folded convolutions.
struct FoldedNetwork {
    stem: Folded,
    blocks: Vec<FoldedBlock>,
    head: Folded,
}

impl FoldedBlock {
    fn of(block: &NormedBlock) -> Result<Self> {
        Ok(Self {
            spec: block.spec,
            expand: block.expand.as_ref().map(Folded::of).transpose()?,
            depthwise: Folded::of(&block.depthwise)?,
            project: Folded::of(&block.project)?,
        })
    }
}

impl FoldedNetwork {
    fn of(network: &NormedNetwork) -> Result<Self> {
        Ok(Self {
            blocks: network.blocks.iter().map(FoldedBlock::of).collect::<Result<_>>()?,
            stem: Folded::of(&network.stem)?,
            head: Folded::of(&network.head)?,
        })
    }
}

/// The network for inference, batch normalisation folded into the convolutions.
pub struct EfficientNetLite {
    network: Network,
    temporal_shift: bool,
}

enum Network {
    /// Own kernels, on the CPU.
    Fast(Box<fast::Network>),
    /// candle's operators, on every device.
    Plain(FoldedNetwork),
}

impl EfficientNetLite {
    /// Loads the network under its PyTorch names. On the CPU it runs on the fastest kernels there
    /// are, or on those that `CLASSIFY_KERNELS` names; on other devices on candle's operators.
    ///
    /// # Errors
    /// A missing tensor, one of the wrong shape, or an unusable `CLASSIFY_KERNELS`.
    pub fn load(vb: VarBuilder, variant: LiteVariant) -> Result<Self> {
        Self::load_in(vb, variant, Precision::F32)
    }

    /// As [`Self::load`] with the 1×1 convolutions, most of the network, in `precision` where this CPU has
    /// instructions for it.
    pub fn load_in(vb: VarBuilder, variant: LiteVariant, precision: Precision) -> Result<Self> {
        let kernels = Kernels::detect().map_err(candle_core::Error::wrap)?;
        Self::load_with(vb, variant, kernels, precision)
    }

    /// As [`Self::load_in`], on given kernels, if this CPU has them.
    pub fn load_with(
        vb: VarBuilder,
        variant: LiteVariant,
        kernels: Kernels,
        precision: Precision,
    ) -> Result<Self> {
        let (vb, kernels) = (vb.set_dtype(DType::F32), kernels.checked()?);
        let network = NormedNetwork::load(&vb, variant)?;
        let network = if kernels == Kernels::Plain || !vb.device().is_cpu() {
            Network::Plain(FoldedNetwork::of(&network)?)
        } else {
            Network::Fast(Box::new(fast::Network::new(kernels, precision, &network)?))
        };
        Ok(Self { network, temporal_shift: false })
    }

    /// Whether channels are shifted between neighbouring frames of a window, as they were in
    /// training ([`TrainOptions::temporal_shift`]); off by default.
    pub fn with_temporal_shift(self, temporal_shift: bool) -> Self {
        Self { temporal_shift, ..self }
    }
}

impl Backbone for EfficientNetLite {
    fn feature_dim(&self) -> usize {
        FEATURES
    }

    fn feature_steps(&self, frames: usize) -> usize {
        frames
    }

    fn forward(&self, window: &Tensor) -> Result<Tensor> {
        let (frames, height, width, channels) = window.dims4()?;
        if channels != 3 || frames * height * width == 0 {
            bail!("frames must be [T, H, W, 3], not {:?}", window.shape());
        }
        match &self.network {
            Network::Fast(network) => network.forward(window, self.temporal_shift),
            Network::Plain(network) => network.forward(window, self.temporal_shift.then_some(frames), 0),
        }
    }
}
