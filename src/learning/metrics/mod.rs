//! How good a model's answers are, and how sure one can be of that.

mod interval;
mod several;

use serde::{Deserialize, Serialize};

pub(crate) use interval::{mean_interval, wilson};
pub use several::{LabelMetrics, SeveralAnswer, SeveralMetrics};

/// One clip's answer beside the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The true class.
    pub truth: usize,
    /// Probability of each class, `[classes]`; `None` for a clip that could not be read.
    pub scores: Option<Vec<f32>>,
}

/// The figures of a model on a set of labelled clips.
///
/// A clip that could not be read counts as answered wrongly: it stays in `clips`, in its class's
/// support and in every share taken of them, so that no figure can rise by leaving clips out. It
/// is in no column of the confusion matrix, whose row sums it therefore misses, and has no part in
/// the calibration error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Share of the clips whose best label is the true one.
    pub accuracy: f64,
    /// Wilson's 95 % interval of the accuracy.
    pub accuracy_interval: [f64; 2],
    /// Share of the clips with the true label among the best five.
    pub top5: f64,
    /// Mean F1 of the classes that have clips here or are answered (as scikit-learn takes it).
    pub macro_f1: f64,
    /// Clips, readable or not.
    pub clips: usize,
    /// Clips that could not be read (or answered with numbers: NaN).
    pub errors: usize,
    /// Expected calibration error, 15 bins (Guo et al. 2017): mean distance of the best label's
    /// probability from the share of right answers at that probability.
    pub calibration_error: f64,
    /// What always answering the most frequent class gives.
    pub majority: Majority,
    /// The same of each class, in the order of the labels.
    pub per_class: Vec<ClassMetrics>,
    /// Clips by true class (row) and answered class (column).
    pub confusion: Vec<Vec<usize>>,
}

/// The best answer that never looks at a clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Majority {
    /// The class's name.
    pub label: String,
    /// Share of the clips that are of it.
    pub accuracy: f64,
}

/// One class's figures; 0 where nothing is there to divide by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The class's name.
    pub label: String,
    /// Share of the clips answered so that are of this class.
    pub precision: f64,
    /// Share of this class's clips that are answered so.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Clips of this class, readable or not.
    pub support: usize,
    /// Those that could not be read.
    pub errors: usize,
}

impl Metrics {
    /// The figures of `answers`; classes are indices into `labels`.
    pub fn new(labels: &[String], answers: &[Answer]) -> Self {
        let classes = labels.len();
        let mut confusion = vec![vec![0; classes]; classes];
        let mut support = vec![0; classes];
        let (mut right, mut top5) = (0, 0);
        let mut bins = [Bin::default(); 15];
        for answer in answers {
            support[answer.truth] += 1;
            let Some(scores) = usable(answer) else { continue };
            let rank = rank(scores, answer.truth);
            let best = best(scores);
            confusion[answer.truth][best] += 1;
            right += usize::from(rank == 0);
            top5 += usize::from(rank < 5);
            Bin::of(&mut bins, scores[best]).add(scores[best], rank == 0);
        }
        let errors = answers.iter().filter(|a| usable(a).is_none()).count();
        let per_class: Vec<_> = (0..classes)
            .map(|class| ClassMetrics::new(&labels[class], class, support[class], &confusion))
            .collect();
        let answered = |class: usize| confusion.iter().any(|row| row[class] > 0);
        let counted: Vec<f64> = (0..classes)
            .filter(|&class| support[class] > 0 || answered(class))
            .map(|class| per_class[class].f1)
            .collect();
        // The first of the largest, so that equal counts give the same label each time.
        let most = (0..classes).rev().max_by_key(|&class| support[class]);
        Self {
            accuracy: share(right, answers.len()),
            accuracy_interval: wilson(right, answers.len()),
            top5: share(top5, answers.len()),
            macro_f1: counted.iter().sum::<f64>() / counted.len().max(1) as f64,
            clips: answers.len(),
            errors,
            calibration_error: Bin::error(&bins),
            majority: Majority {
                label: most.map_or(String::new(), |class| labels[class].clone()),
                accuracy: share(most.map_or(0, |class| support[class]), answers.len()),
            },
            per_class,
            confusion,
        }
    }

    /// What keeps these figures from being believed or the model from being used, in words.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.clips == 0 {
            return warnings;
        }
        let answered = self.clips - self.errors;
        let columns = (0..self.per_class.len())
            .map(|class| self.confusion.iter().map(|row| row[class]).sum::<usize>())
            .enumerate();
        if let Some((class, count)) = columns.max_by_key(|(_, count)| *count) {
            let of = &self.per_class[class];
            // A set of nearly one class is answered so by a good model too.
            let excess = share(count, answered) - share(of.support, self.clips);
            if share(count, answered) >= 0.95 && excess > 0.1 {
                warnings.push(format!(
                    "the model answers '{}' for {count} of {answered} clips: it has learnt next to nothing else; \
                     look at the loss curve, train longer or balance the classes",
                    of.label
                ));
            }
        }
        let [low, high] = self.accuracy_interval;
        if low <= self.majority.accuracy {
            warnings.push(format!(
                "these {} clips don't tell the model from always answering '{}' ({:.1} % right)",
                self.clips,
                self.majority.label,
                100.0 * self.majority.accuracy
            ));
        }
        if high - low > 0.2 {
            warnings.push(format!(
                "{} clips are too few to tell: the true accuracy is probably between {:.0} and {:.0} %",
                self.clips,
                100.0 * low,
                100.0 * high
            ));
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

impl ClassMetrics {
    fn new(label: &str, class: usize, support: usize, confusion: &[Vec<usize>]) -> Self {
        let right = confusion[class][class];
        let answered: usize = confusion.iter().map(|row| row[class]).sum();
        let read: usize = confusion[class].iter().sum();
        Self {
            label: label.to_owned(),
            precision: share(right, answered),
            recall: share(right, support),
            f1: share(2 * right, answered + support),
            support,
            errors: support - read,
        }
    }
}

/// Answers of about the same probability.
#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    clips: usize,
    right: usize,
    confidence: f64,
}

impl Bin {
    fn of(bins: &mut [Self; 15], confidence: f32) -> &mut Self {
        // Bins are open below and closed above: 1.0 belongs to the last.
        let bin = (f64::from(confidence) * 15.0).ceil() as usize;
        &mut bins[bin.clamp(1, 15) - 1]
    }

    fn add(&mut self, confidence: f32, right: bool) {
        self.clips += 1;
        self.right += usize::from(right);
        self.confidence += f64::from(confidence);
    }

    fn error(bins: &[Self]) -> f64 {
        let clips: usize = bins.iter().map(|b| b.clips).sum();
        let gaps = bins.iter().map(|b| (b.confidence - b.right as f64).abs());
        gaps.sum::<f64>() / clips.max(1) as f64
    }
}

/// The scores of a readable clip, unless they are no numbers.
fn usable(answer: &Answer) -> Option<&[f32]> {
    let scores = answer.scores.as_deref()?;
    scores.iter().all(|s| s.is_finite()).then_some(scores)
}

/// How many classes are answered before `truth`; equal scores in the order of the classes.
fn rank(scores: &[f32], truth: usize) -> usize {
    let own = scores[truth];
    let before = |(class, score): (usize, &f32)| *score > own || (*score == own && class < truth);
    scores.iter().enumerate().filter(|s| before(*s)).count()
}

/// The class with the highest score, the first of equals.
fn best(scores: &[f32]) -> usize {
    (0..scores.len()).find(|&class| rank(scores, class) == 0).unwrap_or(0)
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("class {i}")).collect()
    }

    fn answers(pairs: &[(usize, [f32; 3])]) -> Vec<Answer> {
        let answer =
            |(truth, scores): &(usize, [f32; 3])| Answer { truth: *truth, scores: Some(scores.to_vec()) };
        pairs.iter().map(answer).collect()
    }

    #[test]
    fn figures_worked_out_by_hand() {
        // Truth 0 0 0 1 1 2, answers 0 0 1 1 2 1.
        let set = answers(&[
            (0, [0.9, 0.05, 0.05]),
            (0, [0.6, 0.3, 0.1]),
            (0, [0.1, 0.8, 0.1]),
            (1, [0.1, 0.7, 0.2]),
            (1, [0.1, 0.4, 0.5]),
            (2, [0.2, 0.5, 0.3]),
        ]);
        let m = Metrics::new(&labels(3), &set);
        assert_eq!(m.accuracy, 0.5);
        assert_eq!(m.top5, 1.0);
        let figures: Vec<_> = m.per_class.iter().map(|c| (c.precision, c.recall, c.f1, c.support)).collect();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert_eq!(figures[0], (1.0, 2.0 / 3.0, 0.8, 3));
        assert!(close(figures[1].0, 1.0 / 3.0) && figures[1].1 == 0.5 && close(figures[1].2, 0.4));
        assert_eq!(figures[2], (0.0, 0.0, 0.0, 1));
        assert!(close(m.macro_f1, 0.4));
        assert_eq!(m.confusion, [[2, 1, 0], [0, 1, 1], [0, 1, 0]]);
        // |0.9−1| + |0.6−1| + |0.8−0| + |0.7−1| + |0.5−0| + |0.5−0|, the last two in one bin: /6.
        assert!((m.calibration_error - 2.6 / 6.0).abs() < 1e-6, "{}", m.calibration_error);
        assert_eq!(m.majority, Majority { label: "class 0".into(), accuracy: 0.5 });
    }

    #[test]
    fn a_bad_clip_counts_as_wrong() {
        let mut set = answers(&[(0, [0.9, 0.05, 0.05]), (1, [0.0, 1.0, 0.0])]);
        set.push(Answer { truth: 1, scores: None });
        set.push(Answer { truth: 0, scores: Some(vec![f32::NAN; 3]) });
        let m = Metrics::new(&labels(3), &set);
        assert_eq!((m.clips, m.errors, m.accuracy, m.top5), (4, 2, 0.5, 0.5));
        assert_eq!((m.per_class[1].recall, m.per_class[1].precision), (0.5, 1.0));
        assert_eq!((m.per_class[1].support, m.per_class[1].errors), (2, 1));
        assert!(m.warnings().iter().any(|w| w.contains("2 of 4 clips could not be read")));
    }

    #[test]
    fn top5_counts_the_first_five_and_ties_go_to_the_first_class() {
        let scores: Vec<f32> = [6, 5, 4, 3, 2, 1].map(|n| n as f32 / 21.0).to_vec();
        let set = [4, 5].map(|truth| Answer { truth, scores: Some(scores.clone()) });
        assert_eq!(Metrics::new(&labels(6), &set).top5, 0.5);
        let tie = [Answer { truth: 1, scores: Some(vec![0.5, 0.5]) }];
        assert_eq!(Metrics::new(&labels(2), &tie).accuracy, 0.0);
    }

    #[test]
    fn one_answer_for_everything_and_few_clips_are_said() {
        let lazy: Vec<Answer> =
            (0..90).map(|i| Answer { truth: i % 3, scores: Some(vec![0.2, 0.5, 0.3]) }).collect();
        let warnings = Metrics::new(&labels(3), &lazy).warnings();
        assert!(warnings[0].contains("'class 1' for 90 of 90"), "{warnings:?}");
        assert!(warnings[1].contains("always answering 'class 0' (33.3 %"), "{warnings:?}");
        let right = |truth: usize| {
            let mut scores = vec![0.0; 3];
            scores[truth] = 1.0;
            Answer { truth, scores: Some(scores) }
        };
        let few: Vec<Answer> = (0..6).map(|i| right(i % 3)).collect();
        let warnings = Metrics::new(&labels(3), &few).warnings();
        assert!(warnings.len() == 1 && warnings[0].contains("too few"), "{warnings:?}");
        let many: Vec<Answer> = (0..300).map(|i| right(i % 3)).collect();
        assert!(Metrics::new(&labels(3), &many).warnings().is_empty());
        assert!(Metrics::new(&labels(3), &[]).warnings().is_empty());
    }

    #[test]
    fn json_has_the_documented_keys() {
        let m = Metrics::new(&labels(3), &answers(&[(0, [0.9, 0.05, 0.05])]));
        let json = serde_json::to_value(&m).unwrap();
        for key in
            ["accuracy", "top5", "macro_f1", "clips", "errors", "per_class", "confusion", "calibration_error"]
        {
            assert!(json.get(key).is_some(), "{key}");
        }
        assert_eq!(serde_json::from_value::<Metrics>(json).unwrap(), m);
    }
}
