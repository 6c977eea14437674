//! From which score on a clip shows a label, where it may show several.

use super::calibration::lowest_temperature;

/// Validation clips that stand in for the others', for a label that few of the clips show.
const BORROWED: f64 = 5.0;

/// The temperature that makes sigmoids of logits probabilities: under which the clips are likeliest to show what they
/// show; 1 for no clips. `logits`: `[clips][labels]`; `shown`: the labels of each clip.
///
/// `doubt` is the share of clips that may be something else after all, see
/// [`fit_temperature`](super::calibration::fit_temperature).
pub(crate) fn sigmoid_temperature(logits: &[Vec<f32>], shown: &[Vec<usize>], doubt: f64) -> f64 {
    if logits.is_empty() {
        return 1.0;
    }
    lowest_temperature(|temperature| {
        let clip = |(logits, shown): (&Vec<f32>, &Vec<usize>)| -> f64 {
            let label = |(label, logit): (usize, &f32)| {
                let wanted = if shown.contains(&label) { 1.0 - doubt / 2.0 } else { doubt / 2.0 };
                let z = f64::from(*logit) / temperature;
                z.max(0.0) - z * wanted + (-z.abs()).exp().ln_1p()
            };
            logits.iter().enumerate().map(label).sum()
        };
        std::iter::zip(logits, shown).map(clip).sum()
    })
}

/// For each label the score from which on calling a clip so gives the highest F1 on these clips. `scores`:
/// `[clips][labels]`; `shown`: the labels of each clip.
///
/// A few clips say little of where to cut: each label also counts what the same threshold would do for all labels
/// together, as if [`BORROWED`] of their clips were its own.
pub(crate) fn thresholds(scores: &[Vec<f32>], shown: &[Vec<usize>], labels: usize) -> Vec<f64> {
    let own: Vec<Vec<(f64, bool)>> = (0..labels)
        .map(|label| {
            let clips = std::iter::zip(scores, shown);
            clips.map(|(scores, shown)| (f64::from(scores[label]), shown.contains(&label))).collect()
        })
        .collect();
    let all: Vec<(f64, bool)> = own.concat();
    let all_shown = all.iter().filter(|(_, shown)| *shown).count();
    if all_shown == 0 {
        return vec![0.5; labels];
    }
    let share = BORROWED / all_shown as f64;
    // Between neighbouring scores of any label: there, nothing hangs on a hair.
    let mut scores: Vec<f64> = all.iter().map(|(score, _)| *score).collect();
    scores.sort_by(f64::total_cmp);
    scores.dedup();
    let candidates: Vec<f64> = scores.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
    let common = Counts::at(&all, &candidates);
    let best = |own: &[(f64, bool)]| {
        let own = Counts::at(own, &candidates);
        let f1 = |i: usize| {
            let sum = |own: f64, common: f64| own + share * common;
            let right = sum(own.right[i], common.right[i]);
            2.0 * right / (sum(own.named[i], common.named[i]) + sum(own.shown, common.shown))
        };
        let best = (0..candidates.len()).max_by(|&a, &b| f1(a).total_cmp(&f1(b)));
        best.map_or(0.5, |best| candidates[best])
    };
    own.iter().map(|own| best(own)).collect()
}

/// How many clips are named at each threshold, and how many of them rightly.
struct Counts {
    named: Vec<f64>,
    right: Vec<f64>,
    shown: f64,
}

impl Counts {
    /// `thresholds` rise.
    fn at(clips: &[(f64, bool)], thresholds: &[f64]) -> Self {
        let mut clips = clips.to_vec();
        clips.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut named, mut right) = (vec![0.0; thresholds.len()], vec![0.0; thresholds.len()]);
        let (mut next, mut hits) = (0, 0.0);
        for i in (0..thresholds.len()).rev() {
            while next < clips.len() && clips[next].0 >= thresholds[i] {
                hits += f64::from(u8::from(clips[next].1));
                next += 1;
            }
            (named[i], right[i]) = (next as f64, hits);
        }
        let shown = clips.iter().filter(|(_, shown)| *shown).count() as f64;
        Self { named, right, shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_has_the_threshold_that_suits_it() {
        // Label 0 is shown from 0.3 on, label 1 from 0.7 on; label 2 never.
        let scores: Vec<Vec<f32>> =
            (0..100).map(|i| vec![i as f32 / 100.0, (99 - i) as f32 / 100.0, 0.1]).collect();
        let shown: Vec<Vec<usize>> = (0..100)
            .map(|i| {
                let is = [i >= 30, 99 - i >= 70];
                (0..2).filter(|label| is[*label]).collect()
            })
            .collect();
        let found = thresholds(&scores, &shown, 3);
        assert!((found[0] - 0.295).abs() < 0.02 && (found[1] - 0.695).abs() < 0.02, "{found:?}");
        assert!(
            (0.2..0.8).contains(&found[2]),
            "a label without clips takes what suits the others: {found:?}"
        );
        assert_eq!(thresholds(&[vec![0.2]], &[vec![]], 1), [0.5]);
    }

    #[test]
    fn temperature_makes_scores_as_high_as_labels_are_shown() {
        // Shown in 3 of 4 clips at a logit of 4: the score is 0.75 at 4 / ln 3.
        let logits = vec![vec![4.0]; 4];
        let shown = [vec![0], vec![0], vec![0], vec![]];
        let temperature = sigmoid_temperature(&logits, &shown, 0.0);
        assert!((temperature - 4.0 / 3f64.ln()).abs() < 1e-2, "{temperature}");
    }
}
