//! A head on the features of a CNN that stays as it is.

use candle_core::{D, Device, IndexOp, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{ClassBalance, Mixup, Stage, Step, Validation, Wanted, objective};
use crate::Result;
use crate::learning::dataset::Task;
use crate::learning::features::Examples;
use crate::model::{HeadConfig, Weights};
use crate::networks::heads::{Dropout, Head};

/// Trains `head.*` on cached features.
pub(super) struct HeadStage<'a> {
    pub config: &'a HeadConfig,
    /// Tensors of the head that stay as they are.
    pub fixed: &'a Weights,
    pub task: Task,
    pub classes: usize,
    pub train: &'a Examples,
    pub validation: &'a Examples,
    pub balance: &'a ClassBalance,
    pub label_smoothing: f32,
    /// Mixup's Beta(α, α); 0 for none.
    pub mixup: f64,
    /// A clip shows at least this share of its steps, a run of them from a random place.
    pub min_span: f64,
    pub device: &'a Device,
}

impl HeadStage<'_> {
    fn head(&self, weights: &Weights) -> Result<Head> {
        let mut all = weights.clone();
        all.0.extend(self.fixed.0.clone());
        let dim = self.train.features.dim(D::Minus1)?;
        Ok(self.config.load(dim, self.classes, all.var_builder(self.device).pp("head"))?)
    }

    /// Random runs of the clips' steps, moved to the front: features `[B, T, D]` and their lengths.
    fn spans(&self, batch: &[usize], rng: &mut ChaCha8Rng) -> Result<(Tensor, Vec<usize>)> {
        let steps = self.train.features.dim(1)?;
        let least = ((self.min_span * steps as f64).ceil() as usize).clamp(1, steps);
        let (mut rows, mut lengths) = (Vec::new(), Vec::new());
        for &clip in batch {
            let length = rng.random_range(least..=steps);
            let start = rng.random_range(0..=steps - length);
            let row = self.train.features.i((clip, start..start + length))?;
            rows.push(row.pad_with_zeros(0, 0, steps - length)?);
            lengths.push(length);
        }
        Ok((Tensor::stack(&rows, 0)?.to_device(self.device)?, lengths))
    }
}

impl Stage for HeadStage<'_> {
    fn labels(&self) -> &[Vec<usize>] {
        &self.train.labels
    }

    fn step(&self, weights: &Weights, batch: &[usize], rng: &mut ChaCha8Rng) -> Result<Step> {
        let (mut x, mut lengths) = self.spans(batch, rng)?;
        let labels: Vec<&[usize]> = batch.iter().map(|&clip| &*self.train.labels[clip]).collect();
        let mut targets = Wanted::new(self.task, &labels, self.classes, self.label_smoothing, self.balance);
        if let Some(mixup) = Mixup::draw(self.mixup, batch.len(), rng) {
            x = mixup.tensor(&x)?;
            lengths = mixup.other.iter().enumerate().map(|(i, &j)| lengths[i].max(lengths[j])).collect();
            targets = targets.mix(&mixup.other, mixup.share);
        }
        let mut dropout = Dropout::new(rng.random());
        let logits = self.head(weights)?.forward_batch(&x, &lengths, Some(&mut dropout))?;
        Ok(Step { loss: targets.loss(&logits)?, correct: targets.correct(&logits)? })
    }

    fn validate(&self, weights: &Weights) -> Result<Validation> {
        let logits = all_logits(self.task, &self.head(weights)?, self.validation, self.device)?;
        objective::validation(self.task, &logits, &self.validation.labels, self.classes)
    }
}

/// The logits `[clips, classes]` of whole clips, some hundreds at a time; as the model's are, see
/// [`Classifier::logits`](crate::Classifier::logits).
pub(super) fn all_logits(task: Task, head: &Head, clips: &Examples, device: &Device) -> Result<Tensor> {
    let (count, steps, dim) = clips.features.dims3()?;
    let mut logits = Vec::new();
    for start in (0..count).step_by(256) {
        let batch = 256.min(count - start);
        let x = clips.features.narrow(0, start, batch)?.to_device(device)?;
        let of_batch = match task {
            Task::OneOf => head.forward_batch(&x, &vec![steps; batch], None)?,
            Task::AnyOf => {
                let rows = batch * clips.windows;
                let windows = x.reshape((rows, steps / clips.windows, dim))?;
                let each = head.forward_batch(&windows, &vec![steps / clips.windows; rows], None)?;
                each.reshape((batch, clips.windows, ()))?.max(1)?
            }
        };
        logits.push(of_batch.detach());
    }
    Ok(Tensor::cat(&logits, 0)?)
}

/// Mean and standard deviation of each feature over clips and steps: `[D]`, `[D]`.
pub(super) fn normalisation(examples: &Examples) -> Result<(Tensor, Tensor)> {
    let rows = examples.features.flatten_to(1)?;
    let mean = rows.mean(0)?;
    let variance = rows.broadcast_sub(&mean)?.sqr()?.mean(0)?;
    // A feature that never changes would be divided by nothing.
    Ok((mean, (variance.sqrt()? + 1e-3)?))
}

/// Rewrites a mean head trained on `(x − mean) / std` as one on `x`.
pub(super) fn fold_normalisation(head: &Weights, mean: &Tensor, std: &Tensor) -> Result<Weights> {
    let weight = head.0["head.classifier.weight"].broadcast_div(std)?;
    let shift = weight.matmul(&mean.unsqueeze(1)?)?.squeeze(1)?;
    let bias = (&head.0["head.classifier.bias"] - shift)?;
    Ok(Weights(
        [("head.classifier.weight".to_string(), weight), ("head.classifier.bias".to_string(), bias)].into(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_gives_the_same_answer() {
        let device = &Device::Cpu;
        let x = Tensor::new(&[[1f32, 5.0]], device).unwrap();
        let (mean, std) =
            (Tensor::new(&[2f32, 3.0], device).unwrap(), Tensor::new(&[0.5f32, 4.0], device).unwrap());
        let weight = Tensor::new(&[[1f32, -2.0], [3.0, 0.5]], device).unwrap();
        let bias = Tensor::new(&[0.1f32, 0.2], device).unwrap();
        let normed = x.broadcast_sub(&mean).unwrap().broadcast_div(&std).unwrap();
        let expected = normed.matmul(&weight.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
        let head = Weights(
            [("head.classifier.weight".to_string(), weight), ("head.classifier.bias".to_string(), bias)]
                .into(),
        );
        let folded = fold_normalisation(&head, &mean, &std).unwrap();
        let got = x.matmul(&folded.0["head.classifier.weight"].t().unwrap()).unwrap();
        let got = got.broadcast_add(&folded.0["head.classifier.bias"]).unwrap();
        let difference =
            (got - expected).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(difference < 1e-5, "{difference}");
    }
}
