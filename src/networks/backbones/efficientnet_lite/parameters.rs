//! The parameters of a block in training.

use std::ops::Range;

use classify_kernels::Kernels;

use super::block::Block;
use super::{BlockSpec, Weights};

/// Where one convolution's numbers lie in the block's flat vector.
pub(super) struct Segment {
    pub weight: Range<usize>,
    /// Batch normalisation, as a factor and a bias for each output channel.
    pub scale: Range<usize>,
    pub bias: Range<usize>,
}

/// A block's parameters in one vector: weights, scales and biases of expansion (where there is
/// one), depthwise convolution and projection.
pub(super) struct Parameters {
    pub expand: Option<Segment>,
    pub depthwise: Segment,
    pub project: Segment,
    pub len: usize,
}

impl Parameters {
    pub(super) fn of(spec: &BlockSpec) -> Self {
        let mut len = 0;
        let mut take = |n: usize| {
            len += n;
            len - n..len
        };
        let mut segment = |weights, out| Segment { weight: take(weights), scale: take(out), bias: take(out) };
        let BlockSpec { input, output, hidden, kernel, .. } = *spec;
        Self {
            expand: spec.expands().then(|| segment(hidden * input, hidden)),
            depthwise: segment(hidden * kernel * kernel, hidden),
            project: segment(output * hidden, output),
            len,
        }
    }

    /// The block of the `folded` parameters.
    pub(super) fn block(&self, kernels: Kernels, spec: &BlockSpec, folded: &[f32]) -> Block {
        let expand = self.expand.as_ref().map(|segment| segment.weights(folded));
        Block::new(kernels, spec, expand, self.depthwise.weights(folded), self.project.weights(folded))
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.expand.iter().chain([&self.depthwise, &self.project])
    }

    /// The vector with each weight multiplied by its channel's scale.
    pub(super) fn fold(&self, parameters: &[f32]) -> Vec<f32> {
        let mut folded = parameters.to_vec();
        for s in self.segments() {
            let row = s.weight.len() / s.scale.len();
            for (weights, scale) in folded[s.weight.clone()].chunks_exact_mut(row).zip(s.scale.clone()) {
                weights.iter_mut().for_each(|w| *w *= parameters[scale]);
            }
        }
        folded
    }

    /// From the gradients for the folded weights to those for weights and scales.
    pub(super) fn unfold(&self, parameters: &[f32], gradient: &mut [f32]) {
        for s in self.segments() {
            let row = s.weight.len() / s.scale.len();
            for (o, scale) in s.scale.clone().enumerate() {
                let range = s.weight.start + o * row..s.weight.start + (o + 1) * row;
                let (weights, gradients) = (&parameters[range.clone()], &mut gradient[range]);
                let sum = weights.iter().zip(gradients.iter()).map(|(w, g)| w * g).sum();
                gradients.iter_mut().for_each(|g| *g *= parameters[scale]);
                gradient[scale] = sum;
            }
        }
    }
}

impl Segment {
    fn weights<'a>(&self, folded: &'a [f32]) -> Weights<'a> {
        Weights { weight: &folded[self.weight.clone()], bias: &folded[self.bias.clone()] }
    }
}
