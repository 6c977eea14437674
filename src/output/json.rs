//! JSON Lines: `{"path", "labels": [{"label", "score"}…], "duration_s", "frames", "model"}` a
//! clip, with `"confident"` where the model has a threshold; or `{"path", "error"}`. By a model that names several labels,
//! each says with `"above"` whether the clip shows it, and all of these are there.

use std::io::{self, Write};

use serde_json::json;

use crate::Label;
use crate::files::paths;

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

impl Exporter for Json {
    fn row(&mut self, row: &Row, out: &mut dyn Write) -> io::Result<()> {
        // JSON is Unicode: a name that isn't becomes the array of its bytes.
        let path = paths::to_json(&row.path);
        let object = match &row.outcome {
            Ok(clip) => {
                let top = self.top.max(clip.shown().map_or(0, <[Label]>::len));
                let label = |l: &Label| {
                    let mut label = json!({"label": l.label, "score": score(l.score)});
                    if let Some(above) = l.above {
                        label["above"] = above.into();
                    }
                    label
                };
                let labels: Vec<_> = clip.labels.iter().take(top).map(label).collect();
                let mut object = json!({
                    "path": path,
                    "labels": labels,
                    "duration_s": seconds(clip.duration_s),
                    "frames": clip.frames,
                    "model": clip.model,
                });
                if let Some(confident) = clip.confident {
                    object["confident"] = confident.into();
                }
                object
            }
            Err(reason) => json!({"path": path, "error": reason}),
        };
        writeln!(out, "{object}")
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
