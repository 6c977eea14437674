//! JSON Lines: `{"path", "labels": [{"label", "score"}…], "duration_s", "frames", "model"}` a
//! clip, with `"confident"` where the model has a threshold; or `{"path", "error"}`. By a model that names several labels,
//! each says with `"above"` whether the clip shows it, and all of these are there.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};

use crate::files::paths;
use crate::{ClipLabels, Label};

use super::{Exporter, Row, score, seconds};

/// One object a line.
pub(crate) struct Json {
    top: usize,
}

impl Json {
    /// Writes the best `top` labels of each clip.
    pub(crate) fn new(top: usize) -> Self {
        Self { top }
    }
}

/// What is said of a labelled clip.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub(crate) struct Labelled {
    /// The clip's name as it was given. JSON is Unicode: a name that isn't becomes the array of its bytes.
    #[cfg_attr(feature = "serve", schema(value_type = String))]
    path: Value,
    /// Best first.
    pub labels: Vec<Scored>,
    /// Seconds from the first frame's start to the last frame's end.
    duration_s: f64,
    /// How many frames the model saw.
    frames: usize,
    /// The model's name.
    model: String,
    /// Whether the model knows such clips well enough; left out where it has no threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "serve", schema(nullable = false))]
    confident: Option<bool>,
}

/// A label and its score.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub(crate) struct Scored {
    pub label: String,
    /// A probability between 0 and 1.
    pub score: f64,
    /// Whether the clip shows it; by models that name several labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "serve", schema(nullable = false))]
    above: Option<bool>,
}

impl Labelled {
    /// Of the `clip` that is called `path`, with its best `top` labels and all that it shows.
    pub(crate) fn new(path: &std::path::Path, clip: &ClipLabels, top: usize) -> Self {
        let top = top.max(clip.shown().map_or(0, <[Label]>::len));
        let scored = |l: &Label| Scored { label: l.label.clone(), score: score(l.score), above: l.above };
        Self {
            path: paths::to_json(path),
            labels: clip.labels.iter().take(top).map(scored).collect(),
            duration_s: seconds(clip.duration_s),
            frames: clip.frames,
            model: clip.model.clone(),
            confident: clip.confident,
        }
    }
}

impl Exporter for Json {
    fn row(&mut self, row: &Row, out: &mut dyn Write) -> io::Result<()> {
        match &row.outcome {
            Ok(clip) => serde_json::to_writer(&mut *out, &Labelled::new(&row.path, clip, self.top))?,
            Err(reason) => write!(out, "{}", json!({"path": paths::to_json(&row.path), "error": reason}))?,
        }
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::{failed, labelled, several};
    use super::*;

    fn line(row: &Row) -> String {
        let mut out = Vec::new();
        Json::new(2).row(row, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_come_in_the_documented_order() {
        assert_eq!(
            line(&labelled(None)),
            "{\"path\":\"a, b.mp4\",\"labels\":[{\"label\":\"PullUps\",\"score\":0.75},\
             {\"label\":\"say \\\"hi\\\"\",\"score\":0.2}],\"duration_s\":2.603,\"frames\":16,\"model\":\"tiny\"}\n"
        );
        assert!(line(&labelled(Some(false))).ends_with(",\"confident\":false}\n"));
        let several = several(&[("a", 0.9, true), ("b", 0.3, true), ("c", 0.5, false)]);
        let mut out = Vec::new();
        Json::new(1).row(&several, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let labels =
            "[{\"label\":\"a\",\"score\":0.9,\"above\":true},{\"label\":\"b\",\"score\":0.3,\"above\":true}]";
        assert!(text.contains(labels), "{text}");
        assert_eq!(line(&failed()), "{\"path\":\"bad.mp4\",\"error\":\"no video stream\"}\n");
    }
}
