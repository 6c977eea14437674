//! Scores that can be believed: temperature and threshold.
//!
//! A network trained on a fixed list of classes gives a high score to whatever it is shown. Its
//! logits are divided by one number, the temperature (Guo et al., "On Calibration of Modern
//! Neural Networks", 2017), fitted on clips that the network was not trained on; below a
//! threshold, set on clips that show none of its classes, an answer counts as not sure.

use crate::model::Calibration;

/// A clip's logits, and the class that it truly shows (an index into them).
#[derive(Debug, Clone)]
pub struct Known {
    /// The model's, one a class.
    pub logits: Vec<f32>,
    /// The true class.
    pub class: usize,
}

/// Best class and its probability: softmax of `logits / temperature`. Nothing for no logits.
pub fn best(logits: &[f32], temperature: f64) -> Option<(usize, f64)> {
    let (class, top) = logits.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some((class, 1.0 / total(logits, top, temperature)))
}

/// `Σ exp((logit − top) / temperature)`.
fn total(logits: &[f32], top: f32, temperature: f64) -> f64 {
    logits.iter().map(|logit| (f64::from(logit - top) / temperature).exp()).sum()
}

/// Mean negative log-probability of the true classes, which hold with a probability of 1 − `doubt`; any class is as
/// likely in the rest.
fn log_loss(known: &[Known], temperature: f64, doubt: f64) -> f64 {
    let loss = |clip: &Known| {
        let mean = clip.logits.iter().map(|&logit| f64::from(logit)).sum::<f64>() / clip.logits.len() as f64;
        let truth = (1.0 - doubt) * f64::from(clip.logits[clip.class]) + doubt * mean;
        let top = clip.logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        total(&clip.logits, top, temperature).ln() + (f64::from(top) - truth) / temperature
    };
    known.iter().map(loss).sum::<f64>() / known.len() as f64
}

/// The temperature, from 0.05 to 20, under which the true classes are likeliest; 1 for no clips.
///
/// `doubt` is the share of clips that may be something else after all; 0 where there are many. Of a few that are all
/// right it keeps the scores below 1 (as in Platt 1999, "Probabilistic Outputs for Support Vector Machines").
pub(crate) fn fit_temperature(known: &[Known], doubt: f64) -> f64 {
    if known.is_empty() {
        return 1.0;
    }
    lowest_temperature(|temperature| log_loss(known, temperature, doubt))
}

/// The temperature from 0.05 to 20 with the lowest `loss`.
pub(crate) fn lowest_temperature(loss: impl Fn(f64) -> f64) -> f64 {
    // The loss has one minimum in 1/T; a ternary search in log T finds it to 4 digits.
    let (mut low, mut high) = (0.05f64.ln(), 20f64.ln());
    for _ in 0..60 {
        let third = (high - low) / 3.0;
        if loss((low + third).exp()) < loss((high - third).exp()) {
            high -= third;
        } else {
            low += third;
        }
    }
    ((low + high) / 2.0).exp()
}

/// The lowest threshold under which at most `share` of the clips that show none of the classes
/// pass as confident. `none`: their best scores.
pub(crate) fn threshold_for(none: &[f64], share: f64) -> f64 {
    let mut none = none.to_vec();
    none.sort_by(|a, b| b.total_cmp(a));
    let allowed = (none.len() as f64 * share) as usize;
    // Just above the first score that may not pass.
    none.get(allowed).map_or(0.0, |score| score.next_up())
}

/// Temperature and threshold, fitted on `known` clips and on the logits of clips that show `none`
/// of the classes, at most `share` of which shall pass as confident.
pub fn calibrate(known: &[Known], none: &[Vec<f32>], share: f64) -> Calibration {
    let temperature = fit_temperature(known, 0.0);
    let none: Vec<f64> = none.iter().filter_map(|l| best(l, temperature)).map(|(_, score)| score).collect();
    Calibration { temperature, threshold: threshold_for(&none, share), enough: None }
}

/// Probability of each class: softmax of `logits / temperature`.
pub fn softmax(logits: &[f32], temperature: f64) -> Vec<f32> {
    let Some((_, best)) = best(logits, temperature) else {
        return Vec::new();
    };
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().map(|logit| (best * (f64::from(logit - top) / temperature).exp()) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_is_the_softmax() {
        let (class, score) = best(&[1.0, 3.0, 2.0], 1.0).unwrap();
        let sum = 1f64.exp() + 3f64.exp() + 2f64.exp();
        assert_eq!(class, 1);
        assert!((score - 3f64.exp() / sum).abs() < 1e-12);
        assert!(best(&[1.0, 3.0, 2.0], 10.0).unwrap().1 < score);
        assert_eq!(best(&[], 1.0), None);
        let scores = softmax(&[1.0, 3.0, 2.0], 1.0);
        assert!((f64::from(scores[1]) - score).abs() < 1e-7);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((scores[2] / scores[0] - 1f32.exp()).abs() < 1e-5);
    }

    /// Two classes, right 3 of 4 times with a logit difference of 4: the temperature that makes
    /// the score 0.75 is 4 / ln 3.
    #[test]
    fn temperature_makes_scores_as_high_as_answers_are_right() {
        let known: Vec<Known> =
            (0..4).map(|i| Known { logits: vec![4.0, 0.0], class: usize::from(i == 3) }).collect();
        let temperature = fit_temperature(&known, 0.0);
        assert!((temperature - 4.0 / 3f64.ln()).abs() < 1e-3, "{temperature}");
        assert!((best(&[4.0, 0.0], temperature).unwrap().1 - 0.75).abs() < 1e-4);
    }

    #[test]
    fn doubt_keeps_scores_below_one() {
        let known = vec![Known { logits: vec![1.0, 0.0], class: 0 }; 8];
        let score = |doubt| best(&[1.0, 0.0], fit_temperature(&known, doubt)).unwrap().1;
        assert!(score(0.0) > 0.999_999);
        // Half of the doubt falls on the class itself.
        assert!((score(0.1) - 0.95).abs() < 1e-4, "{}", score(0.1));
    }

    #[test]
    fn threshold_lets_the_share_pass_and_no_more() {
        let none: Vec<f64> = (1..=10).map(|i| f64::from(i) / 10.0).collect();
        for (share, passing) in [(0.0, 0), (0.1, 1), (0.19, 1), (0.5, 5), (1.0, 10)] {
            let threshold = threshold_for(&none, share);
            assert_eq!(none.iter().filter(|s| **s >= threshold).count(), passing, "{share}");
        }
        assert_eq!(threshold_for(&[], 0.1), 0.0);
    }
}
