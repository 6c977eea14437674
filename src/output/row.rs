//! One clip's line in the results.

use std::path::{Path, PathBuf};

use crate::{ClipLabels, Result};

/// A clip and what came of it: labels, or why there are none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// As it was named.
    pub path: PathBuf,
    /// The error is the reason alone, without the path.
    pub outcome: Result<ClipLabels, String>,
}

impl Row {
    /// The row of `path`.
    pub(crate) fn new(path: &Path, result: Result<ClipLabels>) -> Self {
        Self { path: path.to_owned(), outcome: result.map_err(|error| error.reason()) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{Error, Label, Timings};

    /// A labelled clip with three labels.
    pub(crate) fn labelled(confident: Option<bool>) -> Row {
        let label = |label: &str, score| Label { label: label.into(), score, above: None };
        let labels = ClipLabels {
            path: "a, b.mp4".into(),
            labels: vec![label("PullUps", 0.75), label("say \"hi\"", 0.2000001), label("Lunges", 0.05)],
            confident,
            duration_s: 2.603_411,
            frames: 16,
            model: "tiny".into(),
            warnings: vec![],
            timings: Timings::default(),
        };
        Row { path: "a, b.mp4".into(), outcome: Ok(labels) }
    }

    /// A clip with these labels and scores, and whether it shows them.
    pub(crate) fn several(labels: &[(&str, f32, bool)]) -> Row {
        let mut row = labelled(None);
        let label = |&(label, score, above): &(&str, f32, bool)| Label {
            label: label.into(),
            score,
            above: Some(above),
        };
        if let Ok(clip) = &mut row.outcome {
            clip.labels = labels.iter().map(label).collect();
        }
        row
    }

    /// A clip that failed.
    pub(crate) fn failed() -> Row {
        Row::new(Path::new("bad.mp4"), Err(Error::clip("bad.mp4", "no video stream")))
    }

    #[test]
    fn the_reason_stands_without_the_path() {
        assert_eq!(failed().outcome.unwrap_err(), "no video stream");
    }
}
