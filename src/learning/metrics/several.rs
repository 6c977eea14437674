//! How good answers are where a clip may show several labels.

use serde::{Deserialize, Serialize};

use super::{Bin, share};

/// One clip's answer beside the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct SeveralAnswer {
    /// The labels that it shows.
    pub shown: Vec<usize>,
    /// Score of each label, `[labels]`; `None` for a clip that could not be read.
    pub scores: Option<Vec<f32>>,
}

/// The figures of a model that names several labels, on a set of labelled clips.
///
/// A clip that could not be read counts as one of which nothing was said: it stays in every label's support, so that no
/// figure can rise by leaving clips out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeveralMetrics {
    /// Mean over the labels that some clip shows of the average precision: the area under precision over recall, which
    /// no threshold has a part in.
    pub mean_average_precision: f64,
    /// What answering at random gives: the mean share of the clips that show a label.
    pub chance: f64,
    /// Mean F1 of the labels that some clip shows or is said to show.
    pub macro_f1: f64,
    /// F1 of all answers of all labels together.
    pub micro_f1: f64,
    /// Share of the clips with no label too many or too few.
    pub exact: f64,
    /// Clips, readable or not.
    pub clips: usize,
    /// Clips that could not be read (or answered with numbers: NaN).
    pub errors: usize,
    /// Expected calibration error of all scores, 15 bins: mean distance of a score from the share of clips that show
    /// the label at that score.
    pub calibration_error: f64,
    /// The same of each label, in the order of the labels.
    pub per_label: Vec<LabelMetrics>,
    /// Clips that show both of two labels; on the diagonal, one.
    pub together: Vec<Vec<usize>>,
    /// Clips that show one label (row) and are wrongly said to show another (column).
    pub mistaken: Vec<Vec<usize>>,
}

/// One label's figures; 0 where nothing is there to divide by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelMetrics {
    /// The label.
    pub label: String,
    /// Area under precision over recall.
    pub average_precision: f64,
    /// From which score on a clip is said to show it.
    pub threshold: f64,
    /// Share of the clips said to show it that do.
    pub precision: f64,
    /// Share of the clips that show it that are said to.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Clips that show it, readable or not.
    pub support: usize,
    /// Clips that are said to show it.
    pub named: usize,
}

impl SeveralMetrics {
    /// The figures of `answers`, with a threshold a label.
    pub fn new(labels: &[String], thresholds: &[f64], answers: &[SeveralAnswer]) -> Self {
        let count = labels.len();
        let mut together = vec![vec![0; count]; count];
        let mut mistaken = vec![vec![0; count]; count];
        let (mut support, mut named, mut right) = (vec![0; count], vec![0; count], vec![0; count]);
        let (mut exact, mut errors) = (0, 0);
        let mut bins = [Bin::default(); 15];
        for answer in answers {
            for &a in &answer.shown {
                support[a] += 1;
                answer.shown.iter().for_each(|&b| together[a][b] += 1);
            }
            let Some(scores) = usable(answer) else {
                errors += 1;
                continue;
            };
            let mut is_exact = true;
            for (label, &score) in scores.iter().enumerate() {
                let is_shown = answer.shown.contains(&label);
                let is_named = f64::from(score) >= thresholds[label];
                named[label] += usize::from(is_named);
                right[label] += usize::from(is_named && is_shown);
                is_exact &= is_named == is_shown;
                Bin::of(&mut bins, score).add(score, is_shown);
                if is_named && !is_shown {
                    answer.shown.iter().for_each(|&other| mistaken[other][label] += 1);
                }
            }
            exact += usize::from(is_exact);
        }
        let label = |label: usize| LabelMetrics {
            label: labels[label].clone(),
            average_precision: average_precision(label, support[label], answers),
            threshold: thresholds[label],
            precision: share(right[label], named[label]),
            recall: share(right[label], support[label]),
            f1: share(2 * right[label], named[label] + support[label]),
            support: support[label],
            named: named[label],
        };
        let per_label: Vec<LabelMetrics> = (0..count).map(label).collect();
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let shown = || per_label.iter().filter(|l| l.support > 0);
        let sum = |counts: &[usize]| counts.iter().sum::<usize>();
        Self {
            mean_average_precision: mean(shown().map(|l| l.average_precision).collect()),
            chance: mean(shown().map(|l| share(l.support, answers.len())).collect()),
            macro_f1: mean(per_label.iter().filter(|l| l.support + l.named > 0).map(|l| l.f1).collect()),
            micro_f1: share(2 * sum(&right), sum(&named) + sum(&support)),
            exact: share(exact, answers.len()),
            clips: answers.len(),
            errors,
            calibration_error: Bin::error(&bins),
            per_label,
            together,
            mistaken,
        }
    }

    /// What keeps these figures from being believed or the model from being used, in words.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.clips == 0 {
            return warnings;
        }
        let names = |wanted: &dyn Fn(&LabelMetrics) -> bool| {
            let names: Vec<&str> =
                self.per_label.iter().filter(|l| wanted(l)).map(|l| l.label.as_str()).collect();
            names.join(", ")
        };
        let unseen = names(&|l| l.support == 0);
        if !unseen.is_empty() {
            warnings.push(format!("none of these {} clips shows: {unseen}; they are in no mean", self.clips));
        }
        let unsaid = names(&|l| l.support > 0 && l.named == 0);
        if !unsaid.is_empty() {
            warnings.push(format!("never named, though some clips show it: {unsaid}"));
        }
        let few = names(&|l| (1..10).contains(&l.support));
        if !few.is_empty() {
            warnings.push(format!("fewer than 10 clips to measure by, so that little is known of: {few}"));
        }
        if self.errors > 0 {
            warnings.push(format!(
                "{} of {} clips could not be read; they count as answered wrongly",
                self.errors, self.clips
            ));
        }
        warnings
    }
}

/// `Σ (recall − recall before) · precision` over falling scores, equal ones at once (as scikit-learn takes it).
fn average_precision(label: usize, support: usize, answers: &[SeveralAnswer]) -> f64 {
    let clip = |answer: &SeveralAnswer| Some((usable(answer)?[label], answer.shown.contains(&label)));
    let mut clips: Vec<(f32, bool)> = answers.iter().filter_map(clip).collect();
    clips.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut seen, mut hits, mut area) = (0, 0, 0.0);
    for equal in clips.chunk_by(|a, b| a.0 == b.0) {
        let new = equal.iter().filter(|(_, shown)| *shown).count();
        seen += equal.len();
        hits += new;
        area += new as f64 * share(hits, seen);
    }
    area / support.max(1) as f64
}

/// The scores of a readable clip, unless they are no numbers.
fn usable(answer: &SeveralAnswer) -> Option<&[f32]> {
    let scores = answer.scores.as_deref()?;
    scores.iter().all(|s| s.is_finite()).then_some(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<String> {
        ["a", "b", "c"].map(String::from).into()
    }

    fn answer(shown: &[usize], scores: [f32; 3]) -> SeveralAnswer {
        SeveralAnswer { shown: shown.into(), scores: Some(scores.into()) }
    }

    #[test]
    fn figures_worked_out_by_hand() {
        let answers = [
            answer(&[0, 1], [0.9, 0.4, 0.1]),
            answer(&[0], [0.6, 0.7, 0.1]),
            answer(&[], [0.8, 0.1, 0.2]),
            answer(&[1], [0.1, 0.2, 0.1]),
        ];
        let m = SeveralMetrics::new(&labels(), &[0.5, 0.3, 0.5], &answers);
        // a: right at ranks 1 and 3, 1/2 · 1 + 1/2 · 2/3. b: right at ranks 2 and 3, 1/2 · 1/2 + 1/2 · 2/3.
        let (a, b) = (5.0 / 6.0, 7.0 / 12.0);
        let close = |x: f64, y: f64| assert!((x - y).abs() < 1e-12, "{x} for {y}");
        close(m.per_label[0].average_precision, a);
        close(m.per_label[1].average_precision, b);
        close(m.mean_average_precision, (a + b) / 2.0);
        close(m.chance, 0.5);
        // a: named in three, two of them rightly, of two; b: in two, one rightly, of two.
        close(m.per_label[0].f1, 0.8);
        close(m.per_label[1].f1, 0.5);
        close(m.macro_f1, 0.65);
        close(m.micro_f1, 6.0 / 9.0);
        close(m.exact, 0.25);
        assert_eq!(m.together, [[2, 1, 0], [1, 2, 0], [0, 0, 0]]);
        assert_eq!(m.mistaken, [[0, 1, 0], [0, 0, 0], [0, 0, 0]]);
        let warnings = m.warnings();
        assert!(warnings[0].contains("none of these 4 clips shows: c"), "{warnings:?}");
    }

    #[test]
    fn equal_scores_count_at_once_and_unreadable_clips_as_missed() {
        let even: Vec<SeveralAnswer> =
            (0..4).map(|i| answer(if i < 2 { &[0] } else { &[] }, [0.5; 3])).collect();
        let half = SeveralMetrics::new(&labels(), &[0.5; 3], &even);
        assert_eq!(half.per_label[0].average_precision, 0.5);
        let mut set = vec![answer(&[0], [0.9, 0.0, 0.0]), answer(&[], [0.1, 0.0, 0.0])];
        set.push(SeveralAnswer { shown: vec![0], scores: None });
        let m = SeveralMetrics::new(&labels(), &[0.5; 3], &set);
        assert_eq!((m.per_label[0].average_precision, m.per_label[0].recall, m.errors), (0.5, 0.5, 1));
        assert!(m.warnings().iter().any(|w| w.contains("1 of 3 clips could not be read")));
    }
}
