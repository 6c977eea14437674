//! The head that learns along: multinomial logistic regression on clips' mean features.
//!
//! Features are brought to mean 0 and deviation 1 over all clips that have some, labelled or not, and divided by √D, so
//! that a clip's vector has a length of about 1. The weights are shrunk by c/n (n labelled clips), and every class counts
//! the same, however many clips it has. The loss is convex; Nesterov's method brings it near its minimum in a fixed number
//! of steps, the length of which is found by power iteration. Nothing in it is random.

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::ops::softmax;

/// How strongly weights are shrunk: the c in c/n. On UCF-101's clips and I3D's features best at 70 labels as at 280.
const SHRINKAGE: f64 = 1.5;

/// Steps of Nesterov's method. After 60 as after 300 the same clips are right.
const STEPS: usize = 60;

/// Feature vectors of clips, brought to one scale: `f32 [clips, D]`.
#[derive(Debug, Clone)]
pub(super) struct Rows(Tensor);

impl Rows {
    /// Of the mean features of clips, all of one length.
    pub(super) fn standardised<'a>(features: impl ExactSizeIterator<Item = &'a [f32]>) -> Result<Self> {
        let clips = features.len();
        let numbers: Vec<f32> = features.flatten().copied().collect();
        let dim = numbers.len() / clips.max(1);
        let rows = Tensor::from_vec(numbers, (clips, dim), &Device::Cpu)?;
        let centred = rows.broadcast_sub(&rows.mean_keepdim(0)?)?;
        // A feature that never changes would be divided by nothing.
        let deviation = (centred.sqr()?.mean_keepdim(0)?.sqrt()? + 1e-3)?;
        Ok(Self((centred.broadcast_div(&deviation)? / (dim as f64).sqrt())?))
    }

    /// Those at `places`.
    pub(super) fn pick(&self, places: &[usize]) -> Result<Self> {
        let places: Vec<u32> = places.iter().map(|&place| place as u32).collect();
        Ok(Self(self.0.index_select(&Tensor::new(places, &Device::Cpu)?, 0)?))
    }

    /// Each of length 1: `[clips, D]`.
    pub(super) fn directions(&self) -> Result<Tensor> {
        self.0.broadcast_div(&(self.0.sqr()?.sum_keepdim(1)?.sqrt()? + 1e-6)?)
    }

    fn with_ones(&self) -> Result<Tensor> {
        let ones = Tensor::ones((self.0.dim(0)?, 1), DType::F32, &Device::Cpu)?;
        Tensor::cat(&[&self.0, &ones], 1)
    }
}

/// A head: `f32 [D + 1, classes]`, the biases last.
#[derive(Debug, Clone)]
pub(super) struct Linear(Tensor);

impl Linear {
    /// Learns that `rows` show `classes`, numbers below `count`; each of these has a clip.
    pub(super) fn fit(rows: &Rows, classes: &[usize], count: usize) -> Result<Self> {
        let x = rows.with_ones()?;
        let (clips, width) = x.dims2()?;
        let mut sizes = vec![0f32; count];
        classes.iter().for_each(|&class| sizes[class] += 1.0);
        // Weights that sum to 1, the same for each class.
        let weights: Vec<f32> = classes.iter().map(|&class| 1.0 / (sizes[class] * count as f32)).collect();
        let weights = Tensor::from_vec(weights, (clips, 1), &Device::Cpu)?;
        let mut targets = vec![0f32; clips * count];
        classes.iter().enumerate().for_each(|(clip, &class)| targets[clip * count + class] = 1.0);
        let targets = Tensor::from_vec(targets, (clips, count), &Device::Cpu)?;
        let shrinkage = SHRINKAGE / clips as f64;
        // The curvature of the softmax's loss is at most half that of the squares.
        let curvature = 0.5 * 1.05 * largest(&x, &weights)? + shrinkage;
        let transposed = x.t()?.contiguous()?;
        let mut head = Tensor::zeros((width, count), DType::F32, &Device::Cpu)?;
        let (mut ahead, mut pace) = (head.clone(), 1.0f64);
        for _ in 0..STEPS {
            let wrong = softmax(&x.matmul(&ahead)?, D::Minus1)?.sub(&targets)?.broadcast_mul(&weights)?;
            let slope = (transposed.matmul(&wrong)? + (&ahead * shrinkage)?)?;
            let next = (&ahead - (slope / curvature)?)?;
            let next_pace = (1.0 + (1.0 + 4.0 * pace * pace).sqrt()) / 2.0;
            ahead = (&next + ((&next - &head)? * ((pace - 1.0) / next_pace))?)?;
            (head, pace) = (next, next_pace);
        }
        Ok(Self(head))
    }

    /// The logits of each class for each of `rows`: `[clips][classes]`. Weights that are shrunk are shy of large ones: it
    /// takes a [`sharpness`] to make probabilities of them.
    pub(super) fn logits(&self, rows: &Rows) -> Result<Vec<Vec<f32>>> {
        rows.with_ones()?.matmul(&self.0)?.to_vec2()
    }
}

/// Probabilities of `logits` that are multiplied by `sharpness`.
pub(super) fn scores(logits: &[f32], sharpness: f32) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|logit| (sharpness * (logit - most)).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// What logits are to be multiplied by to be true: by it the right classes of these clips, which the head has not learned,
/// are the most likely (Guo et al. 2017). Each has `logits` and its class.
pub(super) fn sharpness(clips: &[(&[f32], usize)]) -> f32 {
    let surprise = |sharpness: f32| -> f32 {
        let of = |(logits, class): &(&[f32], usize)| -scores(logits, sharpness)[*class].max(1e-6).ln();
        clips.iter().map(of).sum()
    };
    // From a half to 32, in steps of a ninth.
    let tried = (0..40).map(|step| 0.5 * 2f32.powf(0.15 * step as f32));
    tried
        .map(|sharpness| (sharpness, surprise(sharpness)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(1.0, |(s, _)| s)
}

/// The largest eigenvalue of `Xᵀ diag(weights) X`, of `x [n, D]` and `weights [n, 1]`.
fn largest(x: &Tensor, weights: &Tensor) -> Result<f64> {
    let root = weights.sqrt()?;
    let x = x.broadcast_mul(&root)?;
    let transposed = x.t()?.contiguous()?;
    let mut vector = Tensor::ones((x.dim(1)?, 1), DType::F32, &Device::Cpu)?;
    let mut value = 0.0;
    for _ in 0..12 {
        let length = f64::from(vector.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt();
        vector = transposed.matmul(&x.matmul(&(vector / length.max(1e-12))?)?)?;
        value = f64::from(vector.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt();
    }
    Ok(value)
}

/// The class of the highest of `scores`, that, and by how much it is above the next.
pub(super) fn best(scores: &[f32]) -> (usize, f32, f32) {
    let (mut class, mut first, mut second) = (0, f32::NEG_INFINITY, 0.0f32);
    for (i, &score) in scores.iter().enumerate() {
        if score > first {
            (class, second, first) = (i, first.max(0.0), score);
        } else if score > second {
            second = score;
        }
    }
    (class, first, first - second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotation::made_up::clips;

    #[test]
    fn it_learns_what_few_labels_say_and_is_the_same_each_time() {
        let (features, classes) = clips(400, 5, 64, 1);
        let rows = Rows::standardised(features.iter().map(Vec::as_slice)).unwrap();
        let known: Vec<usize> = (0..40).collect();
        let fit = || Linear::fit(&rows.pick(&known).unwrap(), &classes[..40], 5).unwrap();
        let logits = fit().logits(&rows).unwrap();
        assert_eq!(logits, fit().logits(&rows).unwrap());
        let right = |clips: std::ops::Range<usize>| {
            clips.filter(|&clip| best(&scores(&logits[clip], 1.0)).0 == classes[clip]).count()
        };
        assert!(right(40..400) > 340, "{} of 360", right(40..400));
        // Made sharper on some, its probabilities are true of others: as sure as it is right.
        let some: Vec<(&[f32], usize)> = (40..200).map(|clip| (&*logits[clip], classes[clip])).collect();
        let sharpness = sharpness(&some);
        let sure: f32 = (200..400).map(|clip| best(&scores(&logits[clip], sharpness)).1).sum();
        let off = sure / 200.0 - right(200..400) as f32 / 200.0;
        assert!(sharpness > 1.0 && off.abs() < 0.1, "{sharpness} {off}");
    }

    #[test]
    fn a_rare_class_counts_as_much_as_a_frequent_one() {
        // One clip of class 1 among 60 of class 0, at the two ends of a line.
        let features: Vec<Vec<f32>> = (0..61).map(|i| vec![if i == 60 { 1.0 } else { 0.0 }, 0.5]).collect();
        let rows = Rows::standardised(features.iter().map(Vec::as_slice)).unwrap();
        let classes: Vec<usize> = (0..61).map(|i| usize::from(i == 60)).collect();
        let logits = Linear::fit(&rows, &classes, 2).unwrap().logits(&rows).unwrap();
        assert!(
            logits[60][1] > logits[60][0] && logits[0][0] > logits[0][1],
            "{:?} {:?}",
            logits[60],
            logits[0]
        );
    }

    #[test]
    fn probabilities_are_sharpened() {
        assert_eq!(scores(&[1.0, 1.0], 3.0), [0.5, 0.5]);
        let [high, low] = scores(&[0.0, -1.0], 2.0)[..] else { panic!() };
        assert!((high / low - 2f32.exp()).abs() < 1e-4 && (high + low - 1.0).abs() < 1e-6);
        assert_eq!(scores(&[500.0, 0.0], 32.0), [1.0, 0.0]);
        assert_eq!(sharpness(&[]), 0.5);
    }

    #[test]
    fn best_is_the_highest_and_its_lead() {
        assert_eq!(best(&[0.25, 0.5, 0.25]), (1, 0.5, 0.25));
        assert_eq!(best(&[1.0]), (0, 1.0, 1.0));
        assert_eq!(best(&[0.125, 0.25, 0.625]), (2, 0.625, 0.375));
    }
}
