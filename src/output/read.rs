//! Outputs of earlier runs, read back.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row as Record};
use serde_json::Value;

use super::{Format, Row, SHOWN};
use crate::files::paths;
use crate::{ClipLabels, Error, Label, Result, Timings};

/// Reads the output at `path` (CSV, JSON Lines or Parquet, by its ending) and hands out its rows.
///
/// # Errors
/// [`Error::Data`] names the file, and the line where it is no output of this program.
pub(crate) fn read_rows(path: &Path, mut each: impl FnMut(Row) -> Result<()>) -> Result<()> {
    let wrong = |reason: String| Error::data(path, reason);
    let open = || File::open(path).map_err(|e| Error::io(path, e));
    let at = |line: usize, reason: String| wrong(format!("line {line}: {reason}"));
    match Format::of(path) {
        Some(Format::Csv) => {
            let mut reader = csv::Reader::from_reader(open()?);
            let names = reader.headers().map_err(|e| wrong(e.to_string()))?.clone();
            let several = names.iter().any(|name| name == SHOWN);
            for (record, line) in reader.records().zip(2..) {
                let record = record.map_err(|e| at(line, e.to_string()))?;
                let cells = |name: &str| {
                    let place = names.iter().position(|n| n == name)?;
                    record.get(place).filter(|cell| !cell.is_empty()).map(str::to_owned)
                };
                each(from_cells(several, cells).map_err(|e| at(line, e))?)?;
            }
        }
        Some(Format::Json) => {
            let lines = std::io::BufRead::lines(std::io::BufReader::new(open()?));
            for (line, number) in lines.zip(1..) {
                let line = line.map_err(|e| Error::io(path, e))?;
                let value = serde_json::from_str(&line).map_err(|e| at(number, e.to_string()))?;
                each(from_json(&value).ok_or_else(|| at(number, "not a row of labels".into()))?)?;
            }
        }
        Some(Format::Parquet) => {
            let reader = SerializedFileReader::new(open()?).map_err(|e| wrong(e.to_string()))?;
            let rows = reader.get_row_iter(None).map_err(|e| wrong(e.to_string()))?;
            for (record, number) in rows.zip(1..) {
                let record = record.map_err(|e| at(number, e.to_string()))?;
                let several = record.get_column_iter().any(|(name, _)| name == SHOWN);
                each(from_cells(several, |name| cell(&record, name)).map_err(|e| at(number, e))?)?;
            }
        }
        Some(Format::Text) | None => {
            return Err(wrong("only .csv, .jsonl and .parquet outputs can be read back".into()));
        }
    }
    Ok(())
}

fn cell(record: &Record, name: &str) -> Option<String> {
    let (_, field) = record.get_column_iter().find(|(column, _)| *column == name)?;
    match field {
        Field::Null => None,
        Field::Str(text) => Some(text.clone()),
        Field::Bool(value) => Some(value.to_string()),
        Field::Long(value) => Some(value.to_string()),
        Field::Double(value) => Some(value.to_string()),
        other => Some(other.to_string()),
    }
}

/// A table's row; `several`: whether it has the column [`SHOWN`].
fn from_cells(several: bool, cells: impl Fn(&str) -> Option<String>) -> Result<Row, String> {
    let path = cells("path").ok_or("it has no column path: not an output of this program")?;
    let path = paths::from_text(&path);
    if let Some(reason) = cells("error") {
        return Ok(Row { path, outcome: Err(reason) });
    }
    let number = |name: &str| -> Result<f64, String> {
        let cell = cells(name).ok_or_else(|| format!("{name} is missing"))?;
        cell.parse().map_err(|_| format!("{name} is {cell}, not a number"))
    };
    let mut labels = Vec::new();
    if several {
        // Of their scores the table has the lowest.
        for label in cells("label").iter().flat_map(|labels| labels.split('|')) {
            labels.push(Label { label: label.into(), score: number("score")? as f32, above: Some(true) });
        }
    } else {
        for rank in 1.. {
            let of = |name: &str| if rank == 1 { name.to_owned() } else { format!("{name}{rank}") };
            let Some(label) = cells(&of("label")) else { break };
            labels.push(Label { label, score: number(&of("score"))? as f32, above: None });
        }
    }
    // A model that names several labels may find none of them.
    if labels.is_empty() && cells("model").is_none() {
        return Err("neither a label nor an error".into());
    }
    Ok(labelled(
        path,
        labels,
        cells("confident").map(|cell| cell == "true"),
        number("duration_s")?,
        number("frames")? as usize,
        cells("model").unwrap_or_default(),
    ))
}

fn from_json(row: &Value) -> Option<Row> {
    let path = paths::exact::deserialize(row.get("path")?).ok()?;
    if let Some(reason) = row.get("error") {
        return Some(Row { path, outcome: Err(reason.as_str()?.to_owned()) });
    }
    let label = |value: &Value| {
        let score = value.get("score")?.as_f64()? as f32;
        let above = value.get("above").and_then(Value::as_bool);
        Some(Label { label: value.get("label")?.as_str()?.to_owned(), score, above })
    };
    let labels = row.get("labels")?.as_array()?.iter().map(label).collect::<Option<_>>()?;
    Some(labelled(
        path,
        labels,
        row.get("confident").and_then(Value::as_bool),
        row.get("duration_s")?.as_f64()?,
        row.get("frames")?.as_u64()? as usize,
        row.get("model")?.as_str()?.to_owned(),
    ))
}

fn labelled(
    path: PathBuf,
    labels: Vec<Label>,
    confident: Option<bool>,
    duration_s: f64,
    frames: usize,
    model: String,
) -> Row {
    let clip = ClipLabels {
        path: path.clone(),
        labels,
        confident,
        duration_s,
        frames,
        model,
        warnings: Vec::new(),
        timings: Timings::default(),
    };
    Row { path, outcome: Ok(clip) }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::{failed, labelled, several};
    use super::super::{Columns, names_several};
    use super::*;

    fn write(format: Format, columns: Columns, rows: &[Row]) -> Vec<u8> {
        let (mut out, mut exporter) = (Vec::new(), format.exporter(columns));
        exporter.header(&mut out).unwrap();
        rows.iter().for_each(|row| exporter.row(row, &mut out).unwrap());
        exporter.end(&mut out).unwrap();
        out
    }

    fn read(name: &str, bytes: &[u8]) -> Vec<Row> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut rows = Vec::new();
        read_rows(&path, |row| {
            rows.push(row);
            Ok(())
        })
        .unwrap();
        rows
    }

    /// What a format keeps of a row comes back, and written again gives the same bytes.
    #[test]
    fn outputs_are_read_back_as_they_were() {
        for (name, format) in
            [("a.csv", Format::Csv), ("a.jsonl", Format::Json), ("a.parquet", Format::Parquet)]
        {
            let columns = Columns { top: 2, several: false, confident: true };
            let bytes = write(format, columns, &[labelled(Some(true)), failed()]);
            let rows = read(name, &bytes);
            assert_eq!(rows.len(), 2, "{name}");
            assert_eq!(rows[1], failed(), "{name}");
            let clip = rows[0].outcome.as_ref().unwrap();
            assert_eq!((clip.labels.len(), clip.frames, clip.confident), (2, 16, Some(true)), "{name}");
            assert_eq!(write(format, columns, &rows), bytes, "{name}");
        }
    }

    #[test]
    fn all_that_a_clip_shows_comes_back_as_labels_of_their_own() {
        let written = [
            several(&[("run", 0.9, true), ("jump", 0.75, true), ("swim", 0.1, false)]),
            several(&[("run", 0.2, false)]),
            failed(),
        ];
        for (name, format) in [("a.csv", Format::Csv), ("a.parquet", Format::Parquet)] {
            let columns = Columns { top: 1, several: true, confident: false };
            let bytes = write(format, columns, &written);
            let rows = read(name, &bytes);
            let clips: Vec<&ClipLabels> = rows.iter().filter_map(|row| row.outcome.as_ref().ok()).collect();
            let label = |label: &str| Label { label: label.into(), score: 0.75, above: Some(true) };
            assert_eq!(clips[0].labels, [label("jump"), label("run")], "{name}");
            assert!(clips[1].labels.is_empty() && clips.into_iter().all(names_several), "{name}");
            assert_eq!(write(format, columns, &rows), bytes, "{name}");
        }
    }

    #[test]
    fn the_name_of_a_single_label_is_left_whole() {
        let table = "path,label,score,duration_s,frames,model,error\na,gym|pull,0.5,1,1,m,\n";
        let rows = read("a.csv", table.as_bytes());
        let labels = &rows[0].outcome.as_ref().unwrap().labels;
        assert_eq!(*labels, [Label { label: "gym|pull".into(), score: 0.5, above: None }]);
    }

    #[test]
    fn other_files_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("a.csv", "x,y\n1,2\n"),
            ("b.csv", "path,label,score,duration_s,frames,model,error\na,b,c,1,1,m,\n"),
            ("c.jsonl", "{\"path\": 1}\n"),
            ("d.parquet", "PAR1"),
            ("e.txt", ""),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            let error = read_rows(&path, |_| Ok(())).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
