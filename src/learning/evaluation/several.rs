//! How good a model that names several labels is on labelled clips.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde_json::json;

use super::to_json;
use crate::learning::dataset::{Dataset, Problem, Sample};
use crate::learning::features::{FeatureCache, Look, extract};
use crate::learning::metrics::{SeveralAnswer, SeveralMetrics};
use crate::learning::report::SeveralMistake;
use crate::model::Scoring;
use crate::output::pages::Filmstrip;
use crate::video::DecodeOptions;
use crate::{Classifier, Result};

/// The figures of a model that names several labels, and its answer to each clip.
pub struct SeveralEvaluation {
    /// How good the answers are.
    pub metrics: SeveralMetrics,
    /// Of the mean-over-time head, where the model carries one; its threshold is 0.5 for every label.
    pub baseline: Option<SeveralMetrics>,
    /// The answer to each of the samples, in their order; none for a clip that can't be read.
    pub answers: Vec<SeveralAnswer>,
    /// The clips that can't be read.
    pub problems: Vec<Problem>,
    /// From the first clip to the last, features taken from a cache included.
    pub seconds: f64,
}

/// Labels `samples`, whose labels are indices into the model's own; `threads` at a time. As
/// [`evaluate`](super::evaluate), for a model whose scores stand for themselves.
pub fn evaluate_several(
    classifier: &Classifier,
    samples: &[&Sample],
    unreadable: &[&Problem],
    cache: Option<&FeatureCache>,
    threads: usize,
    stop: &AtomicBool,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<SeveralEvaluation> {
    let start = Instant::now();
    let mut answers = Vec::with_capacity(samples.len());
    let mut baseline_answers = Vec::new();
    let mut problems: Vec<Problem> = unreadable.iter().map(|&p| p.clone()).collect();
    for (&sample, features) in
        std::iter::zip(samples, extract(classifier, samples, Look::Clip, cache, threads, stop, progress))
    {
        let (mut scores, mut baseline) = (None, None);
        match features {
            Ok(features) => {
                scores = Some(classifier.scores(&classifier.logits(&features)?)?);
                if let Some(logits) = classifier.baseline_logits(&features)? {
                    baseline = Some(Scoring::Sigmoid.scores(&logits)?.to_vec1::<f32>()?);
                }
            }
            Err(e) => problems.push(Problem::new(sample, &e)),
        }
        answers.push(SeveralAnswer { shown: sample.labels.clone(), scores });
        baseline_answers.push(SeveralAnswer { shown: sample.labels.clone(), scores: baseline });
    }
    let config = classifier.config();
    let errors = unreadable.iter().map(|p| SeveralAnswer { shown: p.sample.labels.clone(), scores: None });
    let figures = |answers: &[SeveralAnswer], thresholds: &[f64]| {
        let all: Vec<SeveralAnswer> = answers.iter().cloned().chain(errors.clone()).collect();
        SeveralMetrics::new(&config.id2label, thresholds, &all)
    };
    let half = vec![0.5; config.id2label.len()];
    let thresholds = if config.thresholds.is_empty() { &half } else { &config.thresholds };
    Ok(SeveralEvaluation {
        metrics: figures(&answers, thresholds),
        baseline: classifier.has_baseline().then(|| figures(&baseline_answers, &half)),
        answers,
        problems,
        seconds: start.elapsed().as_secs_f64(),
    })
}

impl SeveralEvaluation {
    /// The figures of each head, by its name: the model's own first.
    pub(crate) fn results(&self, classifier: &Classifier) -> Vec<(&'static str, &SeveralMetrics)> {
        let own = (classifier.config().head.name(), &self.metrics);
        let baseline = self.baseline.as_ref().map(|metrics| ("mean over time", metrics));
        std::iter::once(own).chain(baseline).collect()
    }

    /// Clips measured in a second.
    pub fn clips_per_second(&self) -> f64 {
        self.answers.len() as f64 / self.seconds.max(1e-9)
    }

    /// One line: how good, on how many clips, against the baselines.
    pub fn summary(&self, part: &str, labels: usize) -> String {
        let m = &self.metrics;
        let mean = (self.baseline.as_ref())
            .map_or(String::new(), |b| format!("mean head {:.3}, ", b.mean_average_precision));
        format!(
            "{part}: mAP {:.3} on {} clips, F1 {:.3} micro, {:.3} macro, {:.1} % of the clips with no label too many or \
             too few, {labels} labels ({mean}chance {:.3})",
            m.mean_average_precision,
            m.clips,
            m.micro_f1,
            m.macro_f1,
            100.0 * m.exact,
            m.chance
        )
    }

    /// Figures and labels for people.
    pub fn text(&self, part: &str, labels: &[String]) -> String {
        let m = &self.metrics;
        let mut text = self.summary(part, labels.len());
        text += &format!(
            "\ncalibration error {:.1} %, {} unreadable, {:.1} clips/s; clips may show several labels, so there is no \
             accuracy of the best one\n",
            100.0 * m.calibration_error,
            m.errors,
            self.clips_per_second()
        );
        let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).max(5);
        text += &format!(
            "\n{:width$}  clips     AP  threshold  precision  recall     F1  most often named beside it, wrongly",
            "label"
        );
        for (label, figures) in m.per_label.iter().enumerate().filter(|(_, f)| f.support > 0) {
            let row = &m.mistaken[label];
            let worst = (0..row.len()).filter(|&other| row[other] > 0).max_by_key(|&other| row[other]);
            let worst = worst.map_or(String::new(), |other| format!("{} ({})", labels[other], row[other]));
            text += &format!(
                "\n{:width$}  {:>5}  {:>5.3}  {:>9.2}  {:>9.2}  {:>6.2}  {:>5.2}  {worst}",
                figures.label,
                figures.support,
                figures.average_precision,
                figures.threshold,
                figures.precision,
                figures.recall,
                figures.f1
            );
        }
        text
    }

    /// All figures as one JSON object.
    pub fn json(&self, model: &str, part: &str) -> String {
        let more = [("baseline", json!(self.baseline)), ("clips_per_second", json!(self.clips_per_second()))];
        to_json([model, part], &self.metrics, more, &self.problems)
    }

    /// The `count` clips about a label of which it was most wrong, worst first, with pictures of each.
    pub(crate) fn mistakes(
        &self,
        classifier: &Classifier,
        data: &Dataset,
        samples: &[&Sample],
        count: usize,
    ) -> Vec<SeveralMistake> {
        let mut wrong: Vec<(usize, SeveralMistake)> = Vec::new();
        for (i, answer) in self.answers.iter().enumerate() {
            let Some(scores) = &answer.scores else { continue };
            let mut mistake = SeveralMistake { name: samples[i].name.clone(), ..SeveralMistake::default() };
            for (label, score) in scores.iter().map(|score| f64::from(*score)).enumerate() {
                let is_shown = answer.shown.contains(&label);
                let list = match (score >= self.metrics.per_label[label].threshold, is_shown) {
                    (true, true) => &mut mistake.right,
                    (true, false) => &mut mistake.wrong,
                    (false, true) => &mut mistake.missed,
                    (false, false) => continue,
                };
                list.push((data.labels[label].clone(), score));
            }
            if mistake.badness() > 0.0 {
                wrong.push((i, mistake));
            }
        }
        wrong.sort_by(|a, b| b.1.badness().total_cmp(&a.1.badness()));
        wrong.truncate(count);
        let with_pictures = |(i, mistake): (usize, SeveralMistake)| {
            let frames = classifier.frames(&samples[i].path, &DecodeOptions::of(samples[i].span)).ok();
            let filmstrip = frames.and_then(|frames| Filmstrip::new(&frames, 8, 96));
            SeveralMistake { filmstrip, ..mistake }
        };
        wrong.into_iter().map(with_pictures).collect()
    }
}
