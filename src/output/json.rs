//! JSON Lines: `{"path", "labels": [{"label", "score"}…], "duration_s", "frames", "model"}` a
//! clip, with `"confident"` where the model has a threshold; or `{"path", "error"}`.

use std::io::{self, Write};

use serde_json::json;

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
                let labels: Vec<_> = clip.labels.iter().take(self.top).collect();
                let labels: Vec<_> =
                    labels.iter().map(|l| json!({"label": l.label, "score": score(l.score)})).collect();
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
    use super::super::row::tests::{failed, labelled};
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
        assert_eq!(line(&failed()), "{\"path\":\"bad.mp4\",\"error\":\"no video stream\"}\n");
    }
}
