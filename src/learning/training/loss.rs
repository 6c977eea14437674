//! What training makes small.

use candle_core::{D, Device, Result, Tensor};
use candle_nn::ops::{log_softmax, softmax};

use super::{ClassBalance, Validation};
use crate::learning::metrics::{Answer, Metrics};

/// What a batch shows: each class's share of a clip, `classes` a row, and the row's weight in the loss.
#[derive(Debug, Clone)]
pub(super) struct Targets {
    pub rows: Vec<Vec<f32>>,
    pub weights: Vec<f32>,
    /// What is added to each class's logit.
    offsets: Vec<f32>,
    /// How much of the wanted probability is spread over all classes.
    smoothing: f32,
}

impl Targets {
    /// One class a clip; `smoothing` of its probability is wanted of all alike (Szegedy et al., 2016).
    pub(super) fn new(labels: &[usize], classes: usize, smoothing: f32, balance: &ClassBalance) -> Self {
        let row = |&label: &usize| {
            let mut row = vec![0.0; classes];
            row[label] = 1.0;
            row
        };
        Self {
            rows: labels.iter().map(row).collect(),
            weights: labels.iter().map(|&l| balance.weights[l]).collect(),
            offsets: balance.offsets.clone(),
            smoothing,
        }
    }

    /// Mixes each row with another of the batch, as its input was: `share · own + (1 − share) · other`
    /// (mixup, Zhang et al., 2018).
    pub(super) fn mix(&self, other: &[usize], share: f32) -> Self {
        let mix = |a: f32, b: f32| share * a + (1.0 - share) * b;
        let row = |(i, &j): (usize, &usize)| {
            std::iter::zip(&self.rows[i], &self.rows[j]).map(|(a, b)| mix(*a, *b)).collect()
        };
        Self {
            rows: other.iter().enumerate().map(row).collect(),
            weights: other.iter().enumerate().map(|(i, &j)| mix(self.weights[i], self.weights[j])).collect(),
            offsets: self.offsets.clone(),
            smoothing: self.smoothing,
        }
    }

    /// How many clips `logits` `[B, classes]` are right about; a mixed clip counts by the answered class's share.
    pub(super) fn correct(&self, logits: &Tensor) -> Result<f64> {
        let answers = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
        Ok(std::iter::zip(&self.rows, answers).map(|(row, answer)| f64::from(row[answer as usize])).sum())
    }

    fn tensors(&self, device: &Device) -> Result<(Tensor, Tensor)> {
        let classes = self.rows.first().map_or(0, Vec::len);
        let rows = Tensor::from_vec(self.rows.concat(), (self.rows.len(), classes), device)?;
        let rows =
            rows.affine(f64::from(1.0 - self.smoothing), f64::from(self.smoothing) / classes as f64)?;
        Ok((rows, Tensor::from_slice(&self.weights, self.weights.len(), device)?))
    }
}

/// Mean cross-entropy of `logits` `[B, classes]`, a scalar.
pub(super) fn cross_entropy(logits: &Tensor, targets: &Targets) -> Result<Tensor> {
    let (rows, weights) = targets.tensors(logits.device())?;
    let logits = logits.broadcast_add(&Tensor::new(&*targets.offsets, logits.device())?)?;
    let losses = (rows * log_softmax(&logits, D::Minus1)?)?.sum(1)?.neg()?;
    (losses * &weights)?.sum_all()? / f64::from(targets.weights.iter().sum::<f32>().max(f32::MIN_POSITIVE))
}

/// Scores of `logits` `[clips, classes]` against the true classes.
pub(super) fn validation(logits: &Tensor, labels: &[usize], classes: usize) -> crate::Result<Validation> {
    let targets = Targets::new(labels, classes, 0.0, &ClassBalance::even(classes));
    let loss = f64::from(cross_entropy(logits, &targets)?.to_scalar::<f32>()?);
    let scores = softmax(logits, D::Minus1)?.to_vec2::<f32>()?;
    let answers: Vec<Answer> = std::iter::zip(labels, scores)
        .map(|(&truth, scores)| Answer { truth, scores: Some(scores) })
        .collect();
    let names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let metrics = Metrics::new(&names, &answers);
    Ok(Validation {
        loss,
        accuracy: metrics.accuracy,
        macro_f1: metrics.macro_f1,
        mean_average_precision: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss<const N: usize>(logits: &[[f32; 2]; N], targets: &Targets) -> f32 {
        let logits = Tensor::new(logits, &Device::Cpu).unwrap();
        cross_entropy(&logits, targets).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn even_logits_cost_ln_2() {
        let targets = Targets::new(&[0], 2, 0.0, &ClassBalance::even(2));
        assert!((loss(&[[3.0, 3.0]], &targets) - 2f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn class_weights_shift_the_mean() {
        let heavy = ClassBalance { weights: vec![1.0, 3.0], ..ClassBalance::even(2) };
        let right_then_wrong = [[9.0, 0.0], [9.0, 0.0]];
        let even = loss(&right_then_wrong, &Targets::new(&[0, 1], 2, 0.0, &ClassBalance::even(2)));
        let second_heavy = loss(&right_then_wrong, &Targets::new(&[0, 1], 2, 0.0, &heavy));
        assert!((even - 4.5).abs() < 0.01 && (second_heavy - 6.75).abs() < 0.01);
    }

    #[test]
    fn an_offset_has_to_be_overcome() {
        let offset = ClassBalance { offsets: vec![2.0, 0.0], ..ClassBalance::even(2) };
        let loss_of = |labels: &[usize]| loss(&[[0.0, 2.0]], &Targets::new(labels, 2, 0.0, &offset));
        assert!((loss_of(&[0]) - 2f32.ln()).abs() < 1e-6 && (loss_of(&[1]) - 2f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn mixing_shares_rows() {
        let targets = Targets::new(&[0, 1], 2, 0.0, &ClassBalance::even(2)).mix(&[1, 0], 0.75);
        assert_eq!(targets.rows, [[0.75, 0.25], [0.25, 0.75]]);
        let logits = Tensor::new(&[[1f32, 0.0], [1.0, 2.0]], &Device::Cpu).unwrap();
        assert_eq!(targets.correct(&logits).unwrap(), 1.5);
    }

    #[test]
    fn smoothing_wants_a_little_of_every_class() {
        let sure = [[9f32, 0.0]];
        let (plain, smooth) = (
            Targets::new(&[0], 2, 0.0, &ClassBalance::even(2)),
            Targets::new(&[0], 2, 0.1, &ClassBalance::even(2)),
        );
        assert!((loss(&sure, &smooth) - loss(&sure, &plain) - 0.05 * 9.0).abs() < 1e-4);
        let logits = Tensor::new(&sure, &Device::Cpu).unwrap();
        assert_eq!(smooth.correct(&logits).unwrap(), 1.0);
    }
}
