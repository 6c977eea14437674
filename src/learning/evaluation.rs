//! How good a model is on labelled clips.

mod measured;
mod several;

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use candle_core::{D, Tensor};
use candle_nn::ops::softmax;

use crate::learning::dataset::{Dataset, Problem, Sample};
use crate::learning::features::{FeatureCache, extract};
use crate::learning::metrics::{Answer, Metrics};
use crate::learning::report::Mistake;
use crate::output::pages::Filmstrip;
use crate::video::DecodeOptions;
use crate::{Classifier, Result};

pub(crate) use measured::Mistakes;
pub use measured::{Measured, measure};
pub use several::{SeveralEvaluation, evaluate_several};

/// A model's figures and its answer to each clip.
pub struct Evaluation {
    /// How good the answers are.
    pub metrics: Metrics,
    /// Of the mean-over-time head, where the model carries one.
    pub baseline: Option<Metrics>,
    /// The answer to each of the samples, in their order; none for a clip that can't be read.
    pub answers: Vec<Answer>,
    /// The clips that can't be read.
    pub problems: Vec<Problem>,
    /// From the first clip to the last, features taken from a cache included.
    pub seconds: f64,
}

/// Labels `samples`, whose classes are indices into the model's own labels; `threads` at a time.
///
/// `unreadable` clips, which the data set left out already, count as errors beside those found here.
pub fn evaluate(
    classifier: &Classifier,
    samples: &[&Sample],
    unreadable: &[&Problem],
    cache: Option<&FeatureCache>,
    threads: usize,
    stop: &AtomicBool,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Evaluation> {
    let start = Instant::now();
    let clips: Vec<_> = samples.iter().map(|s| s.path.clone()).collect();
    let mut answers = Vec::with_capacity(samples.len());
    let mut baseline_answers = Vec::new();
    let mut problems: Vec<Problem> = unreadable.iter().map(|&p| p.clone()).collect();
    for (&sample, features) in
        std::iter::zip(samples, extract(classifier, &clips, cache, threads, stop, progress))
    {
        let truth = sample.label();
        let (mut scores, mut baseline) = (None, None);
        match features {
            Ok(features) => {
                scores = Some(classifier.scores(&classifier.logits(&features)?)?);
                if let Some(logits) = classifier.baseline_logits(&features)? {
                    baseline = Some(probabilities(&logits)?);
                }
            }
            Err(e) => problems.push(Problem::new(sample, &e)),
        }
        answers.push(Answer { truth, scores });
        baseline_answers.push(Answer { truth, scores: baseline });
    }
    let labels = &classifier.config().id2label;
    let errors = unreadable.iter().map(|p| Answer { truth: p.sample.label(), scores: None });
    let figures = |answers: &[Answer]| {
        Metrics::new(labels, &answers.iter().cloned().chain(errors.clone()).collect::<Vec<_>>())
    };
    Ok(Evaluation {
        metrics: figures(&answers),
        baseline: classifier.has_baseline().then(|| figures(&baseline_answers)),
        answers,
        problems,
        seconds: start.elapsed().as_secs_f64(),
    })
}

fn probabilities(logits: &Tensor) -> Result<Vec<f32>> {
    Ok(softmax(logits, D::Minus1)?.to_vec1::<f32>()?)
}

impl Evaluation {
    /// The figures of each head, by its name: the model's own first.
    pub(crate) fn results(&self, classifier: &Classifier) -> Vec<(&'static str, &Metrics)> {
        let own = (classifier.config().head.name(), &self.metrics);
        let baseline = self.baseline.as_ref().map(|metrics| ("mean over time", metrics));
        std::iter::once(own).chain(baseline).collect()
    }

    /// Clips measured in a second.
    pub fn clips_per_second(&self) -> f64 {
        self.answers.len() as f64 / self.seconds.max(1e-9)
    }

    /// One line: how good, on how many clips, against the baselines.
    pub fn summary(&self, part: &str, classes: usize) -> String {
        let m = &self.metrics;
        let [low, high] = m.accuracy_interval.map(|x| 100.0 * x);
        let mean = self
            .baseline
            .as_ref()
            .map_or(String::new(), |b| format!("mean head {:.1} %, ", 100.0 * b.accuracy));
        format!(
            "{part}: {:.1} % of {} clips right (95 % interval {low:.1} to {high:.1} %), macro-F1 {:.3}, {classes} classes \
             ({mean}majority {:.1} %)",
            100.0 * m.accuracy,
            m.clips,
            m.macro_f1,
            100.0 * m.majority.accuracy
        )
    }

    /// Figures, classes and confusions for people.
    pub fn text(&self, part: &str, labels: &[String]) -> String {
        let m = &self.metrics;
        let mut text = self.summary(part, labels.len());
        text += &format!(
            "\ntop 5 {:.1} %, calibration error {:.1} %, {} unreadable, {:.1} clips/s\n",
            100.0 * m.top5,
            100.0 * m.calibration_error,
            m.errors,
            self.clips_per_second()
        );
        let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).max(5);
        text +=
            &format!("\n{:width$}  clips  precision  recall     F1  most often answered instead", "class");
        for (class, figures) in m.per_class.iter().enumerate().filter(|(_, f)| f.support > 0) {
            let row = &m.confusion[class];
            let confused = (0..row.len())
                .filter(|&other| other != class && row[other] > 0)
                .max_by_key(|&other| row[other]);
            let confused =
                confused.map_or(String::new(), |other| format!("{} ({})", labels[other], row[other]));
            text += &format!(
                "\n{:width$}  {:>5}  {:>9.2}  {:>6.2}  {:>5.2}  {confused}",
                figures.label, figures.support, figures.precision, figures.recall, figures.f1
            );
        }
        text
    }

    /// All figures as one JSON object.
    pub fn json(&self, model: &str, part: &str) -> String {
        let mut value = serde_json::json!({ "model": model, "split": part });
        let errors: Vec<_> = self
            .problems
            .iter()
            .map(|p| serde_json::json!({ "path": p.sample.path.to_string_lossy(), "error": p.reason }))
            .collect();
        if let (Some(object), Ok(serde_json::Value::Object(figures))) =
            (value.as_object_mut(), serde_json::to_value(&self.metrics))
        {
            object.extend(figures);
            object.insert("baseline".into(), serde_json::to_value(&self.baseline).unwrap_or_default());
            object.insert("clips_per_second".into(), self.clips_per_second().into());
            object.insert("unreadable".into(), errors.into());
        }
        value.to_string()
    }

    /// The `count` clips whose true label got the least, worst first, with `frames` pictures of each.
    pub(crate) fn mistakes(
        &self,
        classifier: &Classifier,
        data: &Dataset,
        samples: &[&Sample],
        count: usize,
    ) -> Vec<Mistake> {
        let score =
            |answer: &Answer, class: usize| answer.scores.as_ref().map_or(0.0, |s| f64::from(s[class]));
        let mut wrong: Vec<(usize, usize)> = Vec::new();
        for (i, answer) in self.answers.iter().enumerate() {
            let best =
                answer.scores.as_ref().and_then(|s| (0..s.len()).max_by(|&a, &b| s[a].total_cmp(&s[b])));
            if let Some(best) = best.filter(|&best| best != answer.truth) {
                wrong.push((i, best));
            }
        }
        let truth_score = |i: usize| score(&self.answers[i], self.answers[i].truth);
        wrong.sort_by(|a, b| truth_score(a.0).total_cmp(&truth_score(b.0)));
        wrong.truncate(count);
        let mistake = |(i, best): (usize, usize)| {
            let answer = &self.answers[i];
            let frames = classifier.frames(&samples[i].path, &DecodeOptions::default()).ok();
            Mistake {
                name: samples[i].name.clone(),
                truth: (data.labels[answer.truth].clone(), truth_score(i)),
                answer: (data.labels[best].clone(), score(answer, best)),
                filmstrip: frames.and_then(|frames| Filmstrip::new(&frames, 8, 96)),
            }
        };
        wrong.into_iter().map(mistake).collect()
    }
}
