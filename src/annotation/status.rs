//! How far a session is, and how good its model.

use serde::{Deserialize, Serialize};

/// What a figure was measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// Clips drawn at random that the model never learns.
    HeldOut,
    /// Each group of learned clips by a model of the others: as these clips were chosen, not drawn, the figure says how
    /// hard they are rather than how good the model is on the rest.
    CrossValidated,
}

/// How often the model is right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// Share, 0 to 1.
    pub value: f64,
    /// Wilson's 95 % interval of it.
    pub interval: [f64; 2],
    /// Of how many clips.
    pub clips: usize,
    pub method: Method,
    /// What it is worth, as a sentence.
    pub worth: String,
}

/// A point of the curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Labels given until then, held-out ones among them.
    pub labels: usize,
    pub accuracy: f64,
    pub interval: [f64; 2],
    pub method: Method,
}

/// The model in the folder, as training made it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Model {
    /// What the folder is called.
    pub name: String,
    /// Of how many labels it is, held-out ones among them.
    pub labels: usize,
    /// The share of `clips` that it names rightly.
    pub accuracy: f64,
    pub clips: usize,
    /// Whether these are held-out clips, `test`, or some that chose the epoch, `validation`.
    pub part: String,
}

/// How far a session is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Status {
    /// Grows with whatever changes: labels, features, the model.
    pub version: u64,
    /// Clips in all.
    pub total: usize,
    /// Clips that have their features.
    pub ready: usize,
    /// Clips a second that get them now; none where all are done.
    pub rate: Option<f64>,
    /// Why features stopped being computed, where they did.
    pub trouble: Option<String>,
    pub labelled: usize,
    /// Of these, for the test alone.
    pub held_out: usize,
    pub skipped: usize,
    pub broken: usize,
    /// Labels in the order in which they came up, and how many clips have each.
    pub labels: Vec<(String, usize)>,
    /// The round under way, counted from 1.
    pub round: usize,
    /// Answers that are still missing in it.
    pub left_in_round: usize,
    /// How good the model is on clips that it doesn't know.
    pub accuracy: Option<Figure>,
    /// Why that will never be known, as a sentence, where it won't.
    pub no_figure: Option<String>,
    /// How that went.
    pub curve: Vec<Point>,
    /// What is in the model's folder, where this session made it.
    pub model: Option<Model>,
    /// What to do next, where there is something to say: such as that more labels no longer help.
    pub advice: Option<String>,
    /// How clips are kept together, as a sentence.
    pub grouping: String,
    /// Whether a model is being trained just now.
    pub training: bool,
}
