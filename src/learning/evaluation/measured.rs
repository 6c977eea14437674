//! The figures of a model, whatever it is asked.

use std::sync::atomic::AtomicBool;

use super::{Clips, Doubt, Evaluation, SeveralEvaluation, evaluate, evaluate_several};
use crate::learning::dataset::{Dataset, Problem};
use crate::learning::features::FeatureCache;
use crate::learning::report::{Mistake, SeveralMistake};
use crate::{Classifier, Result};

/// The figures of a model.
pub enum Measured {
    /// Of one that names one label.
    OneOf(Evaluation),
    /// Of one that names several.
    AnyOf(SeveralEvaluation),
}

/// What a report shows of wrong answers.
pub(crate) enum Mistakes {
    OneOf(Vec<Mistake>),
    AnyOf(Vec<SeveralMistake>),
}

/// [`evaluate`] or [`evaluate_several`], as the model's scores are.
pub fn measure(
    classifier: &Classifier,
    clips: Clips,
    cache: Option<&FeatureCache>,
    threads: usize,
    stop: &AtomicBool,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Measured> {
    Ok(match classifier.config().scores.is_softmax() {
        true => Measured::OneOf(evaluate(classifier, clips, cache, threads, stop, progress)?),
        false => {
            let (all, unreadable) = (clips.all(), clips.unreadable);
            Measured::AnyOf(evaluate_several(classifier, &all, unreadable, cache, threads, stop, progress)?)
        }
    })
}

impl Measured {
    /// The clips that can't be read.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::OneOf(e) => &e.problems,
            Self::AnyOf(e) => &e.problems,
        }
    }

    /// How well it tells what it knows from the rest; see [`Evaluation::doubt`].
    pub fn doubt(&self) -> Option<&Doubt> {
        match self {
            Self::OneOf(e) => e.doubt.as_ref(),
            // Its thresholds are part of its figures.
            Self::AnyOf(_) => None,
        }
    }

    /// How many clips could not be read.
    pub fn errors(&self) -> usize {
        match self {
            Self::OneOf(e) => e.errors(),
            Self::AnyOf(e) => e.metrics.errors,
        }
    }

    /// What keeps the figures from being believed or the model from being used, in words.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::OneOf(e) => e.metrics.warnings(),
            Self::AnyOf(e) => e.metrics.warnings(),
        }
    }

    /// Clips measured in a second.
    pub fn clips_per_second(&self) -> f64 {
        match self {
            Self::OneOf(e) => e.clips_per_second(),
            Self::AnyOf(e) => e.clips_per_second(),
        }
    }

    /// One line: how good, on how many clips, against the baselines.
    pub fn summary(&self, part: &str, labels: usize) -> String {
        match self {
            Self::OneOf(e) => e.summary(part, labels),
            Self::AnyOf(e) => e.summary(part, labels),
        }
    }

    /// All figures for people.
    pub fn text(&self, part: &str, labels: &[String]) -> String {
        match self {
            Self::OneOf(e) => e.text(part, labels),
            Self::AnyOf(e) => e.text(part, labels),
        }
    }

    /// All figures as one JSON object.
    pub fn json(&self, model: &str, part: &str) -> String {
        match self {
            Self::OneOf(e) => e.json(model, part),
            Self::AnyOf(e) => e.json(model, part),
        }
    }

    /// The `count` of the measured `clips` that it was most wrong about, worst first.
    pub(crate) fn mistakes(
        &self,
        classifier: &Classifier,
        data: &Dataset,
        clips: Clips,
        count: usize,
    ) -> Mistakes {
        match self {
            Self::OneOf(e) => Mistakes::OneOf(e.mistakes(classifier, data, clips.samples, count)),
            Self::AnyOf(e) => Mistakes::AnyOf(e.mistakes(classifier, data, &clips.all(), count)),
        }
    }
}
