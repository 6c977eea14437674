//! How good a model is on labelled clips.

mod measured;
mod several;

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use candle_core::Tensor;
use serde::Serialize;
use serde_json::{Value, json};

use crate::learning::dataset::{Dataset, Problem, Sample};
use crate::learning::features::{FeatureCache, Look, extract};
use crate::learning::knowing;
use crate::learning::metrics::{Answer, Metrics};
use crate::learning::report::Mistake;
use crate::model::Scoring;
use crate::output::pages::{Filmstrip, count};
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
    /// How well it tells what it knows from the rest; not for a model that always answers where it is shown nothing else.
    pub doubt: Option<Doubt>,
    /// The clips that can't be read.
    pub problems: Vec<Problem>,
    /// Clips that were looked at.
    pub looked_at: usize,
    /// From the first clip to the last, features taken from a cache included.
    pub seconds: f64,
}

/// The clips that a model is measured on; their labels are indices into the model's own.
#[derive(Debug, Clone, Copy)]
pub struct Clips<'a> {
    /// Those that show what the data says.
    pub samples: &'a [&'a Sample],
    /// Those that the data set left out already, with a label or without; they count as errors beside those found here.
    pub unreadable: &'a [&'a Problem],
    /// Those that show none of the labels.
    pub none: &'a [&'a Sample],
}

impl<'a> Clips<'a> {
    /// Those that can be read; the ones that show none of the labels come last.
    fn all(self) -> Vec<&'a Sample> {
        self.samples.iter().chain(self.none).copied().collect()
    }
}

/// Labels `clips`, `threads` at a time.
pub fn evaluate(
    classifier: &Classifier,
    clips: Clips,
    cache: Option<&FeatureCache>,
    threads: usize,
    stop: &AtomicBool,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Evaluation> {
    let start = Instant::now();
    let Clips { samples, unreadable, none } = clips;
    let clips = clips.all();
    let mut judged = Judged::default();
    let mut answers = Vec::with_capacity(samples.len());
    let mut baseline_answers = Vec::new();
    let mut problems: Vec<Problem> = unreadable.iter().map(|&p| p.clone()).collect();
    let mut features = extract(classifier, &clips, Look::Clip, cache, threads, stop, progress);
    for (&sample, features) in std::iter::zip(none, features.split_off(samples.len())) {
        match features {
            Ok(features) => {
                let logits = classifier.logits(&features)?;
                judged.none.push(judge(classifier, &features, &logits)?);
            }
            Err(e) => problems.push(Problem::new(sample, &e)),
        }
    }
    let none_unreadable = problems.iter().filter(|problem| shows_none(problem)).count();
    for (&sample, features) in std::iter::zip(samples, features) {
        let truth = sample.label();
        let (mut scores, mut baseline) = (None, None);
        match features {
            Ok(features) => {
                let logits = classifier.logits(&features)?;
                let found = classifier.scores(&logits)?;
                let best = (0..found.len()).max_by(|&a, &b| found[a].total_cmp(&found[b]));
                let list = if best == Some(truth) { &mut judged.right } else { &mut judged.wrong };
                list.push(judge(classifier, &features, &logits)?);
                scores = Some(found);
                if let Some(logits) = classifier.baseline_logits(&features)? {
                    baseline = Some(Scoring::Softmax.scores(&logits)?.to_vec1::<f32>()?);
                }
            }
            Err(e) => problems.push(Problem::new(sample, &e)),
        }
        answers.push(Answer { truth, scores });
        baseline_answers.push(Answer { truth, scores: baseline });
    }
    let labels = &classifier.config().id2label;
    let labelled = unreadable.iter().filter(|problem| !shows_none(problem));
    let errors = labelled.map(|p| Answer { truth: p.sample.label(), scores: None });
    let figures = |answers: &[Answer]| {
        Metrics::new(labels, &answers.iter().cloned().chain(errors.clone()).collect::<Vec<_>>())
    };
    Ok(Evaluation {
        metrics: figures(&answers),
        baseline: classifier.has_baseline().then(|| figures(&baseline_answers)),
        answers,
        doubt: judged.doubt([problems.len() - none_unreadable, none_unreadable]),
        problems,
        looked_at: clips.len(),
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// Whether the clip shows none of the labels.
fn shows_none(problem: &Problem) -> bool {
    problem.sample.labels.is_empty()
}

/// All of a model's figures as one JSON object: the fields of `figures`, then `more`, and the clips that can't be read.
fn to_json(
    [model, part]: [&str; 2],
    figures: &impl Serialize,
    more: impl IntoIterator<Item = (&'static str, Value)>,
    problems: &[Problem],
) -> String {
    let mut value = json!({ "model": model, "split": part });
    if let (Some(object), Ok(Value::Object(figures))) = (value.as_object_mut(), serde_json::to_value(figures))
    {
        object.extend(figures);
        object.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let unreadable = problems.iter().map(|p| json!({ "path": p.sample.address(), "error": p.reason }));
        object.insert("unreadable".into(), unreadable.collect());
    }
    value.to_string()
}

/// How well a model tells clips of its labels from others. A model that always answers keeps all and declines none. Of a
/// clip that could not be read it is neither sure nor not: no figure can rise by leaving clips out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Doubt {
    /// Clips with the right label on top.
    pub right: usize,
    /// Those of them that it is sure of.
    pub right_kept: usize,
    /// Clips with a wrong label on top.
    pub wrong: usize,
    /// Those of them that it is not sure of.
    pub wrong_declined: usize,
    /// Clips that show none of its labels, readable or not.
    pub none: usize,
    /// Those of them that it is not sure of.
    pub none_declined: usize,
    /// Share of all clips, readable or not, with a right and sure answer, or rightly declined.
    pub handled: f64,
    /// Area under the ROC curve: how often a clip that is right is known better than one that shows no label.
    pub area: Option<f64>,
    /// The share of clips without a label that it would be sure of, were it sure of 95 % of the right ones.
    pub let_through_at_95: Option<f64>,
}

/// The score of knowing and whether it is enough; without a threshold there is no score.
type Judgement = (Option<f64>, bool);

#[derive(Default)]
struct Judged {
    right: Vec<Judgement>,
    wrong: Vec<Judgement>,
    none: Vec<Judgement>,
}

fn judge(classifier: &Classifier, features: &Tensor, logits: &Tensor) -> Result<Judgement> {
    let score = classifier.knowing(features, logits)?;
    Ok((score, classifier.threshold().zip(score).is_none_or(|(threshold, score)| score >= threshold)))
}

impl Judged {
    /// `unreadable`: how many clips beside these can't be read, with a label and without.
    fn doubt(&self, unreadable: [usize; 2]) -> Option<Doubt> {
        let Self { right, wrong, none } = self;
        let nones = none.len() + unreadable[1];
        let mut all = right.iter().chain(wrong).chain(none);
        if nones == 0 && all.all(|(score, _)| score.is_none()) {
            return None;
        }
        let sure = |list: &[Judgement]| list.iter().filter(|(_, sure)| *sure).count();
        let scores =
            |list: &[Judgement]| -> Vec<f64> { list.iter().filter_map(|(score, _)| *score).collect() };
        let (right_scores, none_scores) = (scores(right), scores(none));
        let (right_kept, none_declined) = (sure(right), none.len() - sure(none));
        let clips = right.len() + wrong.len() + nones + unreadable[0];
        Some(Doubt {
            right: right.len(),
            right_kept,
            wrong: wrong.len(),
            wrong_declined: wrong.len() - sure(wrong),
            none: nones,
            none_declined,
            handled: (right_kept + none_declined) as f64 / clips as f64,
            area: knowing::area(&right_scores, &none_scores),
            let_through_at_95: knowing::let_through(&right_scores, &none_scores),
        })
    }
}

impl Doubt {
    /// In one line, for people.
    pub fn summary(&self) -> String {
        let percent = |part: usize, of: usize| 100.0 * part as f64 / of as f64;
        // Nothing is said of what isn't there.
        let mut said = Vec::new();
        if self.right > 0 {
            let share = percent(self.right_kept, self.right);
            said.push(format!("keeps {share:.1} % of {} right answers", self.right));
        }
        let mut declined = Vec::new();
        if self.wrong > 0 {
            declined.push(format!("{} of {} wrong answers", self.wrong_declined, self.wrong));
        }
        if self.none > 0 {
            let share = percent(self.none_declined, self.none);
            declined.push(format!("{share:.1} % of {} clips that show none of the labels", self.none));
        }
        if !declined.is_empty() {
            said.push(format!("declines {}", declined.join(" and ")));
        }
        let mut text = format!("not sure: {}", said.join(", "));
        if self.none > 0 {
            if let (Some(area), Some(through)) = (self.area, self.let_through_at_95) {
                text += &format!(
                    " (area under the ROC curve {area:.3}; {:.1} % let through where 95 % of the right answers stay)",
                    100.0 * through
                );
            }
            text += &format!("; {:.1} % of all clips dealt with rightly", 100.0 * self.handled);
        }
        text
    }
}

impl Evaluation {
    /// The figures of each head, by its name: the model's own first. None where no clip has a label.
    pub(crate) fn results(&self, classifier: &Classifier) -> Vec<(&'static str, &Metrics)> {
        if self.metrics.clips == 0 {
            return Vec::new();
        }
        let own = (classifier.config().head.name(), &self.metrics);
        let baseline = self.baseline.as_ref().map(|metrics| ("mean over time", metrics));
        std::iter::once(own).chain(baseline).collect()
    }

    /// Clips measured in a second.
    pub fn clips_per_second(&self) -> f64 {
        self.looked_at as f64 / self.seconds.max(1e-9)
    }

    /// Clips that could not be read, with a label or without.
    pub(crate) fn errors(&self) -> usize {
        self.metrics.errors + self.problems.iter().filter(|problem| shows_none(problem)).count()
    }

    /// One line: how good, on how many clips, against the baselines.
    pub fn summary(&self, part: &str, classes: usize) -> String {
        let m = &self.metrics;
        if m.clips == 0 {
            let none = self.doubt.as_ref().map_or(0, |doubt| doubt.none);
            return format!("{part}: {}, none with a label", count(none, "clip"));
        }
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
        let mut text = self.summary(part, labels.len()) + "\n";
        if m.clips > 0 {
            text += &format!(
                "top 5 {:.1} %, calibration error {:.1} %, ",
                100.0 * m.top5,
                100.0 * m.calibration_error
            );
        }
        text += &format!("{} unreadable, {:.1} clips/s", self.errors(), self.clips_per_second());
        if let Some(doubt) = &self.doubt {
            text += &format!("\n{}", doubt.summary());
        }
        if m.clips == 0 {
            return text;
        }
        let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).max(5);
        text +=
            &format!("\n\n{:width$}  clips  precision  recall     F1  most often answered instead", "class");
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

    /// All figures as one JSON object. Shares of no clip are null.
    pub fn json(&self, model: &str, part: &str) -> String {
        let mut figures = json!(self.metrics);
        let labelled = self.metrics.clips > 0;
        if !labelled {
            for name in ["accuracy", "top5", "macro_f1", "calibration_error", "majority"] {
                figures[name] = Value::Null;
            }
        }
        let more = [
            ("baseline", json!(self.baseline.as_ref().filter(|_| labelled))),
            ("doubt", json!(self.doubt)),
            ("clips_per_second", json!(self.clips_per_second())),
        ];
        to_json([model, part], &figures, more, &self.problems)
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
            let frames = classifier.frames(&samples[i].path, &DecodeOptions::of(samples[i].span)).ok();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_counts_what_can_not_be_read_and_says_nothing_of_what_is_not_there() {
        let (sure, not) = ((Some(1.0), true), (Some(-1.0), false));
        let judged = Judged { right: vec![sure, sure, not], wrong: vec![not], none: vec![not, sure] };
        let doubt = judged.doubt([2, 2]).unwrap();
        assert_eq!((doubt.none, doubt.none_declined, doubt.handled), (4, 1, 0.3));
        let text = doubt.summary();
        assert!(
            text.contains("declines 1 of 1 wrong answers and 25.0 % of 4 clips that show none"),
            "{text}"
        );

        let alone = Judged { none: vec![not], ..Judged::default() };
        let text = alone.doubt([0, 0]).unwrap().summary();
        assert!(
            text.starts_with("not sure: declines 100.0 % of 1 clips") && !text.contains("right ans"),
            "{text}"
        );
        let right = Judged { right: vec![sure], ..Judged::default() };
        assert_eq!(right.doubt([1, 0]).unwrap().summary(), "not sure: keeps 100.0 % of 1 right answers");
        assert!(Judged { right: vec![(None, true)], ..Judged::default() }.doubt([0, 0]).is_none());
    }
}
