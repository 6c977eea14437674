//! CSV: `path,label,score,duration_s,frames,model,error`, then `label2,score2…` where more than one
//! label is wanted, then `confident` where the model has a threshold. By a model that names several labels, `label` has
//! all that the clip shows with `|` between them, `score` the lowest of theirs, and `shown`, the last column, says how many
//! they are.

use std::io::{self, Write};

use crate::files::paths;

use super::{Columns, Exporter, Row, SHOWN, cells, score, seconds};

/// A table with a header.
pub(crate) struct Csv {
    columns: Columns,
}

impl Csv {
    /// Writes these columns.
    pub(crate) fn new(columns: Columns) -> Self {
        Self { columns: Columns { top: columns.top.max(1), ..columns } }
    }

    fn record(&self, fields: &[String], out: &mut dyn Write) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(fields)?;
        writer.flush()
    }
}

impl Exporter for Csv {
    fn header(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Columns { top, several, confident } = self.columns;
        let mut fields: Vec<String> =
            ["path", "label", "score", "duration_s", "frames", "model", "error"].map(Into::into).into();
        fields.extend((2..=top).flat_map(|n| [format!("label{n}"), format!("score{n}")]));
        fields.extend(confident.then(|| "confident".into()));
        fields.extend(several.then(|| SHOWN.into()));
        self.record(&fields, out)
    }

    fn row(&mut self, row: &Row, out: &mut dyn Write) -> io::Result<()> {
        let path = paths::to_text(&row.path).into_owned();
        let Columns { top, several, confident } = self.columns;
        let width = 7 + 2 * (top - 1) + usize::from(confident) + usize::from(several);
        let mut fields = vec![path];
        match &row.outcome {
            Ok(clip) => {
                let labels = cells(clip, top);
                let mut labels = labels.into_iter().flat_map(|(label, s)| [label, score(s).to_string()]);
                fields.extend(labels.by_ref().take(2));
                fields.resize(3, String::new());
                fields.extend([
                    seconds(clip.duration_s).to_string(),
                    clip.frames.to_string(),
                    clip.model.clone(),
                    String::new(),
                ]);
                fields.extend(labels);
                fields.resize(7 + 2 * (top - 1), String::new());
                if confident {
                    fields.push(clip.confident.map_or(String::new(), |c| c.to_string()));
                }
                if several {
                    fields.push(clip.shown().map_or(0, <[_]>::len).to_string());
                }
            }
            Err(reason) => {
                fields.resize(6, String::new());
                fields.push(reason.clone());
                fields.resize(width, String::new());
            }
        }
        self.record(&fields, out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::{failed, labelled, several};
    use super::*;

    fn table(top: usize, several: bool, confident: bool, rows: &[Row]) -> String {
        let mut out = Vec::new();
        let mut csv = Csv::new(Columns { top, several, confident });
        csv.header(&mut out).unwrap();
        for row in rows {
            csv.row(row, &mut out).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_label() {
        assert_eq!(
            table(1, false, false, &[labelled(None), failed()]),
            "path,label,score,duration_s,frames,model,error\n\
             \"a, b.mp4\",PullUps,0.75,2.603,16,tiny,\n\
             bad.mp4,,,,,,no video stream\n"
        );
    }

    #[test]
    fn all_that_a_clip_shows_is_one_cell() {
        let rows = [
            several(&[("a", 0.9, true), ("b", 0.25, true), ("c", 0.5, false)]),
            several(&[("b", 0.9, true), ("a", 0.25, true), ("c", 0.5, false)]),
            several(&[("a", 0.1, false)]),
            failed(),
        ];
        assert_eq!(
            table(1, true, false, &rows),
            "path,label,score,duration_s,frames,model,error,shown\n\
             \"a, b.mp4\",a|b,0.25,2.603,16,tiny,,2\n\
             \"a, b.mp4\",a|b,0.25,2.603,16,tiny,,2\n\
             \"a, b.mp4\",,,2.603,16,tiny,,0\n\
             bad.mp4,,,,,,no video stream,\n"
        );
    }

    #[test]
    fn more_labels_than_the_model_has_leave_empty_cells() {
        assert_eq!(
            table(4, false, true, &[labelled(Some(true)), failed()]),
            "path,label,score,duration_s,frames,model,error,label2,score2,label3,score3,label4,score4,confident\n\
             \"a, b.mp4\",PullUps,0.75,2.603,16,tiny,,\"say \"\"hi\"\"\",0.2,Lunges,0.05,,,true\n\
             bad.mp4,,,,,,no video stream,,,,,,,\n"
        );
    }
}
