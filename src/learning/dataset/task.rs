//! What is asked of a clip.

use crate::model::Scoring;

/// What is asked of a clip, as the data says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Task {
    /// Which one of the labels it shows.
    #[default]
    OneOf,
    /// Which of the labels it shows: none, one or several.
    AnyOf,
}

impl Task {
    /// What makes scores of a model that is trained for it.
    pub fn scoring(self) -> Scoring {
        match self {
            Self::OneOf => Scoring::Softmax,
            Self::AnyOf => Scoring::Sigmoid,
        }
    }

    /// Whether a clip with these `labels` is background: where several may be shown, one that shows none is a clip as others.
    pub(super) fn is_background(self, labels: &[usize]) -> bool {
        self == Self::OneOf && labels.is_empty()
    }
}
