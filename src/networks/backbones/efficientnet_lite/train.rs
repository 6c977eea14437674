//! The network for training: gradients reach every weight of the blocks that aren't frozen. Batch
//! normalisation keeps its running statistics, as they are in the file; its own scale and bias can
//! be trained.

use super::block_op::BlockOp;
use super::{FEATURES, FoldedNetwork, LiteVariant, Normed, NormedNetwork};
use candle_core::{DType, Result, Tensor, bail};
use candle_nn::VarBuilder;
use classify_kernels::Kernels;
use classify_kernels::conv::Activation;
use classify_kernels::ops;

/// What is trained, and how frames see each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrainOptions {
    /// The first blocks that stay as they are; with any, the stem stays, too.
    pub frozen_blocks: usize,
    /// Whether channels are shifted between neighbouring frames before each residual block.
    pub temporal_shift: bool,
}

/// The network over the variables of a `VarBuilder`, which an optimiser changes.
pub struct TrainableEfficientNetLite {
    network: NormedNetwork,
    kernels: Kernels,
    options: TrainOptions,
}

impl TrainableEfficientNetLite {
    /// Takes the network's tensors from `vb` under their PyTorch names; those that are variables
    /// get gradients, except the running statistics.
    ///
    /// # Errors
    /// As [`EfficientNetLite::load`](super::EfficientNetLite::load).
    pub fn new(vb: VarBuilder, variant: LiteVariant, options: TrainOptions) -> Result<Self> {
        let kernels = Kernels::detect().map_err(candle_core::Error::wrap)?;
        Self::with_kernels(vb, variant, options, kernels)
    }

    /// As [`Self::new`], on given kernels, if this CPU has them.
    pub fn with_kernels(
        vb: VarBuilder,
        variant: LiteVariant,
        options: TrainOptions,
        kernels: Kernels,
    ) -> Result<Self> {
        let kernels = if vb.device().is_cpu() { kernels.checked()? } else { Kernels::Plain };
        let vb = vb.set_dtype(DType::F32);
        Ok(Self { network: NormedNetwork::load(&vb, variant)?, kernels, options })
    }

    /// Length of one feature vector.
    pub fn feature_dim(&self) -> usize {
        FEATURES
    }

    /// `frames [N · clip, H, W, 3]`, normalised, `clip` frames of a clip in a row, to features
    /// `[N · clip, 1280]` in the graph.
    pub fn forward(&self, frames: &Tensor, clip: usize) -> Result<Tensor> {
        let count = frames.dim(0)?;
        if clip == 0 || count % clip != 0 {
            bail!("{count} frames are no whole number of clips of {clip}");
        }
        let shift = self.options.temporal_shift.then_some(clip);
        if self.kernels == Kernels::Plain {
            let network = FoldedNetwork::of(&self.network)?;
            return network.forward(frames, shift, self.options.frozen_blocks);
        }
        let frozen = self.options.frozen_blocks;
        let images = |conv: &Normed, x: &Tensor, stride: usize| {
            let (weight, scale, bias) = (conv.weight.unsqueeze(2)?, &conv.scale()?, &conv.bias()?);
            let stride = [1, stride, stride];
            ops::conv(self.kernels, &x.unsqueeze(1)?, &weight, (scale, bias), stride, Activation::Relu6)?
                .squeeze(1)
        };
        let mut x = images(&self.network.stem, frames, 2)?;
        for (i, block) in self.network.blocks.iter().enumerate() {
            if i < frozen {
                x = x.detach();
            }
            let mut parameters = Vec::new();
            for conv in block.expand.iter().chain([&block.depthwise, &block.project]) {
                parameters.extend([conv.weight.clone(), conv.scale()?, conv.bias()?]);
            }
            let op = BlockOp {
                kernels: self.kernels,
                spec: block.spec,
                shift: shift.filter(|_| block.spec.residual()),
            };
            x = op.apply(&x, &parameters.iter().collect::<Vec<_>>())?;
            if i < frozen {
                x = x.detach();
            }
        }
        let x = images(&self.network.head, &x, 1)?;
        x.mean((1, 2))
    }
}
