//! What a batch is wanted to show, and how far off an answer is: by what is asked of a clip.

use candle_core::{Result, Tensor};

use super::several::{self, SeveralTargets};
use super::{ClassBalance, Targets, Validation, cross_entropy, loss};
use crate::learning::dataset::Task;

/// The targets of a batch.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    OneOf(Targets),
    AnyOf(SeveralTargets),
}

impl Wanted {
    /// Of clips with these `labels`.
    pub(super) fn new(
        task: Task,
        labels: &[&[usize]],
        classes: usize,
        smoothing: f32,
        balance: &ClassBalance,
    ) -> Self {
        match task {
            Task::OneOf => Self::OneOf(Targets::new(&only(labels), classes, smoothing, balance)),
            Task::AnyOf => Self::AnyOf(SeveralTargets::new(labels, classes, smoothing, balance)),
        }
    }

    /// Mixes each clip with another of the batch, as its input was (mixup, Zhang et al., 2018).
    pub(super) fn mix(&self, other: &[usize], share: f32) -> Self {
        match self {
            Self::OneOf(targets) => Self::OneOf(targets.mix(other, share)),
            Self::AnyOf(targets) => Self::AnyOf(targets.mix(other, share)),
        }
    }

    /// How many clips `logits` `[B, classes]` are right about.
    pub(super) fn correct(&self, logits: &Tensor) -> Result<f64> {
        match self {
            Self::OneOf(targets) => targets.correct(logits),
            Self::AnyOf(targets) => targets.correct(logits),
        }
    }

    /// How far off `logits` `[B, classes]` are, a scalar.
    pub(super) fn loss(&self, logits: &Tensor) -> Result<Tensor> {
        match self {
            Self::OneOf(targets) => cross_entropy(logits, targets),
            Self::AnyOf(targets) => targets.loss(logits),
        }
    }
}

/// Scores of `logits` `[clips, classes]` against the true labels.
pub(super) fn validation(
    task: Task,
    logits: &Tensor,
    labels: &[Vec<usize>],
    classes: usize,
) -> crate::Result<Validation> {
    match task {
        Task::OneOf => loss::validation(logits, &only(labels), classes),
        Task::AnyOf => several::validation(logits, labels, classes),
    }
}

/// The only label of each clip.
pub(super) fn only<L: AsRef<[usize]>>(labels: &[L]) -> Vec<usize> {
    labels.iter().map(|labels| labels.as_ref().first().copied().unwrap_or(0)).collect()
}
