//! A second CNN as a teacher: what it sees in the training clips is an extra target ("hints", Romero
//! et al. 2015), so that a small network learns what a large one knows of motion.

use std::ops::Range;

use candle_core::{D, Device, IndexOp, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Examples, normalisation};
use crate::Result;
use crate::model::Weights;

/// Parameters of the map from the CNN's features to the teacher's; they are dropped in the end.
const WEIGHT: &str = "teacher.weight";
const BIAS: &str = "teacher.bias";

/// The teacher's features of the training clips.
pub struct Teacher {
    /// `f32 [clips, steps, D]`, each feature of mean 0 and deviation 1 over all clips and steps.
    features: Tensor,
    /// How much missing them counts in the loss.
    weight: f64,
}

impl Teacher {
    /// `examples`: the features of the training clips, in their order.
    pub fn new(examples: &Examples, weight: f64) -> Result<Self> {
        let (mean, std) = normalisation(examples)?;
        Ok(Self { features: examples.features.broadcast_sub(&mean)?.broadcast_div(&std)?, weight })
    }

    /// First values of the map's parameters, for a CNN with features of length `dim`.
    pub fn start(&self, dim: usize, seed: u64) -> Result<Weights> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let out = self.features.dim(D::Minus1)?;
        let bound = 1.0 / (dim as f32).sqrt();
        let weight: Vec<f32> = (0..out * dim).map(|_| rng.random_range(-bound..bound)).collect();
        let weight = Tensor::from_vec(weight, (out, dim), &Device::Cpu)?;
        let bias = Tensor::zeros(out, candle_core::DType::F32, &Device::Cpu)?;
        Ok(Weights([(WEIGHT.into(), weight), (BIAS.into(), bias)].into()))
    }

    /// Whether `name` is one of the map's parameters.
    pub fn owns(name: &str) -> bool {
        name == WEIGHT || name == BIAS
    }

    /// What the teacher sees in `clips`, each in the part of it that `spans` says: `[B, D]`.
    pub fn targets(&self, clips: &[usize], spans: &[Range<f64>]) -> Result<Tensor> {
        let steps = self.features.dim(1)?;
        let row = |(&clip, span): (&usize, &Range<f64>)| -> Result<Tensor> {
            let first = ((span.start * steps as f64) as usize).min(steps - 1);
            let end = ((span.end * steps as f64).ceil() as usize).clamp(first + 1, steps);
            Ok(self.features.i((clip, first..end))?.mean(0)?)
        };
        Ok(Tensor::stack(&std::iter::zip(clips, spans).map(row).collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// How far the CNN's `features [B, T, F]` are from saying `targets [B, D]`: a scalar, 1 at the
    /// start and 0 where the map by the parameters in `weights` hits them all.
    pub fn loss(&self, weights: &Weights, features: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let seen = features.mean(1)?;
        let said = seen.matmul(&weights.0[WEIGHT].t()?)?.broadcast_add(&weights.0[BIAS])?;
        Ok(((said - targets)?.sqr()?.mean_all()? * self.weight)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn teacher() -> Teacher {
        let values: Vec<f32> = vec![0.0, 2.0, 4.0, 6.0, 1.0, 1.0, 1.0, 1.0];
        let features = Tensor::from_vec(values, (2, 4, 1), &Device::Cpu).unwrap();
        Teacher { features, weight: 1.0 }
    }

    #[test]
    fn targets_are_of_the_part_that_is_shown() {
        let targets = teacher().targets(&[0, 1, 0], &[0.5..1.0, 0.0..1.0, 0.0..0.01]).unwrap();
        assert_eq!(targets.to_vec2::<f32>().unwrap(), [[5.0], [1.0], [0.0]]);
    }

    #[test]
    fn the_map_can_be_learned() {
        let teacher = teacher();
        let mut weights = teacher.start(2, 0).unwrap();
        let features = Tensor::new(&[[[1f32, 0.0], [3.0, 0.0]]], &Device::Cpu).unwrap();
        let targets = Tensor::new(&[[8f32]], &Device::Cpu).unwrap();
        let loss = |weights: &Weights| {
            teacher.loss(weights, &features, &targets).unwrap().to_scalar::<f32>().unwrap()
        };
        assert!(loss(&weights) > 1.0);
        weights.0.insert(WEIGHT.into(), Tensor::new(&[[4f32, 9.0]], &Device::Cpu).unwrap());
        assert_eq!(loss(&weights), 0.0);
    }
}
