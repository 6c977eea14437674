//! What training makes small where a clip may show several labels: binary cross-entropy, a sigmoid a label.

use candle_core::{D, Result, Tensor};
use candle_nn::ops::log_softmax;

use super::{ClassBalance, Validation};
use crate::learning::metrics::{SeveralAnswer, SeveralMetrics};
use crate::model::Scoring;

/// What a batch shows: how much of each label, `labels` a row.
#[derive(Debug, Clone)]
pub(super) struct SeveralTargets {
    rows: Vec<Vec<f32>>,
    /// What each label counts in the loss. On both sides, shown or not: the scores stay probabilities.
    weights: Vec<f32>,
    /// What is added to each label's logit.
    offsets: Vec<f32>,
    /// How much of the wanted probability is spread over 'shown' and 'not shown'.
    smoothing: f32,
}

impl SeveralTargets {
    /// `shown`: the labels of each clip.
    pub(super) fn new(shown: &[&[usize]], labels: usize, smoothing: f32, balance: &ClassBalance) -> Self {
        let row = |shown: &&[usize]| {
            let mut row = vec![0.0; labels];
            shown.iter().for_each(|&label| row[label] = 1.0);
            row
        };
        Self {
            rows: shown.iter().map(row).collect(),
            weights: balance.weights.clone(),
            offsets: balance.offsets.clone(),
            smoothing,
        }
    }

    /// Mixes each row with another of the batch, as its input was.
    pub(super) fn mix(&self, other: &[usize], share: f32) -> Self {
        let row = |(i, &j): (usize, &usize)| {
            let pairs = std::iter::zip(&self.rows[i], &self.rows[j]);
            pairs.map(|(a, b)| share * a + (1.0 - share) * b).collect()
        };
        Self { rows: other.iter().enumerate().map(row).collect(), ..self.clone() }
    }

    /// How many clips `logits` `[B, labels]` are right about in every label; of a mixed clip, in what it shows most.
    pub(super) fn correct(&self, logits: &Tensor) -> Result<f64> {
        let answers = logits.to_vec2::<f32>()?;
        let right = |(row, answer): &(&Vec<f32>, Vec<f32>)| {
            std::iter::zip(*row, answer).all(|(shown, logit)| (*shown >= 0.5) == (*logit >= 0.0))
        };
        Ok(std::iter::zip(&self.rows, answers).filter(right).count() as f64)
    }

    /// Mean binary cross-entropy of `logits` `[B, labels]` over clips and labels, a scalar.
    pub(super) fn loss(&self, logits: &Tensor) -> Result<Tensor> {
        let (clips, labels) = logits.dims2()?;
        let device = logits.device();
        let rows = Tensor::from_vec(self.rows.concat(), (clips, labels), device)?;
        let rows = rows.affine(f64::from(1.0 - self.smoothing), f64::from(self.smoothing) / 2.0)?;
        let wanted = Tensor::stack(&[&rows, &rows.affine(-1.0, 1.0)?], 2)?;
        let logits = logits.broadcast_add(&Tensor::new(&*self.offsets, device)?)?;
        // A sigmoid is a softmax of two logits, one of which is 0.
        let pairs = Tensor::stack(&[&logits, &logits.zeros_like()?], 2)?;
        let losses = (wanted * log_softmax(&pairs, D::Minus1)?)?.sum(2)?.neg()?;
        let weights = Tensor::new(&*self.weights, device)?;
        let whole = f64::from(self.weights.iter().sum::<f32>().max(f32::MIN_POSITIVE)) * clips as f64;
        losses.broadcast_mul(&weights)?.sum_all()? / whole
    }
}

/// Scores of `logits` `[clips, labels]` against what the clips show.
pub(super) fn validation(logits: &Tensor, shown: &[Vec<usize>], labels: usize) -> crate::Result<Validation> {
    let rows: Vec<&[usize]> = shown.iter().map(Vec::as_slice).collect();
    let targets = SeveralTargets::new(&rows, labels, 0.0, &ClassBalance::even(labels));
    let loss = f64::from(targets.loss(logits)?.to_scalar::<f32>()?);
    let scores = Scoring::Sigmoid.scores(logits)?.to_vec2::<f32>()?;
    let answers: Vec<SeveralAnswer> = std::iter::zip(shown, scores)
        .map(|(shown, scores)| SeveralAnswer { shown: shown.clone(), scores: Some(scores) })
        .collect();
    let names: Vec<String> = (0..labels).map(|label| label.to_string()).collect();
    let metrics = SeveralMetrics::new(&names, &vec![0.5; labels], &answers);
    Ok(Validation {
        loss,
        accuracy: metrics.exact,
        macro_f1: metrics.macro_f1,
        mean_average_precision: Some(metrics.mean_average_precision),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    const LOGITS: [[f32; 3]; 2] = [[0.5, -1.5, 0.0], [2.0, 0.25, -3.0]];
    const SHOWN: [&[usize]; 2] = [&[0, 2], &[]];

    /// The formula as it stands in books, in f64.
    fn plain(balance: &ClassBalance, smoothing: f64) -> f64 {
        let (mut sum, mut whole) = (0.0, 0.0);
        for (logits, shown) in LOGITS.iter().zip(SHOWN) {
            for (label, logit) in logits.iter().enumerate() {
                let y = f64::from(u8::from(shown.contains(&label)));
                let y = y * (1.0 - smoothing) + smoothing / 2.0;
                let p = 1.0 / (1.0 + (-f64::from(logit + balance.offsets[label])).exp());
                let weight = f64::from(balance.weights[label]);
                sum -= weight * (y * p.ln() + (1.0 - y) * (1.0 - p).ln());
                whole += weight;
            }
        }
        sum / whole
    }

    #[test]
    fn loss_and_gradient_are_those_of_the_formula() {
        let balance = ClassBalance { weights: vec![1.0, 3.0, 0.5], offsets: vec![0.0, 0.5, -1.0] };
        let targets = SeveralTargets::new(&SHOWN, 3, 0.1, &balance);
        let logits = Var::new(&LOGITS, &Device::Cpu).unwrap();
        let loss = targets.loss(&logits).unwrap();
        assert!((f64::from(loss.to_scalar::<f32>().unwrap()) - plain(&balance, 0.1)).abs() < 1e-6);
        let gradients = loss.backward().unwrap();
        let gradient = gradients.get(&logits).unwrap().to_vec2::<f32>().unwrap();
        for (clip, row) in gradient.iter().enumerate() {
            for (label, got) in row.iter().enumerate() {
                let y = if SHOWN[clip].contains(&label) { 0.95 } else { 0.05 };
                let p = 1.0 / (1.0 + (-(LOGITS[clip][label] + balance.offsets[label])).exp());
                let wanted = balance.weights[label] * (p - y) / (2.0 * 4.5);
                assert!((got - wanted).abs() < 1e-6, "{clip} {label}: {got} for {wanted}");
            }
        }
    }

    #[test]
    fn mixed_clips_are_wanted_to_show_a_share() {
        let targets = SeveralTargets::new(&SHOWN, 3, 0.0, &ClassBalance::even(3)).mix(&[1, 0], 0.75);
        assert_eq!(targets.rows, [[0.75, 0.0, 0.75], [0.25, 0.0, 0.25]]);
        let logits = Tensor::new(&[[1f32, -1.0, 0.5], [-1.0, -1.0, 0.5]], &Device::Cpu).unwrap();
        assert_eq!(targets.correct(&logits).unwrap(), 1.0);
    }
}
