//! What became of each epoch.

use serde::{Deserialize, Serialize};

/// Result on the validation clips.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Share of the clips that are right, in all labels where they show several.
    pub accuracy: f64,
    /// Mean of the classes' F1.
    pub macro_f1: f64,
    /// Mean over the labels of the area under precision over recall, where clips show several labels. What is right is
    /// judged by a threshold of 0.5 then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_average_precision: Option<f64>,
}

impl Validation {
    /// Whether this epoch is better than another one of its stage: by the loss, which falls evenly. On a
    /// few clips, accuracy and macro-F1 are highest in some early epoch by chance.
    pub(super) fn better_than(&self, other: &Self) -> bool {
        self.loss < other.loss
    }

    /// How good the answers are, whatever the scores.
    pub(super) fn goodness(&self) -> f64 {
        self.mean_average_precision.unwrap_or(self.macro_f1)
    }
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Which stage of the run.
    pub stage: String,
    /// Counted from 1.
    pub epoch: usize,
    /// At its last step; 0 for heads that are averaged, the stage `heads`, which takes none.
    pub learning_rate: f64,
    /// Mean over its steps, of smoothed and mixed targets; of the clips as they are for `heads`.
    pub train_loss: f64,
    /// Share of the clips shown that were right.
    pub train_accuracy: f64,
    /// `None` where the validation clips are among the training clips.
    pub validation: Option<Validation>,
    /// Whether it was the best of its stage so far.
    pub best: bool,
    /// How long it took.
    pub seconds: f64,
}

impl Epoch {
    /// Whether it is of the heads that are learned on the CNN as it is in the end.
    pub(super) fn is_of_heads(&self) -> bool {
        self.stage.starts_with("head")
    }

    /// Whether it trained the mean head that a report compares with, not the model itself.
    pub fn is_baseline(&self) -> bool {
        self.stage.ends_with("baseline")
    }
}
